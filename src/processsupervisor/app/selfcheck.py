"""What each own process does once, on a copy of a fleet's records, to show that this copy of the package can run that fleet.

`boot.py processsupervisor.app.selfcheck ROLE FOLDER`; any exception is the answer no. FOLDER is thrown away afterwards.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable

from processsupervisor.config.applied import read_applied
from processsupervisor.ipc.journal import read
from processsupervisor.kernel.errors import ProtocolError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code


def check_keeper(paths: FleetPaths) -> None:
    """Read the journal, take everything a keeper takes, and bring it through the form in which it crosses an exec."""
    from processsupervisor.process import keeper
    from processsupervisor.process.holdings import Holdings, unpack

    sequence = max((entry.sequence for entry in read(paths.journal)), default=0)
    held = Holdings.take(paths, is_foreground=False, progress_pid=None)
    held.roles.keep_all(Code.own())
    held.journal.append(os.getpid(), 0, sequence, 0.0)
    again, _ = unpack(paths, held.pack({}))
    keeper.Keeper(again).listen()


def check_psvd(paths: FleetPaths) -> None:
    """Read settings, psv.db and every bot's evidence, and show every bot as status would."""
    asyncio.run(_check_psvd(paths))


async def _check_psvd(paths: FleetPaths) -> None:
    from processsupervisor.supervisor import view
    from processsupervisor.supervisor.adoption import examine, journal_by_identity
    from processsupervisor.supervisor.daemon import Psvd
    from processsupervisor.supervisor.fleet import Fleet

    applied = read_applied(paths)
    Psvd(paths, applied)
    fleet = Fleet(paths, applied, lambda _status: None)
    if fleet.store.problem:
        raise SystemRefused(fleet.store.problem)
    ended = journal_by_identity(paths)
    for handle in fleet.handles.values():
        examine(paths, handle.name, ended)
        fleet.store.last_exit(handle.name)
        view.detail(handle, None)


def check_logd(paths: FleetPaths) -> None:
    """Take the lock and everything else that a logd needs before it serves."""
    from processsupervisor.process.logd import Logd

    Logd(paths).open()


def check_web(paths: FleetPaths) -> None:
    """Put the web application together."""
    from processsupervisor.web.main import compose
    from processsupervisor.web.settings import Applied
    from processsupervisor.web.sse import Streams

    compose(paths, Applied(paths).listen(), Streams())


def check_notify(paths: FleetPaths) -> None:
    """Read settings and open a queue as the notifier does; the sending process loads what it needs."""
    from processsupervisor.notify.queue import Queue

    read_applied(paths)
    Queue(paths.data / "notify.db").close()
    for module in ("notifier", "http", "mail", "program"):
        importlib.import_module(f"processsupervisor.notify.{module}")


def check_zygote(paths: FleetPaths) -> None:
    """Load what a zygote and a native bot run."""
    for module in ("zygote.main", "zygote.child", "bot.runner", "bot.api"):
        importlib.import_module(f"processsupervisor.{module}")


_CHECKS: dict[str, Callable[[FleetPaths], None]] = {
    "keeper": check_keeper,
    "psvd": check_psvd,
    "logd": check_logd,
    "web": check_web,
    "notify": check_notify,
    "zygote": check_zygote,
}


def main(argv: list[str]) -> int:
    """Check the role `argv[0]` in the folder `argv[1]`; returns 0, or raises what is wrong."""
    if argv[0] not in _CHECKS:
        raise ProtocolError(f'there is no role "{argv[0]}" to check')
    _CHECKS[argv[0]](FleetPaths(argv[1]))
    return 0
