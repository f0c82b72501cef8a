"""What the supervisors that run on this machine say of their programs: supervisord and pm2 know those that wait for their next try,
of which no process is to be seen.

Only supervisors whose process is there are asked, each once, and none of another container. Standard library only.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.config.asking import NoAnswerError, ask_pm2, ask_supervisord
from processsupervisor.config.cmdline import bare
from processsupervisor.config.overseer import GOD_DAEMON, Overseer, pm2_stop, supervisorctl_stop
from processsupervisor.config.processes import Process, environment_of, processes

_ENDED = {"supervisord": ("STOPPED", "EXITED", "FATAL"), "pm2": ("stopped", "errored")}
_HOME = re.compile(r"\((/.*)\)\s*$")
_BESIDE = ("../etc/supervisord.conf", "../supervisord.conf")
_PLACES = ("supervisord.conf", "etc/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
"""Where supervisord looks for its file when it is given none: seen from its program, and from the folder it is started in."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a supervisor runs or will run again by itself; `pid` is 0, or that of an ended process, while it waits."""

    overseer: Overseer
    argv: list[str]
    cwd: str
    state: str
    pid: int


@dataclass(slots=True)
class Word:
    """What all of them say, and why those that were asked in vain did not."""

    programs: list[Program] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


def ask_supervisors(running: Iterable[Process], proc: Path) -> Word:
    """Ask every supervisord and pm2 among the processes."""
    word = Word()
    for process in running:
        by = _kind(process)
        if not by or not _is_near(proc, process.pid):
            continue
        try:
            found = _of_supervisord(process, proc) if by == "supervisord" else _of_pm2(process, proc)
            word.programs += [program for program in found if program.state not in _ENDED[by]]
        except NoAnswerError as err:
            word.silent.append(f"{by} (pid {process.pid}) cannot be asked: {err}; a program of it that waits for its next try is not seen")
        except (LookupError, TypeError, ValueError) as err:
            word.silent.append(f"{by} (pid {process.pid}) answers otherwise than psv knows it ({type(err).__name__})")
    return word


def folder_of(configuration: Path, proc: Path = Path("/proc")) -> Path:
    """Return where a supervisord with this configuration runs its programs: its own folder if it runs, else that of the file."""
    wanted = Path(os.path.realpath(configuration))
    for process in processes(proc) if proc.is_dir() else ():
        if _kind(process) == "supervisord" and process.cwd and _is_near(proc, process.pid):
            path = _configuration(process, environment_of(proc, process.pid))
            if path is not None and Path(os.path.realpath(path)) == wanted:
                return Path(process.cwd)
    return configuration.parent


def _kind(process: Process) -> str:
    if " ".join(process.argv).startswith(GOD_DAEMON):
        return "pm2"
    words = bare(process.argv)
    is_module = words[:2] == ["-m", "supervisor.supervisord"]
    return "supervisord" if is_module or words[0].rpartition("/")[2] == "supervisord" else ""


def _is_near(proc: Path, pid: int) -> bool:
    """Tell whether a process sees the same files; of another user's it may not be known."""
    with contextlib.suppress(OSError):
        return (proc / str(pid) / "ns/mnt").readlink() == (proc / "self/ns/mnt").readlink()
    return True


def _of_supervisord(process: Process, proc: Path) -> Iterator[Program]:
    url, user, password = _address(process, environment_of(proc, process.pid))
    configured = ask_supervisord(url, "getAllConfigInfo", user, password)
    states = {(one["group"], one["name"]): one for one in ask_supervisord(url, "getAllProcessInfo", user, password)}
    for one in configured:
        now = states.get((one["group"], one["name"]))
        if now is None:
            continue  # in the file, but not in what runs: supervisorctl update would take it
        cwd = process.cwd if one["directory"] == "none" else os.path.join(process.cwd, one["directory"])  # noqa: PTH118 - both are texts
        overseer = Overseer("supervisord", one["name"], supervisorctl_stop(url, one["group"], one["name"]))
        yield Program(overseer, shlex.split(one["command"]), cwd, now["statename"], now["pid"])


def _address(process: Process, environment: dict[str, str]) -> tuple[str, str, str]:
    """Return where a supervisord listens, with user and password, from the file that it was started with."""
    path = _configuration(process, environment)
    if path is None:
        raise NoAnswerError("its configuration is not found")
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, ValueError, configparser.Error) as err:
        raise NoAnswerError(f"{path} cannot be read") from err

    def value(section: str, key: str) -> str:
        text = parser.get(section, key, fallback="").strip("\"'")
        text = re.sub(r"%\(ENV_(\w+)\)s", lambda match: environment.get(match[1], ""), text)
        return text.replace("%(here)s", str(path.parent)).replace("%%", "%")

    for section, key in (("unix_http_server", "file"), ("inet_http_server", "port")):
        if where := value(section, key):
            if section == "unix_http_server":
                url = f"unix://{_plain(Path(process.cwd, where))}"
            else:
                host, _, port = where.rpartition(":")
                url = f"http://{host if host not in ('', '*', '0.0.0.0') else '127.0.0.1'}:{port}"
            return url, value(section, "username"), value(section, "password")
    raise NoAnswerError(f"{path} has no [unix_http_server]")


def _configuration(process: Process, environment: dict[str, str]) -> Path | None:
    return next((path for path in map(_plain, _files(process, environment)) if path.is_file()), None)


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _files(process: Process, environment: dict[str, str]) -> Iterator[Path]:
    folders = [Path(folder) for folder in (process.cwd, environment.get("PWD", "")) if folder]
    given = ""
    for index, word in enumerate(process.argv):
        if word in ("-c", "--configuration"):
            given = process.argv[index + 1] if index + 1 < len(process.argv) else ""
        elif word.startswith("--configuration="):
            given = word.partition("=")[2]
        elif word.startswith("-c"):
            given = word[2:]
    if given:
        yield from (folder / given for folder in folders or [Path("/")])
        return
    program = next((word for word in process.argv if word.endswith("/supervisord")), "")
    yield from (Path(program).parent / place for place in _BESIDE if program)
    yield from (folder / place for folder in folders or [Path("/")] for place in _PLACES)


def _of_pm2(process: Process, proc: Path) -> Iterator[Program]:
    match = _HOME.search(" ".join(process.argv))  # cut off where the title had no room
    home = environment_of(proc, process.pid).get("PM2_HOME") or (match[1] if match else "")
    if not home:
        raise NoAnswerError("nothing names its PM2_HOME")
    for one in ask_pm2(home):
        kept: dict[str, Any] = one["pm2_env"]
        arguments = kept.get("args") or []
        words = [kept["pm_exec_path"], *([arguments] if isinstance(arguments, str) else map(str, arguments))]
        interpreter = kept.get("exec_interpreter") or "none"
        if interpreter != "none":
            words = [interpreter, *map(str, kept.get("node_args") or []), *words]
        overseer = Overseer("pm2", one["name"], pm2_stop(one["name"], home))
        yield Program(overseer, words, kept["pm_cwd"], kept["status"], one.get("pid") or 0)
