"""How a zygote comes to be: its plan in a file, the process started by the keeper, the connection as soon as it listens."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.process.launcher import KeeperPort, ZygoteSet
from processsupervisor.supervisor.holders import end_holder
from processsupervisor.supervisor.zygotelink import ZygoteGone

ROLE = "zygote-"
"""The role of the zygote KEY is ROLE + KEY."""
_MODULE = "processsupervisor.zygote.main"
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PSV_RUNTIME_DIR", "XDG_RUNTIME_DIR")
_LISTENS_WITHIN_S = 15.0


async def spawn(paths: FleetPaths, keeper: KeeperPort, key: str, wanted: ZygoteSet) -> None:
    """Let the keeper start the zygote `key`, after whoever holds its lock has ended; raises SystemRefused when it cannot."""
    role = ROLE + key
    await end_holder(paths, role)
    reach(CrashPoint.PSVD_BEFORE_ZYGOTE)
    plan = {"preload": list(wanted.preload), "native": wanted.is_native}
    if read_json(paths.run / f"{role}.json") != plan:  # on a full disk the one that is there serves
        write_json(paths.run / f"{role}.json", plan)
    with contextlib.suppress(FileNotFoundError):
        paths.socket(role).unlink()
    # Another interpreter or virtualenv sees this package, and nothing else of our environment, through boot.py.
    own = Code.own()
    argv = Code(own.package, wanted.python or own.python).argv(_MODULE, str(paths.folder), key)
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    reach(CrashPoint.PSVD_ZYGOTE_WRITTEN)
    await keeper.request("spawn", role=role, argv=argv, env=env)
    reach(CrashPoint.PSVD_ZYGOTE_SPAWNED)


async def connect(paths: FleetPaths, key: str, is_alive: Callable[[str], bool]) -> LineSocket:
    """Connect as soon as the zygote listens, which it does before it preloads.

    Raises ZygoteGone when it has ended, SystemRefused when it lives and does not listen in time.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + _LISTENS_WITHIN_S
    while True:
        try:
            return LineSocket(connect_unix(paths.socket(ROLE + key), 2.0))
        except OSError as err:
            if not is_alive(key):
                raise ZygoteGone("the zygote is gone", hint="see .psv/logs/psv/zygote-*.err") from err
            if now() > deadline:
                raise SystemRefused("the zygote did not start", hint="see .psv/logs/psv/zygote-*.err") from err
        await asyncio.sleep(0.01)  # a socket file that appears gives no event short of inotify
