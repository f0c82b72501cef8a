"""Laws of the entry point: one line on stderr for every failure, the right status, quiet pipes, a cheap start."""

from __future__ import annotations

import ast
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, Psv, environment
from tests.commands.fakefleet import FakeFleet

import processsupervisor
from processsupervisor.kernel.paths import FleetPaths


def lines(text: str) -> list[str]:
    return text.splitlines()


@pytest.mark.parametrize(("args", "status", "said"), [
    ((), 2, "no command is given; see psv --help"),
    (("bot",), 2, "no command is given; see psv bot --help"),
    (("lss",), 2, 'there is no command "lss"; did you mean "ls"?'),
    (("bot", "lst"), 2, 'there is no command "bot lst"; did you mean "list"?'),
    (("ls", "--jsn"), 2, "no such option '--jsn'"),
    (("ls", "-C", "x"), 2, "-C DIR stands before the command"),
    (("-C",), 2, "requires an argument"),
    (("-C", "/nowhere", "ls"), 2, "-C /nowhere is not a folder"),
    (("bot", "history", "-n", "x"), 2, "not a valid integer"),
    (("restart", "a", "--timeout", "soon"), 2, "expected a duration"),
    (("bot", "signal", "a", "-s", "NONE"), 2, "'NONE' is not one of 'HUP', 'INT', 'QUIT',"),
    (("bot", "signal", "a", "USR1"), 2, "missing option '-s' / '--signal'. Choose from: HUP, INT,"),
    (("bot", "history", "-n", "0"), 2, "an integer between 1 and 10000"),
    (("ls",), 3, "no supervisor runs for"),
    (("down",), 3, "there is nothing to stop"),
    (("up", "--wait"), 2, "--wait goes with --detach"),
])
def test_failures_are_one_line(psv: Psv, args: tuple[str, ...], status: int, said: str) -> None:
    """Every failure is one `psv: …` line on stderr, nothing on stdout, and its own status."""
    done = psv(*args)
    assert done.returncode == status
    assert done.stdout == ""
    assert len(lines(done.stderr)) == 1
    assert done.stderr.startswith("psv: ")
    assert said in done.stderr


def test_no_fleet_here(psv: Psv, tmp_path: Path) -> None:
    """Outside of a fleet folder the way to one is named."""
    done = psv("ls", cwd=tmp_path)
    assert done.returncode == 2
    assert "no fleet.toml here or in a folder above; give -C DIR" in done.stderr


def test_folder_is_found_upward_by_variable_and_by_option(psv: Psv, fleet: FakeFleet, folder: Path, tmp_path: Path) -> None:
    """-C wins over PSV_DIR, which wins over the nearest fleet.toml upward."""
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    assert psv("ls", cwd=deep).returncode == 0
    assert psv("ls", cwd=tmp_path, env={"PSV_DIR": str(folder)}).returncode == 0
    assert psv("-C", str(folder), "ls", cwd=tmp_path, env={"PSV_DIR": "/nowhere"}).returncode == 0
    assert "PSV_DIR /nowhere is not a folder" in psv("ls", env={"PSV_DIR": "/nowhere"}).stderr


def test_fleet_without_its_file_can_still_be_asked(psv: Psv, fleet: FakeFleet, folder: Path, tmp_path: Path) -> None:
    """A fleet.toml removed by mistake, or replaced by a folder, does not take the running fleet out of reach of -C, or of its own folder."""
    (folder / "fleet.toml").unlink()
    assert psv("-C", str(folder), "ls", cwd=tmp_path).returncode == 0
    FleetPaths(folder).data.mkdir(parents=True, exist_ok=True)
    FleetPaths(folder).applied.write_text("{}")
    (folder / "fleet.toml").mkdir()
    assert psv("ls", cwd=folder).returncode == 0


def test_very_deep_folder(psv: Psv, tmp_path: Path) -> None:
    """A control socket below a path longer than sun_path is reached."""
    from tests.cli.conftest import control_server, keeper_socket

    from processsupervisor.kernel.paths import FleetPaths

    deep = tmp_path.joinpath(*["deep folder ü"] * 12)
    deep.mkdir(parents=True)
    (deep / "fleet.toml").write_text("")
    FleetPaths(deep).ensure()
    # The server binds at a short name; what is under test is the way in, through a link at the deep one.
    server = control_server(tmp_path, FakeFleet()) if FleetPaths(tmp_path).ensure() is None else None
    for name in ("psv", "keeper"):
        FleetPaths(deep).socket(name).symlink_to(FleetPaths(tmp_path).socket(name))
    try:
        with keeper_socket(tmp_path):
            done = psv("-C", str(deep), "ls")
    finally:
        assert server is not None
        server.close()
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_pipe_is_quiet(fleet: FakeFleet, folder: Path) -> None:
    """`psv ls | head -0` ends with 0 and without a word on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PSV, "ls"], cwd=folder, stdout=writing, stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_full_device_is_a_failure(fleet: FakeFleet, folder: Path) -> None:
    """What could not be written is not reported as done."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PSV, "ls"], cwd=folder, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"psv: No space left")
    assert len(done.stderr.splitlines()) == 1


def run_in_terminal(args: list[str], cwd: Path, **env: str) -> str:
    """Return what the command prints to a terminal of its own."""
    leader, follower = pty.openpty()
    ends = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = subprocess.Popen([*PSV, *args], cwd=cwd, env=environment(TERM="xterm", **env), **ends)
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(leader)
    assert process.wait(30) == 0
    return shown.decode()


def test_colour_only_on_a_terminal(psv: Psv, fleet: FakeFleet, folder: Path) -> None:
    """A pipe gets plain text, a terminal colours, a terminal with NO_COLOR none."""
    import re

    colour = re.compile("\x1b\\[[0-9;]*3[0-9]")
    assert "\x1b" not in psv("ls").stdout
    assert colour.search(run_in_terminal(["ls"], folder))
    assert not colour.search(run_in_terminal(["ls"], folder, NO_COLOR="1"))


def test_help_and_version(psv: Psv) -> None:
    """--help names every verb and exits 0; --version says the version."""
    shown = psv("--help")
    assert shown.returncode == 0
    assert all(f"\n  {verb} " in shown.stdout for verb in "init up down status check doctor fleets bot ls chat".split())
    assert psv("--version").stdout.startswith("psv 0.")


def test_internal_error_is_one_line(psv: Psv, folder: Path) -> None:
    """A broken answer of the other side is no traceback."""
    from tests.cli.conftest import Server

    from processsupervisor.kernel.paths import FleetPaths

    async def talk(reader: object, writer: object) -> None:
        await reader.readline()  # type: ignore[attr-defined]
        writer.write(b'{"id": 1, "ok": true, "result": [17]}\n')  # type: ignore[attr-defined]

    server = Server(FleetPaths(folder).socket("psv"), talk)
    try:
        done = psv("ls")
    finally:
        server.close()
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert done.stderr.startswith("psv: internal error: ")


def loaded_by(args: str, folder: Path) -> set[str]:
    """Return the modules that a run of the command has loaded."""
    run = f"from processsupervisor.cli.main import main; status = main({args!r}.split())"
    argv = [sys.executable, "-c", f"import sys; {run}; print(*sys.modules, file=sys.stderr); sys.exit(status)"]
    return set(subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True, check=True, timeout=60).stderr.split())


@pytest.mark.parametrize("args", ["bot list", "bot list --json", "restart alice", "status --json"])
def test_import_cost(fleet: FakeFleet, folder: Path, args: str) -> None:
    """What asks psvd loads no event loop, no validation, no rich, no logging: it must be over in 90 ms."""
    heavy = {"asyncio", "pydantic", "pydantic_core", "rich", "msgspec", "logging", "subprocess", "dataclasses", "tomllib", "hashlib"}
    assert not loaded_by(args, folder) & heavy


def test_old_python_gets_a_sentence() -> None:
    """`python -m processsupervisor` parses under the grammar of 3.6 up to its version check, as does the package root."""
    root = Path(processsupervisor.__path__[0])
    for name in ("__main__.py", "__init__.py"):
        if (root / name).exists():
            ast.parse((root / name).read_text(), feature_version=(3, 6))


def test_every_verb_has_its_function() -> None:
    """Each command that has a form on the command line is carried out by a function, and none is left over."""
    from processsupervisor.cli.verbs import VERBS
    from processsupervisor.commands.registry import REGISTRY

    assert set(VERBS) == {command.name for command in REGISTRY.values() if command.verbs}
