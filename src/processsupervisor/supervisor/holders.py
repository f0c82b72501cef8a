"""Ending a process of ours that nobody talks to any more and that only the lock of its role still shows.

An earlier keeper's web process or zygote outlives its keeper, and the psvd that knew it may be gone too; while it holds the
role's lock no new one can begin.
"""

from __future__ import annotations

import asyncio
import signal

from processsupervisor.kernel.files import is_flocked, read_json
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths

_DEADLINE_S = 5.0


def signal_holder(paths: FleetPaths, role: str, number: int) -> bool:
    """Signal whoever holds and signed the lock of `role`; False when nobody does. Raises OSError or PsvError when it cannot be seen."""
    lock = paths.role_lock(role)
    is_held = is_flocked(lock)
    if is_held:
        send_signal(Identity.from_json(read_json(lock)), number)
    return is_held


async def end_holder(paths: FleetPaths, role: str, *, ask_s: float = 0.0) -> None:
    """End whoever holds the lock of `role`, by SIGTERM and `ask_s` later by SIGKILL, and wait until it is free, at most 5 s."""
    now = asyncio.get_running_loop().time
    began = now()
    is_held = signal_holder(paths, role, signal.SIGTERM if ask_s else signal.SIGKILL)
    while is_held and now() - began < _DEADLINE_S:
        await asyncio.sleep(0.01)  # until the kernel has freed the lock of a process that is not our child
        is_held = signal_holder(paths, role, signal.SIGKILL if now() - began >= ask_s else 0)
