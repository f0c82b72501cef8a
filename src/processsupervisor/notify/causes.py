"""Which events are trouble that people are told of, and which end it: an event in, what it says about one bot out.

Causes are read from exits and states, which a new psvd tells again when the one before was killed over them; `alert` and `hang` only lend
their words. docs/howto/notify.md has the same table for people. What happens again within an hour is gathered by queue.py.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from processsupervisor.kernel.clock import wall

Event = dict[str, object]
_OF_THEIR_OWN = frozenset({"crash-loop", "budget"})
"""Reasons of FAILED that are causes; a bot comes to them again at each try, and is told once until it is well."""
_OF_EXIT = {"oom": "killed because its memory was used up", "hang": "it hung", "disk": "ended because the disk is full"}
_HAND_OVER = "fleet.hand-over"


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
        self._alerts: dict[tuple[str, str], str] = {}
        self._is_asked_for = False  # somebody had psvd replaced: by psv bot add, say, or psv upgrade
        self._failed: set[str] | None = None  # since the fleet was started; None: that was before this notifier

    def of(self, event: Event) -> News:
        """Return what an event means; most mean nothing."""
        bot, message = str(event.get("bot") or ""), str(event.get("message") or "")
        message = message.encode("utf-8", "replace").decode()  # a name of a file may hold what neither the queue nor a mail takes
        at = event.get("at")
        when = float(at) if isinstance(at, (int, float)) else wall()
        match event.get("kind"):
            case "transition":
                return self._of_transition(bot, event, str(event.get("reason") or ""), when)
            case "exit":
                return self._of_exit(bot, str(event.get("reason")), message, when)
            case "alert":
                return self._of_alert(bot, event, message, when)
            case "health":
                return self._of_health(bot, event, message, when)
            case "task" if event.get("state") == "ended" and event.get("reason") == "clean":
                return News(turn=Turn.IS_WELL)
            case "upgrade":
                self._is_asked_for = True
            case "command" if event.get("op") == _HAND_OVER:
                self._is_asked_for = True
            case "psvd":
                return self._of_psvd(when, is_cold=bool(event.get("is_cold")))
        return NOTHING

    def _of_transition(self, bot: str, event: Event, reason: str, when: float) -> News:
        to = str(event.get("to"))
        if to == "RUNNING":
            return News(turn=Turn.ROSE)
        if to in ("STOPPED", "TERMINATED"):
            return News(turn=Turn.RESTS)
        if to != "FAILED" or reason == "dependency":
            return News(turn=Turn.FELL)
        if reason in _OF_THEIR_OWN:
            words, last = self._alerts.pop((bot, reason), "") or reason, self._messages.get(bot)
            words = f"{words}; last exit: {last}" if last else words
            return News((Notice(reason, bot, words, when, Until.UP, is_restated=True),), Turn.FELL)
        # A psvd that takes over brings a bot that rests from INITIALIZING to where it was, without an exit before it.
        is_restated = event.get("from") == "INITIALIZING" and bot not in self._messages and (self._failed is None or bot in self._failed)
        if self._failed is not None:
            self._failed.add(bot)
        why = self._messages.pop(bot, "")
        text = f"{reason}: {why}" if why and reason not in why else why or reason or "it has failed"
        return News((Notice("failed", bot, text, when, Until.UP, is_restated),), Turn.FELL)

    def _of_exit(self, bot: str, reason: str, message: str, when: float) -> News:
        self._messages[bot] = message
        return News((Notice(reason, bot, message or _OF_EXIT[reason], when, Until.UP),)) if reason in _OF_EXIT else NOTHING

    def _of_alert(self, bot: str, event: Event, message: str, when: float) -> News:
        what = str(event.get("what"))
        if what != "psv.db":
            self._alerts[bot, what] = message
            return NOTHING
        if event.get("is_over"):
            return News(over=Until.DATABASE)
        return News((Notice("disk", "", message, when, Until.DATABASE, is_restated=True),))

    def _of_health(self, bot: str, event: Event, message: str, when: float) -> News:
        if event.get("health") == "healthy":
            return News(over=Until.HEALTH)
        if event.get("connected") is False:
            return News((Notice("deaf", bot, message, when, Until.HEALTH, is_restated=True),))
        if bot in self._unhealthy_only:
            return News((Notice("failed", bot, f"unhealthy: {message}", when, Until.HEALTH, is_restated=True),))
        return NOTHING

    def _of_psvd(self, when: float, *, is_cold: bool) -> News:
        """Each one that ended without being asked to is told, as one a cause and hour says, with how often."""
        is_asked_for, self._is_asked_for = self._is_asked_for, False
        if is_cold:
            self._failed = set()
        if is_cold or is_asked_for:
            return NOTHING
        return News((Notice("psvd", "", "psvd ended and the keeper started it again; the bots ran on", when, None),))
