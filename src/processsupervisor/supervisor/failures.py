"""Which failures of a bot are alerts: those that only a person can end (auth, conflict, config), told once until it is over.

Crash loops and budgets are told where they are found (aftermath.py, budget.py). A new psvd tells none of these again: what a bot's
record says was told, and is noted in status with what is known of it now.
"""

from __future__ import annotations

from typing import Any

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.lifecycle import Transition
from processsupervisor.supervisor import view
from processsupervisor.supervisor.alerts import loop_message
from processsupervisor.supervisor.fleet import Fleet

_FOR_A_PERSON = (Reason.AUTH, Reason.CONFLICT, Reason.CONFIG)
_CHARACTERS = 500


class Failures:
    """Tells the alerts of one fleet's failures."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def on_transition(self, transition: Transition) -> None:
        """Open an alert for a bot that is given up, and close those of one that runs again."""
        handle = self._fleet.handles[transition.bot]
        if transition.after is State.FAILED and transition.reason in _FOR_A_PERSON:
            self._fleet.alerts.tell(handle.name, transition.reason, _message(handle))
        elif transition.after is State.RUNNING:
            for reason in _FOR_A_PERSON:
                self._fleet.alerts.close(handle.name, reason)

    def recall(self, handle: BotHandle, facts: dict[str, Any]) -> None:
        """Open again, without an event, what an earlier psvd told of a bot whose record says `facts`."""
        reason, last = facts.get("reason"), self._fleet.store.last_exit(handle.name)
        if reason == Reason.CRASH_LOOP:
            self._fleet.alerts.recall(handle.name, reason, loop_message(last, handle.spec["restart"]))
        elif reason == Reason.BUDGET or (reason in _FOR_A_PERSON and facts.get("state") == State.FAILED):
            self._fleet.alerts.recall(handle.name, str(reason), f"is FAILED ({reason})")  # in full once it is FAILED again


def _message(handle: BotHandle) -> str:
    last = handle.last_exit
    why = handle.spec["error"] or (last.message if last is not None else "") or str(handle.reason)
    return f"is FAILED ({handle.reason}): {why[:_CHARACTERS]}; {view.what_to_do(handle)}".removesuffix("; ")
