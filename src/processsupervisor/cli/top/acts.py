"""What the keys have psvd do. One call a key, answered at once: how it goes is seen in the table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from processsupervisor.cli.session import safe
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths

_MOST_NAMED = 3


class Act(NamedTuple):
    """One operation. `interrupts`: it ends or holds up what the bots do, so it is asked before it befalls several."""

    op: str
    word: str
    interrupts: bool


ACTS = {
    "start": Act("bot.start", "Start", False),
    "stop": Act("bot.stop", "Stop", True),
    "restart": Act("bot.restart", "Restart", True),
    "pause": Act("bot.pause", "Pause", True),
    "resume": Act("bot.resume", "Resume", False),
}


class Outcome(NamedTuple):
    """What came of it, in a line for the user."""

    is_ok: bool
    message: str


def begin(call: Callable[[], object]) -> None:
    """Have it done on a thread that nobody waits for: a psvd that hangs holds up neither the logs nor the end of the screen."""
    threading.Thread(target=call, daemon=True).start()


def carry_out(paths: FleetPaths, act: Act, names: Sequence[str]) -> Outcome:
    """Ask psvd to do it to these bots, without waiting until it is done; what psvd refuses is said."""
    try:
        with ControlClient(paths) as client:
            rows = client.call(act.op, {"names": list(names), "wait": False})
    except (PsvError, OSError) as err:
        return Outcome(False, safe(str(err)))
    refused = [f"{row.get('name')}: {row.get('message')}" for row in rows if not row.get("ok")]
    if refused:
        more = f" and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
        return Outcome(False, safe("; ".join(refused[:_MOST_NAMED]) + more))
    return Outcome(True, f"{act.word}: {bots(names)}")


def bots(names: Sequence[str]) -> str:
    """Return which bots these are, in few words."""
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} bots"
