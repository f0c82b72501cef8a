"""Laws of a shell's line: a single command becomes the bot's own process and gets the stop signal; anything more stays as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adopt.harness import adopt_files, told

from processsupervisor.adopt.line import as_program

LINE = "python3 -u echo.py --port $PORT"


@pytest.mark.parametrize(
    ("line", "made"),
    [
        (LINE, f"exec {LINE}"),
        ("A=1 B=\"x y\" python3 x.py $A", "A=1 B=\"x y\" exec python3 x.py $A"),
        ("python3 x.py '$A;|' \"$(date; true)\" >> out.txt 2>&1", "exec python3 x.py '$A;|' \"$(date; true)\" >> out.txt 2>&1"),
        ('"$PYTHON" x.py ~/a', 'exec "$PYTHON" x.py ~/a'),
    ],
)
def test_a_single_command_is_the_process(line: str, made: str) -> None:
    """`exec` stands before its program, behind its variables."""
    assert as_program(line) == made


@pytest.mark.parametrize(
    "line",
    ["a $X | b", "cd x && a $X", "a $X; b", "(a $X)", "a $X &", "a $X\nb", "exec a $X", "cd $X", "[[ $X ]]", "{ a $X", "> $X", "A=$X", "a `b; c`", "a '$X"],
)
def test_anything_else_stays(line: str) -> None:
    """More than one command, what only a shell knows, what does it already."""
    assert as_program(line) == line


def test_variables_before_exec_reach_the_program() -> None:
    """The shell of this machine gives them on."""
    line = as_program("PSV_A=1 PSV_B=\"$PSV_C x\" env")
    done = subprocess.run(["sh", "-c", line], env={"PATH": os.environ["PATH"], "PSV_C": "2"}, capture_output=True, text=True, check=True)
    assert {"PSV_A=1", "PSV_B=2 x"} <= set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Procfile", f"bot: {LINE}\n"),
        ("supervisord.conf", f"[program:bot]\ncommand=sh -c '{LINE}'\ndirectory=/tmp\n"),
        ("bot.service", f"[Service]\nWorkingDirectory=/tmp\nExecStart=/bin/sh -c '{LINE.replace('$', '$$')}'\n"),
        ("e.json", json.dumps({"apps": [{"name": "bot", "script": LINE}]})),
        ("compose.yaml", f"services:\n  bot:\n    build: .\n    command: [sh, -c, '{LINE.replace('$', '$$')}']\n"),
        ("comp/compose.yaml", "services:\n  bot:\n    build: .\n"),
    ],
)
def test_every_reader(tmp_path: Path, name: str, text: str) -> None:
    """Whoever says it: the shell replaces itself, and so it is told."""
    files = {name: text, "Dockerfile": "FROM x\n", "comp/Dockerfile": f"FROM x\nCMD {LINE}\n"}
    bots, plan = adopt_files(tmp_path, files)
    assert bots["bot"]["command"][1:] == ["-c", f"exec {LINE}"]
    assert any("which so gets the stop signal" in left.why for left in plan.left_out), told(plan)


def test_a_pipe_is_told(tmp_path: Path) -> None:
    """There the signal reaches the shell."""
    bots, plan = adopt_files(tmp_path, {"Procfile": f"bot: {sys.executable} x.py | cat\n"})
    assert bots["bot"]["command"][2].endswith("| cat") and not bots["bot"]["command"][2].startswith("exec")
    assert any("the stop signal reaches the shell alone" in left.why for left in plan.left_out)
