"""Fork and exec of a bot that is any program; runs in the keeper, so the program is the keeper's own child.

Everything that can fail after the fork is reported by the child through failure.json and exit status 126.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import Any

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import PsvError, refused_by_system
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_LAUNCH_FAILED, Reason
from processsupervisor.launch.context import LaunchContext, LaunchFailed, load_context, report_failure
from processsupervisor.launch.steps import become, fork_with_signals_blocked, prepare, restore_signals_for_exec


def launch_program(paths: FleetPaths, bot: str, generation: int, nofile: tuple[int, int]) -> dict[str, Any]:
    """Fork the program of run/bots/BOT/spec.json and return `{pid, start_ticks}`.

    Raises SystemRefused when the fork itself is refused (processes or memory ran out).
    """
    reach(CrashPoint.KEEPER_BEFORE_LAUNCH)
    try:
        pid = fork_with_signals_blocked()
    except OSError as err:
        raise refused_by_system("cannot fork", err, hint="the machine is out of processes or memory; it is tried again") from err
    if pid == 0:
        _run(paths, bot, generation, nofile)
    reach(CrashPoint.KEEPER_LAUNCHED)
    identity = Identity.of(pid)
    return {"pid": pid, "start_ticks": identity.start_ticks if identity else 0}


def _run(paths: FleetPaths, bot: str, generation: int, nofile: tuple[int, int]) -> None:
    """Be the child: take the steps, become the program; never returns."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, nofile)
        context = load_context(paths.folder, bot, generation)
        environment = prepare(context)
        become(context)
        _execute(context, environment)
    except PsvError as err:
        report_failure(str(paths.folder), bot, generation, err)
    except BaseException as err:  # noqa: BLE001 - a forked child must never return into the keeper's loop
        report_failure(str(paths.folder), bot, generation, PsvError(f"{type(err).__name__}: {err}"))
    finally:
        os._exit(EXIT_LAUNCH_FAILED)


def _execute(context: LaunchContext, environment: dict[str, str]) -> None:
    argv = [str(part) for part in context.spec["argv"]]
    restore_signals_for_exec()
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as err:
        raise LaunchFailed(Reason.EXEC_FAILED, f'cannot run "{argv[0]}": {os.strerror(err.errno or 0)}', hint=_way_out(err)) from err


def _way_out(err: OSError) -> str:
    match err.errno:
        case errno.ENOENT:
            return "name an existing program, by an absolute path, relative to cwd, or one on the bot's PATH"
        case errno.EACCES:
            return "make it executable: chmod +x"
        case errno.ENOEXEC:
            return "the file is no program; a script needs a first line such as #!/usr/bin/env python3"
        case _:
            return "see psv logs of the bot"
