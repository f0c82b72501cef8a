"""Laws of `psv adopt --wrap`: every entry point of a main.py goes on working, supervised; and the way back is whole."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Psv, environment
from tests.cli.test_run import said
from tests.cli.test_up import left_over
from tests.supervisor.live import eventually

from processsupervisor.kernel.files import read_record
from processsupervisor.kernel.paths import FleetPaths

MAIN = """\
#!/usr/bin/env python3
# A bot, and a module that others import from.
import os, sys, time
GREETING = "hello"
if __name__ == "__main__":
    import part
    facts = sys.argv[1:], os.getcwd(), os.path.dirname(__file__), os.environ.get("TOKEN"), part.GREETING
    print("up", *facts, os.environ.get("NOTIFY_SOCKET"), flush=True)
    if "--end" in sys.argv:
        sys.exit(78)
    time.sleep(3600)
"""
PART = "from main import GREETING\n"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a main.py and a module of its own that imports from it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    (folder / "main.py").chmod(0o755)
    (folder / "part.py").write_text(PART)
    return folder


@pytest.fixture
def start(tmp_path: Path, project: Path) -> Iterator[Start]:
    """Start an entry point as whoever starts it today does; ended with the test."""
    made: list[subprocess.Popen[bytes]] = []

    def begin(argv: list[str], **more: str) -> subprocess.Popen[bytes]:
        env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"), TOKEN="secret", **more)
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            made.append(subprocess.Popen(argv, cwd=project, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err))
        return made[-1]

    yield begin
    for process in made:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
    for state in (project, project / ".psv-run" / "bot"):
        for pid in left_over(FleetPaths(state)):
            os.kill(pid, signal.SIGKILL)


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return what lies in a folder: bytes, mode and time of each file."""
    return {p.name: (p.read_bytes(), p.stat().st_mode, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file()}


def below(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [one for child in children.read_text().split() for one in below(int(child))]
    return found


def test_there_and_back_byte_for_byte(psv: Psv, project: Path) -> None:
    """The program is only renamed; a second run changes nothing; back, every file is what it was, with mode and time."""
    before = files(project)
    done = psv("adopt", "--wrap", "main.py", cwd=project)
    assert done.returncode == 0 and done.stdout.startswith("main.py is bot.py now, unchanged"), done
    wrapped = files(project)
    assert wrapped["bot.py"] == before["main.py"] and set(wrapped) == {"main.py", "bot.py", "config.py", "part.py"}
    assert wrapped["main.py"][0].startswith(b"#!/usr/bin/env python3\n") and wrapped["main.py"][1] == before["main.py"][1]
    code = [line for line in wrapped["main.py"][0].decode().splitlines() if line and not line.startswith("#")]
    assert len(code) == 6, "six lines"

    again = psv("adopt", "--wrap", "main.py", cwd=project)
    assert again.returncode == 0 and "nothing was changed" in again.stdout and files(project) == wrapped
    assert 'script = "bot.py"' in psv("adopt", "main.py", "--dry-run", cwd=project).stdout, "adopt takes the program, not its wrapper"

    assert psv("adopt", "--unwrap", "main.py", cwd=project).returncode == 0
    assert files(project) == before
    assert psv("adopt", "--unwrap", "main.py", cwd=project).returncode == 5


def test_a_run_that_was_killed_midway_is_finished_by_the_next(psv: Psv, project: Path) -> None:
    """Between the second name of the program and the wrapper there is an entry point all the time, and nothing to repair."""
    psv("adopt", "--wrap", "main.py", cwd=project)
    wrapped = files(project)
    (project / "main.py").unlink()
    os.link(project / "bot.py", project / "main.py")

    done = psv("adopt", "--wrap", "main.py", cwd=project)
    assert done.returncode == 0, done
    assert {name: facts[0] for name, facts in files(project).items()} == {name: facts[0] for name, facts in wrapped.items()}


def test_settings_of_an_earlier_wrapper_name_the_present_program(psv: Psv, project: Path) -> None:
    """git checkout main.py brings a newer program back and leaves config.py: the next wrapper runs that one, and the way back brings it."""
    psv("adopt", "--wrap", "main.py", cwd=project)
    newer = MAIN.replace("hello", "hello again")
    (project / "main.py").unlink()
    (project / "main.py").write_text(newer)
    assert psv("adopt", "--wrap", "main.py", cwd=project).returncode == 5, "bot.py is the older one"

    settings = project / "config.py"
    ours = settings.read_text()
    settings.write_text(ours + "MINE = 1\n")
    refused = psv("adopt", "--wrap", "main.py", "--as", "newer.py", cwd=project)
    assert refused.returncode == 5 and 'BOT = "newer.py"' in refused.stderr and not (project / "newer.py").exists()
    settings.write_text(ours.replace('MODE = "auto"', 'MODE = "single"'))
    done = psv("adopt", "--wrap", "main.py", "--as", "newer.py", cwd=project)
    assert done.returncode == 0, done
    assert 'BOT = "newer.py"' in settings.read_text() and 'MODE = "single"' in settings.read_text()
    shown = subprocess.run([sys.executable, "-c", "import main; print(main.GREETING)"], cwd=project, capture_output=True, text=True, check=True)
    assert shown.stdout == "hello again\n"
    assert psv("adopt", "--unwrap", "main.py", cwd=project).returncode == 0
    assert (project / "main.py").read_text() == newer


def test_a_program_in_another_encoding_keeps_every_byte(psv: Psv, project: Path) -> None:
    """Its cookie says which; lines may end as they do."""
    program = b"#!/usr/bin/env python3\r\n# -*- coding: latin-1 -*-\r\nprint(ascii('caf\xe9'))\r\n"
    (project / "main.py").write_bytes(program)
    done = psv("adopt", "--wrap", "main.py", cwd=project)
    assert done.returncode == 0, done
    assert (project / "bot.py").read_bytes() == program
    run = subprocess.run([sys.executable, "main.py"], cwd=project, env=os.environ | {"PSV_BOT": "x"}, capture_output=True, text=True, check=True)
    assert run.stdout == "'caf\\xe9'\n"


def test_a_config_of_the_programs_own_is_left_alone(psv: Psv, project: Path) -> None:
    """The settings get another name where the program has, or imports, a `config`; and stay when they were changed."""
    (project / "config.py").write_text("TOKEN = 1\n")
    assert psv("adopt", "--wrap", "main.py", "--as", "shop.py", cwd=project).returncode == 0
    assert (project / "config.py").read_text() == "TOKEN = 1\n"
    settings = project / "psv_config.py"
    settings.write_text(settings.read_text().replace("# auto:", "# mine:"))

    assert psv("adopt", "--unwrap", "main.py", cwd=project).returncode == 0
    assert (project / "main.py").read_text() == MAIN and settings.exists() and not (project / "shop.py").exists()


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("print 'x'\n", 2, "main.py:1: Python 2 source, expected Python 3"),
        ("def f(:\n", 2, "main.py:1: syntax error"),
        ("from . import part\n", 5, "main.py:1: it imports from its own package"),
        ("import os\nos.execvp('python', ['python', '-m', 'processsupervisor', 'run', 'x.py'])\n", 5, "main.py:2: it starts psv itself already"),
        ("import bot\n", 5, "bot.py would hide the module bot"),
        ("# Made by `psv adopt --wrap`: and then by hand\n", 2, "was changed by hand"),
    ],
)
def test_what_cannot_be_wrapped_is_left_as_it_is(psv: Psv, project: Path, text: str, status: int, words: str) -> None:
    """A clear word with the place, and nothing written."""
    (project / "main.py").write_text(text)
    before = files(project)
    done = psv("adopt", "--wrap", "main.py", cwd=project)
    assert done.returncode == status and words in done.stderr, done
    assert files(project) == before


def test_names_links_and_interpreters_are_looked_at_first(psv: Psv, project: Path) -> None:
    """A taken name, a symlink, an interpreter without psv: refused with the way out, nothing written."""
    (project / "bot.py").write_text("")
    taken = psv("adopt", "--wrap", "main.py", cwd=project)
    assert taken.returncode == 5 and "bot.py is there already" in taken.stderr and "--as main_program.py" in taken.stderr
    (project / "link.py").symlink_to("main.py")
    assert "is a symlink to main.py" in psv("adopt", "--wrap", "link.py", cwd=project).stderr
    assert psv("adopt", "--wrap", "main.py", "--as", "../x.py", cwd=project).returncode == 5
    assert psv("adopt", "--wrap", "--check", "main.py", cwd=project).returncode == 2

    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/pyvenv.cfg").touch()
    (project / ".venv/bin/python").symlink_to("/bin/false")
    missing = psv("adopt", "--wrap", "main.py", "--as", "other.py", cwd=project)
    assert missing.returncode == 5 and "python -m pip install processsupervisor" in missing.stderr
    assert (project / "main.py").read_text() == MAIN and not (project / "other.py").exists()


def test_a_folder_that_may_not_be_written_is_left_alone(psv: Psv, project: Path) -> None:
    """Refused before the first byte."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    project.chmod(0o500)
    done = psv("adopt", "--wrap", "main.py", cwd=project)
    project.chmod(0o700)
    assert done.returncode == 5 and "may not write in" in done.stderr
    assert set(files(project)) == {"main.py", "part.py"}


def test_without_psv_the_program_runs_as_before_and_says_so(psv: Psv, project: Path) -> None:
    """An interpreter that has lost psv runs the bot without supervision; a fleet is more than that one bot and does not start."""
    psv("adopt", "--wrap", "main.py", cwd=project)
    plain = [str(sys._base_executable), "-S", "main.py", "--end"]  # type: ignore[attr-defined]  # -S: no site-packages
    done = subprocess.run(plain, cwd=project, env=environment(), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78 and done.stdout.startswith("up ['--end']") and "bot.py runs without supervision" in done.stderr
    (project / "fleet.toml").write_text('[fleet]\nname = "x"\n')
    fleet = subprocess.run(plain, cwd=project, env=environment(), capture_output=True, text=True, timeout=30, check=False)
    assert fleet.returncode == 1 and "the fleet cannot start" in fleet.stderr


@pytest.mark.slow
def test_python_main_py(psv: Psv, project: Path, tmp_path: Path, start: Start) -> None:
    """Arguments, folder, environment and `import main` as before; killed, it comes back; SIGTERM ends it, its own end is passed on."""
    psv("adopt", "--wrap", "main.py", cwd=project)
    process = start([sys.executable, "main.py", "-x", "1"])
    said(tmp_path, "out", f"up ['-x', '1'] {project} {project} secret hello None\n")
    said(tmp_path, "err", "psv: bot  ready after")
    assert psv("adopt", "--unwrap", "main.py", cwd=project).returncode == 5, "not while it runs"
    facts = read_record(FleetPaths(project / ".psv-run/bot").run / "bots/bot/record")
    assert facts is not None and isinstance(facts["identity"], dict)
    os.kill(facts["identity"]["pid"], signal.SIGKILL)
    eventually(lambda: (tmp_path / "out").read_text().count("up ") == 2, "it was started again")
    process.terminate()
    assert process.wait(30) == 0

    assert start([sys.executable, "main.py", "--end"]).wait(30) == 78


@pytest.mark.slow
def test_execstart_of_a_unit(psv: Psv, project: Path, tmp_path: Path, start: Start) -> None:
    """As systemd starts and stops it: READY=1 over its socket, not seen by the bot; SIGTERM to every process of the unit at once."""
    psv("adopt", "--wrap", "main.py", cwd=project)
    unit = f"[Service]\nType=notify\nWorkingDirectory={project}\nExecStart={sys.executable} {project}/main.py --unit\n"
    (execstart,) = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30)
        manager.bind("\0psv-test-" + os.urandom(8).hex())
        process = start(shlex.split(execstart), NOTIFY_SOCKET="@" + manager.getsockname()[1:].decode())
        while b"READY=1" not in manager.recv(4096):
            pass
        assert (tmp_path / "out").read_text().split() == ["up", "['--unit']", str(project), str(project), "secret", "hello", "None"]
        for pid in below(process.pid):
            with contextlib.suppress(ProcessLookupError):  # one of a moment, or that the first of them ended
                os.kill(pid, signal.SIGTERM)
        while b"STOPPING=1" not in manager.recv(4096):
            pass
    assert process.wait(30) == 0


@pytest.mark.root
def test_cmd_of_a_dockerfile(psv: Psv, project: Path, tmp_path: Path, start: Start) -> None:
    """As PID 1 of a namespace of its own: orphans are reaped, `docker stop` ends all of it with status 0."""
    (project / "main.py").write_text(MAIN.replace("    import part\n", "    import part\n    os.system('sleep 0.1 & sleep 0.2 &')\n"))
    dockerfile = f'FROM python\nCMD ["{sys.executable}", "main.py"]\n'
    (project / "Dockerfile").write_text(dockerfile)
    assert "Dockerfile must copy bot.py and config.py too" in psv("adopt", "--wrap", "main.py", cwd=project).stdout
    container = start(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *json.loads(dockerfile.partition("CMD ")[2])])
    said(tmp_path, "err", "psv: bot  ready after")
    (first,) = [int(pid) for pid in Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()]
    assert "NSpid:\t" in Path(f"/proc/{first}/status").read_text() and Path(f"/proc/{first}/status").read_text().split("NSpid:\t")[1].split()[1] == "1"

    def none_waits() -> bool:
        return not any(") Z " in Path(f"/proc/{pid}/stat").read_text() for pid in below(first))

    eventually(none_waits, "no zombie is left")
    os.kill(first, signal.SIGTERM)
    assert container.wait(30) == 0


@pytest.mark.slow
def test_a_fleet_beside_it_is_the_fleet(psv: Psv, project: Path, tmp_path: Path, start: Start) -> None:
    """With a fleet.toml `python main.py` is the fleet; a bot of it that still names main.py runs the program, not a fleet in the fleet."""
    (project / "fleet.toml").write_text('[fleet]\nname = "f"\n\n[bots.old]\nscript = "main.py"\nready = { log = "^up" }\n')
    told = psv("adopt", "--wrap", "main.py", cwd=project).stdout
    assert 'the bot old in fleet.toml runs main.py: write script = "bot.py" there' in told
    process = start([sys.executable, "main.py"])
    said(tmp_path, "out", "old  ready after")
    process.terminate()
    assert process.wait(30) == 0
