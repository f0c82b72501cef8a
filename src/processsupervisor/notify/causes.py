"""Which events are trouble that people are told of, and which end it. Pure: an event in, what it says about one bot out.

docs/howto/notify.md has the same table in words. What happens again within an hour is gathered by queue.py.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from processsupervisor.kernel.clock import wall

Event = dict[str, object]
_TOLD_OTHERWISE = frozenset({"crash-loop", "budget", "dependency"})
"""Reasons of FAILED that are alerts of their own, or only a matter of time."""
_MOST_PSVD = 3
_WITHIN_S = 600.0


class Until(StrEnum):
    """What ends a trouble."""

    UP = "up"  # the bot has run for its stable_after
    HEALTH = "health"  # psvd says that it is healthy
    DATABASE = "psv.db"
    SPACE = "space"
    PSVD = "psvd"
    KEEPER = "keeper"


class Notice(NamedTuple):
    """One cause; `bot` is empty for the fleet as a whole. `until` None: it is told and has no end.

    `is_restated`: perhaps a new psvd only says again how it stands, so it is told only if it is not open already.
    """

    cause: str
    bot: str
    text: str
    at: float
    until: Until | None
    is_restated: bool = False


class Turn(StrEnum):
    """What else an event says about a bot."""

    ROSE = "rose"  # it is ready now
    FELL = "fell"  # it is not
    RESTS = "rests"  # somebody wants it down, or its work is done
    IS_WELL = "is-well"  # it has shown that it does its work


class News(NamedTuple):
    """All that one event means: notices to send, turns of a bot, and which troubles of it are over."""

    notices: tuple[Notice, ...] = ()
    turn: Turn | None = None
    over: Until | None = None


NOTHING = News()


class Causes:
    """Reads events in their order. `unhealthy_only` are the bots that are left alone when a check has failed (action = "none")."""

    def __init__(self, unhealthy_only: Collection[str]) -> None:
        self._unhealthy_only = unhealthy_only
        self._messages: dict[str, str] = {}
        self._psvds: list[float] = []
        self._failed: set[str] | None = None  # since the fleet was started; None: that was before this notifier

    def of(self, event: Event) -> News:
        """Return what an event means; most mean nothing."""
        bot, message = str(event.get("bot") or ""), str(event.get("message") or "")
        at = event.get("at")
        when = float(at) if isinstance(at, (int, float)) else wall()
        match event.get("kind"):
            case "transition":
                return self._of_transition(bot, event, str(event.get("reason") or ""), when)
            case "exit":
                return self._of_exit(bot, str(event.get("reason")), message, when)
            case "alert":
                return _of_alert(bot, str(event.get("what")), message, when, is_over=bool(event.get("is_over")))
            case "hang":
                return News((Notice("hang", bot, message, when, Until.UP),))
            case "health":
                return self._of_health(bot, event, message, when)
            case "task" if event.get("state") == "ended" and event.get("reason") == "clean":
                return News(turn=Turn.IS_WELL)
            case "psvd":
                return self._of_psvd(when, is_cold=bool(event.get("is_cold")))
        return NOTHING

    def _of_transition(self, bot: str, event: Event, reason: str, when: float) -> News:
        to = str(event.get("to"))
        if to == "RUNNING":
            return News(turn=Turn.ROSE)
        if to in ("STOPPED", "TERMINATED"):
            return News(turn=Turn.RESTS)
        if to != "FAILED" or reason in _TOLD_OTHERWISE:
            return News(turn=Turn.FELL)
        # A psvd that takes over brings a bot that rests from INITIALIZING to where it was, without an exit before it.
        is_restated = event.get("from") == "INITIALIZING" and bot not in self._messages and (self._failed is None or bot in self._failed)
        if self._failed is not None:
            self._failed.add(bot)
        why = self._messages.pop(bot, "")
        text = f"{reason}: {why}" if why and reason not in why else why or reason or "it has failed"
        return News((Notice("failed", bot, text, when, Until.UP, is_restated),), Turn.FELL)

    def _of_exit(self, bot: str, reason: str, message: str, when: float) -> News:
        self._messages[bot] = message
        if reason == "oom":
            return News((Notice("oom", bot, message or "killed because its memory was used up", when, Until.UP),))
        if reason == "disk":
            return News((Notice("disk", bot, message or "ended because the disk is full", when, Until.UP),))
        return NOTHING

    def _of_health(self, bot: str, event: Event, message: str, when: float) -> News:
        if event.get("health") == "healthy":
            return News(over=Until.HEALTH)
        if event.get("connected") is False:
            return News((Notice("deaf", bot, message, when, Until.HEALTH, is_restated=True),))
        if bot in self._unhealthy_only:
            return News((Notice("failed", bot, f"unhealthy: {message}", when, Until.HEALTH, is_restated=True),))
        return NOTHING

    def _of_psvd(self, when: float, *, is_cold: bool) -> News:
        """A psvd that comes and goes answers each time, so nobody misses it for long: too many of them are told."""
        if is_cold:
            self._psvds.clear()
            self._failed = set()
            return NOTHING
        self._psvds = [at for at in self._psvds if 0 <= when - at < _WITHIN_S] + [when]
        if len(self._psvds) < _MOST_PSVD:
            return NOTHING
        self._psvds.clear()
        return News((Notice("psvd", "", f"psvd was replaced {_MOST_PSVD} times within {_WITHIN_S / 60:g} minutes", when, None),))


def _of_alert(bot: str, what: str, message: str, when: float, *, is_over: bool) -> News:
    match what:
        case "crash-loop" | "budget":
            return News((Notice(what, bot, message, when, Until.UP),))
        case "psv.db" if is_over:
            return News(over=Until.DATABASE)
        case "psv.db":
            return News((Notice("disk", "", message, when, Until.DATABASE, is_restated=True),))
    return NOTHING
