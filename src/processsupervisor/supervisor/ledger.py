"""Every change of a bot's state is written to history and told as an event, unless it only repeats what stands there already.

A new psvd takes each bot through the table again: one that rests comes to rest, one that runs is adopted. Where the last row of its
history ends there, in the same generation, nothing happened to the bot, and nobody is told so. The machine itself moves all the same,
and psvd's own parts hear of each step.
"""

from __future__ import annotations

from processsupervisor.commands.ports import ASKING
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger
from processsupervisor.process.lifecycle import Transition
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.gates import ANEW
from processsupervisor.supervisor.store import Store

_ASKED = frozenset({Trigger.LAUNCH, Trigger.STOP, Trigger.RESTART, Trigger.PAUSE, Trigger.RESUME})
_ENDING = frozenset({State.STOPPING, State.RESTARTING})
_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED}) | _ENDING
_LEADS_ON = {State.STARTING: _READY | {State.STARTING, State.RESUMING}, State.RUNNING: _READY, State.PAUSED: _ENDING | {State.PAUSED}}
"""By each step of an adoption: in which states a bot has taken it before."""
_SAME_AGAIN = frozenset({State.STOPPED, State.TERMINATED, State.UNKNOWN}) | _ENDING


class Ledger:
    """Writes to `store` and tells through `events`."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._last = store.last_transitions()  # of bots that have done nothing new yet

    def note(self, transition: Transition) -> None:
        """Take one transition; psvd's own parts hear of all."""
        if self._is_repeated(transition):
            self._events.tell("transition", is_restored=True, **transition.facts())
            return
        asked_by = asked_by_of(transition)
        self._store.add_transition(transition, asked_by)
        self._events.tell("transition", **transition.facts(), **({"by": asked_by} if asked_by else {}))

    def _is_repeated(self, transition: Transition) -> bool:
        if (last := self._last.get(transition.bot)) is None:
            return False
        state, generation, reason = last
        if transition.generation == generation:
            if transition.reason == "adopted" and state in _LEADS_ON.get(transition.after, ()):
                return True
            if transition.after == state and (state in _SAME_AGAIN or (state == State.FAILED and transition.reason == reason)):
                return True
        del self._last[transition.bot]
        return False


def asked_by_of(transition: Transition) -> str | None:
    """Return who asked for a transition by a command that is being carried out now."""
    is_asked = transition.trigger in _ASKED and transition.reason in ("", "command", ANEW, Reason.ADMIN)
    return ASKING.get() if is_asked else None
