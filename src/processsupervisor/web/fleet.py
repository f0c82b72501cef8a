"""The list of bots as the page sees it: one shared view of psvd, kept up only while somebody looks.

psvd's transitions are shown at once, everything else (memory, restarts, last log words) by a fresh list at most once a
second. While psvd is away the view says so and keeps what it knew; the names come from the applied configuration then.
Readers get what changed since they looked last, so that a slow one costs nothing and misses nothing that still holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from processsupervisor.kernel.errors import PsvError
from processsupervisor.web.lastwords import LastWords
from processsupervisor.web.settings import Applied, KnownBot

REFRESH_LEAST_S = 1.0
REFRESH_MOST_S = 3.0
RETRY_FIRST_S = 0.2
RETRY_MOST_S = 2.0
CALL_DEADLINE_S = 5.0
_EVER_CHANGING = ("uptime_s", "memory_age_s", "cpu_percent", "next_start_in_s")
"""Left out of the comparison: the page counts times by itself, and a list that always differs tells nothing."""

_log = logging.getLogger(__name__)

BotObject = dict[str, object]
"""An object of `bot.list` with `chat` (bool) and `last_log` (text or None) added."""


class Control(Protocol):
    """What is needed of psvd's client; processsupervisor.ipc.client_async has it."""

    async def call(self, op: str, args: dict[str, object] | None = None, timeout_s: float | None = None) -> object:
        """Return the result of an operation; raises PsvError."""
        ...

    def stream(self, op: str, args: dict[str, object] | None = None) -> AsyncIterator[dict[str, object]]:
        """Yield the events of an operation; raises PsvError."""
        ...


@dataclass(slots=True)
class _Entry:
    shown: BotObject
    revision: int


class FleetView:
    """What is known of all bots, and how it changes. `updates` gives it to one reader."""

    def __init__(self, control: Control, applied: Applied, last_words: LastWords) -> None:
        self._control = control
        self._applied = applied
        self._last_words = last_words
        self._entries: dict[str, _Entry] = {}
        self._is_answering: bool | None = None
        self._revision = 0
        self._listed_revision = 0
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._readers = 0
        self._keeper: asyncio.Task[None] | None = None

    async def list(self) -> object:
        """Return the objects of `psv bot list --json`, asked of psvd now; raises NoSupervisor."""
        return await self._control.call("bot.list", {"names": [], "type": None}, CALL_DEADLINE_S)

    async def updates(self) -> AsyncIterator[dict[str, object]]:
        """Yield `{"supervisor", "fleet", "full", "bots"}`: first everything, then the bots that changed.

        `full` is True when `bots` is the whole list in order, so that the reader forgets all others.
        """
        self._readers += 1
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_up())
        try:
            # Waits for the first answer, so that a page does not flash "away" before psvd was asked.
            seen = -1
            while True:
                async with self._changed:
                    while self._is_answering is None or self._revision <= seen:
                        await self._changed.wait()
                    is_full = self._listed_revision > seen
                    bots = [e.shown for e in self._entries.values() if is_full or e.revision > seen]
                    seen = self._revision
                yield {"supervisor": self._is_answering, "fleet": self._applied.fleet_name(), "full": is_full, "bots": bots}
        finally:
            self._readers -= 1
            if self._readers == 0 and self._keeper is not None:
                self._keeper.cancel()
                self._keeper = None
                self._is_answering = None

    async def _keep_up(self) -> None:
        """Follow psvd until cancelled, which the last reader does."""
        retry_s = RETRY_FIRST_S
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._refresh_for_ever())
                    group.create_task(self._watch())
            except* PsvError:
                retry_s = min(retry_s * 2, RETRY_MOST_S) if self._is_answering is False else RETRY_FIRST_S
            except* Exception:  # noqa: BLE001 - the outermost loop of this task
                _log.exception("the view of the fleet failed and begins again")
                retry_s = RETRY_MOST_S
            await self._lose()
            await asyncio.sleep(retry_s)

    async def _watch(self) -> None:
        """Note every transition at once; ends with PsvError when psvd does."""
        async with aclosing(self._control.stream("fleet.watch", {})) as events:  # type: ignore[type-var]
            async for event in events:
                name, state = event.get("bot"), event.get("to")
                entry = self._entries.get(name) if isinstance(name, str) else None
                if event.get("kind") == "transition" and entry is not None:
                    await self._publish({str(name): entry.shown | {"state": state, "reason": event.get("reason")}}, is_full=False)
                self._wanted.set()
        raise PsvError("the supervisor ended its stream")

    async def _refresh_for_ever(self) -> None:
        while True:
            self._wanted.clear()
            answer = await self.list()
            listed = [bot for bot in answer if isinstance(bot, dict)] if isinstance(answer, list) else []
            words = await self._last_words.of({str(bot.get("name")): _generation(bot) for bot in listed})
            bots = {str(b.get("name")): b | {"chat": b.get("kind") == "native", "last_log": words.get(str(b.get("name")))} for b in listed}
            is_first = self._is_answering is not True
            self._is_answering = True
            await self._publish(bots, is_full=list(bots) != list(self._entries), is_news=is_first)
            await asyncio.sleep(REFRESH_LEAST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_MOST_S - REFRESH_LEAST_S):
                    await self._wanted.wait()

    async def _lose(self) -> None:
        """Psvd is away: keep what was known of the bots that the configuration names, and show the others by name."""
        is_news = self._is_answering is not False
        self._is_answering = False
        known = self._applied.bots()
        bots = {name: self._entries[name].shown if name in self._entries else _unseen(bot) for name, bot in known.items()}
        await self._publish(bots, is_full=list(bots) != list(self._entries), is_news=is_news)

    async def _publish(self, bots: dict[str, BotObject], *, is_full: bool, is_news: bool = False) -> None:
        async with self._changed:
            revision = self._revision + 1
            changed = {name: bot for name, bot in bots.items() if name not in self._entries or _differs(self._entries[name].shown, bot)}
            if is_full:
                kept = self._entries
                self._entries = {name: _Entry(bot, revision if name in changed else kept[name].revision) for name, bot in bots.items()}
                self._listed_revision = revision
            else:
                for name, bot in changed.items():
                    self._entries[name] = _Entry(bot, revision)
            if changed or is_full or is_news:
                self._revision = revision
                self._changed.notify_all()


def _differs(old: BotObject, new: BotObject) -> bool:
    return any(old.get(key) != value for key, value in new.items() if key not in _EVER_CHANGING)


def _generation(bot: BotObject) -> int:
    value = bot.get("generation")
    return value if isinstance(value, int) else 0


def _unseen(bot: KnownBot) -> BotObject:
    """Return what can be said of a bot that psvd has told nothing about."""
    return {"name": bot.name, "kind": bot.kind, "type": bot.type, "state": None, "chat": bot.has_chat, "last_log": None}
