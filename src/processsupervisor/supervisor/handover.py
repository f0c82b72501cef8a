"""How a running fleet takes over other applied settings: psvd ends, and the next one reads them and adopts every bot.

Nothing here changes a fleet in memory: what a new psvd makes of its folder is tried a thousand times over by whoever kills psvd.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

from processsupervisor.kernel.errors import Refused
from processsupervisor.supervisor.fleet import RESTING, Fleet


def hand_over(fleet: Fleet, resting: Sequence[str], *, is_rolling: bool) -> dict[str, object]:
    """End this psvd, unless one of `resting` does not rest; returns its pid. Raises Refused, and nothing has changed then."""
    if not fleet.can_start:
        raise Refused("the fleet is going down, or has no keeper", hint="see psv status")
    if is_rolling:
        raise Refused("a rollout is under way", hint="wait for its end")
    for name in resting:
        handle = fleet.handles.get(name)
        if handle is not None and handle.life.state not in RESTING:
            raise Refused(f"{name} is {handle.life.state}", hint=f"stop it first: psv stop {name}")
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
    return {"pid": os.getpid()}
