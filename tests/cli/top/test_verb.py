"""Laws of `psv top` where there is no screen, and of what it costs the other verbs: nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.cli.conftest import PSV, Psv, environment
from tests.test_rooms import loaded_after


def test_without_a_terminal_the_way_out_is_named(psv: Psv) -> None:
    """In a pipe it is wrong use, said in one line with what to use instead."""
    done = psv("top")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "psv: psv top needs a terminal for stdin, stdout and stderr; psv ls prints the bots once, psv events -f and psv logs -f follow them\n"


def test_a_dumb_terminal_is_refused(folder: Path) -> None:
    """TERM=dumb cannot place a character."""
    ours, its = os.openpty()
    try:
        done = subprocess.run([*PSV, "top"], cwd=folder, env=environment(TERM="dumb"), stdin=its, stdout=its, stderr=its, timeout=60, check=False)
        os.close(its)
        said = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
    assert done.returncode == 2
    assert "TERM" in said and "psv ls" in said


def test_without_a_fleet_it_says_so(psv: Psv, tmp_path: Path) -> None:
    """A folder without fleet.toml is told of before the terminal is."""
    done = psv("top", cwd=tmp_path)
    assert done.returncode == 2
    assert "no fleet.toml" in done.stderr


def test_no_other_verb_loads_textual(folder: Path) -> None:
    """`psv ls`, `psv --help` and the refusal of `psv top` load neither Textual nor a module of the screen."""
    for words in (["ls"], ["--help"], ["top"]):
        loaded = loaded_after(f"from processsupervisor.cli.main import main; main({['-C', str(folder), *words] if words != ['--help'] else words!r})")
        assert not {name for name in loaded if name.partition(".")[0] in ("textual", "rich")}, words
        assert "processsupervisor.cli.top.app" not in loaded
