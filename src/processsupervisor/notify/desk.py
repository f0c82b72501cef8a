"""What becomes of news: who is told of which cause, the messages that are due, and what came of each try. The queue keeps it."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Sequence

from processsupervisor.config.spec import NotifySpec
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.causes import Causes, Event, News, Notice, Until
from processsupervisor.notify.job import Result
from processsupervisor.notify.lastexit import ask_exits
from processsupervisor.notify.message import ENDED, MOST_BOTS, Gathered, Message, Sender, compose
from processsupervisor.notify.queue import KEEP_S, Queue, Waiting
from processsupervisor.notify.space import space_of
from processsupervisor.notify.troubles import Recovery, Troubles
from processsupervisor.observe.logging import log

ALWAYS = frozenset({"psvd", "keeper"})
"""What is told to every channel: whoever is to tell of the rest is away."""
_LONGEST_DELAY_S = 600.0
_CURSOR_EVERY = 500
_GIVE_UP_EVERY = 100


class Desk:
    """One fleet's channels and queue."""

    def __init__(
        self, paths: FleetPaths, fleet: str, channels: Sequence[NotifySpec], queue: Queue, causes: Causes, troubles: Troubles
    ) -> None:  # fmt: skip
        self.channels = {channel["name"]: channel for channel in channels}
        self._paths = paths
        self._sender = Sender(fleet, socket.gethostname(), str(paths.folder))
        self._queue = queue
        self._causes = causes
        self._troubles = troubles
        self._unsaved = 0
        self._rounds = 0
        self.problems: dict[str, str] = {}
        """Why the last try of a channel failed."""

    # -- what happened

    def take(self, events: Sequence[Event], life: str) -> None:
        """Deal with events in their order; what follows of them is on disk when this returns."""
        if not events:
            return
        news = [self._causes.of(event) for event in events]
        for event in events:
            if event.get("kind") == "lost":
                log.warning("events are missing", count=event.get("count"))
        numbers = [seq for event in events if isinstance(seq := event.get("seq"), int)]
        self._unsaved += len(events)
        is_known = any(str(event.get("bot") or "") in self._troubles.bots for event in events)
        if not is_known and not any(item.notices for item in news) and self._unsaved < _CURSOR_EVERY:
            return  # a successor that reads these again finds nothing in them either

        def act() -> None:
            for event, item in zip(events, news, strict=True):
                self._note(str(event.get("bot") or ""), item)
            if numbers:
                self._queue.move(numbers[-1], life)

        self._queue.change(act)
        self._unsaved = 0

    def _note(self, bot: str, news: News) -> None:
        for notice in news.notices:
            is_stale = wall() - notice.at > KEEP_S  # of before the channels were taken out of fleet.toml, and put in again
            if is_stale or (notice.is_restated and self._troubles.has(notice)):
                continue
            self._tell(notice, frozenset({notice.cause}))
            self._troubles.open(notice)
        if news.turn is not None:
            self._recover(self._troubles.turn(bot, news.turn))
        if news.over is not None:
            self._recover(self._troubles.over(bot, news.over))

    def _tell(self, notice: Notice, causes: frozenset[str], only: Collection[str] | None = None) -> None:
        """Gather a notice for the channels that are told of one of `causes`; with `only` for no others than these."""
        for name, channel in self.channels.items():
            wanted = frozenset(channel["on"])
            is_wanted = bool(causes & wanted) and (notice.cause != "recovered" or "recovered" in wanted)
            if (is_wanted or causes & ALWAYS) and (only is None or name in only):
                self._queue.add(name, notice, channel["repeat_s"])

    def _recover(self, recoveries: Sequence[Recovery], only: Collection[str] | None = None) -> None:
        for notice, causes in recoveries:
            self._tell(notice, causes, only)

    def begins(self, notice: Notice, only: Sequence[str] | None = None, lasted_s: float = 0.0) -> None:
        """Tell of something that the notifier has seen itself and that lasts; `lasted_s` before it was known."""

        def act() -> None:
            self._tell(notice, frozenset({notice.cause}), only)
            self._troubles.open(notice._replace(at=notice.at - lasted_s))

        self._queue.change(act)

    def is_open(self, until: Until) -> bool:
        """Tell whether a trouble of the fleet as a whole lasts."""
        return self._troubles.is_open(until)

    def ends(self, until: Until, only: Collection[str] | None = None) -> None:
        """Tell that a trouble of the fleet as a whole is over, with `only` those who were told of it; without one nothing happens."""
        if self.is_open(until):
            self._queue.change(lambda: self._recover(self._troubles.over("", until), only))

    # -- what is to be sent

    def due(self, busy: set[str]) -> list[Waiting]:
        """Make messages of what is due, and return one that is due for each channel that is not busy."""
        self._rounds += 1
        if self._queue.is_idle and self._rounds % _GIVE_UP_EVERY:
            return []
        self._queue.settle()

        def act() -> list[Waiting]:
            self._recover(self._troubles.settle())
            if dropped := self._queue.give_up(set(self.channels), max(c["repeat_s"] for c in self.channels.values())):
                log.error("messages were given up: they could not be sent for a day, or their channel is gone", count=dropped)
            self._queue.make(self._compose)
            return self._queue.due(busy)

        return self._queue.change(act)

    def _compose(self, cause: str, gathered: list[Gathered]) -> Message:
        if cause == "disk":
            gathered = [self._with_space(one) for one in gathered]
        bots = [one.bot for one in gathered[:MOST_BOTS] if one.bot]
        return compose(self._sender, cause, gathered, ask_exits(self._paths, bots) if bots and cause in ENDED else None)

    def _with_space(self, one: Gathered) -> Gathered:
        """Say of which disk it is, and how much is free now."""
        try:
            words = space_of(self._paths.data).words
        except OSError:
            return one
        return one if str(self._paths.data) in one.text else one._replace(text=f"{one.text}; {words}")

    def result(self, waiting: Waiting, result: Result) -> None:
        """Take how one try went."""
        name, message = waiting.channel, waiting.message
        if result["ok"]:
            self._queue.change(lambda: self._queue.sent(message["id"]))
            self.problems.pop(name, None)
            log.info("told", channel=name, cause=message["cause"], id=message["id"], said=result["said"])
            return
        delay_s = min(_LONGEST_DELAY_S, 1.0 * 2 ** min(waiting.tries, 20)) * random.uniform(0.8, 1.2)
        delay_s = max(delay_s, result["retry_after_s"])
        self._queue.change(lambda: self._queue.put_off(message["id"], delay_s, result.get("left", ())))
        self.problems[name] = result["said"]
        log.warning("not told; tried again", channel=name, cause=message["cause"], id=message["id"], said=result["said"], delay_s=delay_s)

    def notes(self) -> list[str]:
        """Return what an operator should know of the channels."""
        waiting = {name: self._queue.waiting(name) for name in self.problems}
        notes = [f"{name} does not get what it is told ({waiting[name]} waiting): {said}" for name, said in self.problems.items()]
        return notes + ([self._queue.problem] if self._queue.problem else [])
