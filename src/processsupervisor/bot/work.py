"""What the handler that runs now has changed: values, reminders, consent, to be committed with its reply or dropped.

The running work is found through a context variable, so that `bot.store` and `bot.remind` join the right message even
from tasks that the handler started; once the work is closed they commit by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

from processsupervisor.bot.journal import Journal
from processsupervisor.chat.turns import Turn
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.records import Changes, Place


@dataclass(slots=True)
class Work:
    """One run of a handler. `is_open` until its changes were handed to the database or thrown away."""

    place: Place
    changes: Changes = field(default_factory=Changes)
    is_open: bool = True
    turn: Turn | None = None
    """What may end the handler early; None outside of the pump."""
    journal: Journal | None = None
    """Notes what the handler is told, where it may ask."""
    is_abandoned: bool = False
    """The handler waited for an answer and is not needed any more: whatever it still does has no effect."""
    kept: Changes | None = None
    """The changes as they were at the end of the last step: what stays when the handler is interrupted."""

    def keep(self) -> None:
        """Keep what was changed until now, whatever interrupts the handler later."""
        now = self.changes
        self.kept = replace(
            now, values=dict(now.values), reminders=list(now.reminders), sends=list(now.sends), timers=list(now.timers),
            cancelled_timers=list(now.cancelled_timers), reads=None if now.reads is None else dict(now.reads),
        )  # fmt: skip

    def note_read(self, scope: str, key: str, text: str | None) -> None:
        """Note what was read of the whole bot, first of all: if it is changed as well, nobody else may have changed it in between."""
        if not self.is_open:
            return
        if self.changes.reads is None:
            self.changes.reads = {}
        self.changes.reads.setdefault((scope, key), text)


T = TypeVar("T")
_current: ContextVar[Work | None] = ContextVar("psv_work", default=None)
set_work = _current.set


def open_work() -> Work | None:
    """Return the work of the handler that runs here, if it still collects changes.

    Raises Refused in a handler that was given up and took no notice: it is to change nothing any more. One that waited for an answer and
    is not needed any more is cancelled again.
    """
    work = _current.get()
    if work is not None and work.is_abandoned:
        raise asyncio.CancelledError
    if work is not None and work.turn is not None and work.turn.is_left_behind:
        raise Refused("this message was given up: its handler took too long", code="given-up")
    return work if work is not None and work.is_open else None


async def told(op: str, key: str, tell: Callable[[], Awaitable[T]]) -> T:
    """Return what `tell` returns; in a handler it is noted, and a handler that is played again is told the same without a call."""
    work = open_work()
    if work is None or work.journal is None:
        return await tell()
    return await work.journal.told(op, key, tell)
