"""What somebody should look at, told once: an event when it begins, a note in status for as long as it lasts.

Kept in memory; a new psvd finds in the bots' records what its predecessor had told (failures.py).
"""

from __future__ import annotations

from processsupervisor.config.spec import RestartSpec
from processsupervisor.kernel.states import State
from processsupervisor.supervisor.events import Event, Events


def loop_message(reason: str, policy: RestartSpec) -> str:
    """Return what is told of a crash loop whose last exit had this reason."""
    return f"ends again and again ({reason}); it is tried once each {round(float(policy['retry_failed_s']))} s"


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

    def on_event(self, event: Event) -> None:
        """Close what was told of a bot that has come to rest."""
        if event.get("kind") == "transition" and event.get("to") in (State.STOPPED, State.TERMINATED):
            for key in [key for key in self._open if key[0] == event["bot"]]:
                del self._open[key]

    def notes(self) -> list[dict[str, str]]:
        """Return `{subject, message}` of all that lasts."""
        return [{"subject": bot, "message": message} for (bot, _), message in self._open.items()]
