"""Asks whether a changed bot can be imported, of one process for each interpreter (zygote/rehearsal.py), before the old one is stopped."""

from __future__ import annotations

import contextlib
import json
import subprocess

from processsupervisor.config.imports import scan_script
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code

_MODULE = "processsupervisor.zygote.rehearsal"


class Rehearsals:
    """The processes that answer, made when first asked for; `warm` makes them before."""

    def __init__(self, paths: FleetPaths, code: Code) -> None:
        self._paths = paths
        self._code = code
        self._processes: dict[tuple[str, str], subprocess.Popen[str]] = {}

    def warm(self, spec: BotSpec) -> None:
        """Start the process for this bot, so that it has its libraries when the first change comes."""
        if _can_be_asked(spec):
            self._process(spec)

    def error_of(self, spec: BotSpec) -> str | None:
        """Return what importing the bot as it is on disk says, None when it works or cannot be known beforehand."""
        settings = self._paths.bot_run(spec["name"]) / "spec.json"
        if not _can_be_asked(spec) or not settings.is_file():
            return None
        process = self._process(spec)
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{settings}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            return None  # it has ended: the bot itself will say what is wrong
        error = answer.get("error")
        return str(error) if error else None

    def _process(self, spec: BotSpec) -> subprocess.Popen[str]:
        libraries = sorted({*spec["preload"], *_libraries(spec)})
        key = (spec["python"] or self._code.python, ",".join(libraries))
        found = self._processes.get(key)
        if found is None or found.poll() is not None:
            argv = Code(self._code.package, key[0]).argv(_MODULE, key[1])
            found = self._processes[key] = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
            )
        return found

    def close(self) -> None:
        """End all of them."""
        for process in self._processes.values():
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()


def _can_be_asked(spec: BotSpec) -> bool:
    """A command is no Python that we know of; what runs as another user must not be imported by this one."""
    return spec["kind"] != "command" and spec["user"] is None and not spec["error"]


def _libraries(spec: BotSpec) -> tuple[str, ...]:
    from pathlib import Path

    return scan_script(Path(spec["script"]), Path(spec["cwd"])).libraries if spec["kind"] == "script" and spec["script"] else ()
