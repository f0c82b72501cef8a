"""What somebody should look at, told once: an event when it begins, a note in status for as long as it lasts.

Kept in memory; a new psvd finds in the bots' records what its predecessor had told (failures.py).
"""

from __future__ import annotations

from processsupervisor.config.spec import RestartSpec
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.events import Event, Events

TOO_LARGE = "it needs more memory than its recycle limit: raise that in fleet.toml"


def loop_message(last: ExitRecord | None, policy: RestartSpec) -> str:
    """Return what is told of a crash loop whose last exit this was, None when that is not known."""
    reason = last.reason if last is not None else Reason.UNKNOWN
    tried = f"it is tried once each {round(float(policy['retry_failed_s']))} s"
    if last is not None and reason is Reason.MEMORY_POLICY:
        return f"is {last.message} again and again; {TOO_LARGE}; {tried}"
    return f"ends again and again ({reason}); {tried}"


class Alerts:
    """One fleet's open alerts by bot and subject (a word such as "crash-loop")."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._open: dict[tuple[str, str], str] = {}

    def tell(self, bot: str, what: str, message: str) -> None:
        """Open an alert, with one event; one that is open gets the newer message only."""
        is_new = (bot, what) not in self._open
        self._open[bot, what] = message
        if is_new:
            self._events.tell("alert", bot=bot, what=what, message=message)

    def recall(self, bot: str, what: str, message: str) -> None:
        """Open again, without an event, what an earlier psvd told."""
        self._open[bot, what] = message

    def bots(self, what: str) -> list[str]:
        """Return the bots for which it is open."""
        return [bot for bot, subject in self._open if subject == what]

    def is_open(self, bot: str, what: str) -> bool:
        """Tell whether it was told and lasts."""
        return (bot, what) in self._open

    def close(self, bot: str, what: str) -> None:
        """Note that it is over; doing it twice does nothing."""
        self._open.pop((bot, what), None)

    def forget(self, bot: str) -> None:
        """Note that the fleet has this bot no more."""
        for key in [key for key in self._open if key[0] == bot]:
            del self._open[key]

    def on_event(self, event: Event) -> None:
        """Close what was told of a bot that has come to rest."""
        if event.get("kind") == "transition" and event.get("to") in (State.STOPPED, State.TERMINATED):
            self.forget(str(event["bot"]))

    def notes(self) -> list[dict[str, str]]:
        """Return `{subject, message}` of all that lasts."""
        return [{"subject": bot, "message": message} for (bot, _), message in self._open.items()]
