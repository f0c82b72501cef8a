"""What the handler that runs now has changed: values, reminders, consent, to be committed with its reply or dropped.

The running work is found through a context variable, so that `bot.store` and `bot.remind` join the right message even
from tasks that the handler started; once the work is closed they commit by themselves.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from processsupervisor.storage.records import Changes, Place


@dataclass(slots=True)
class Work:
    """One run of a handler. `is_open` until its changes were handed to the database or thrown away."""

    place: Place
    changes: Changes = field(default_factory=Changes)
    is_open: bool = True


_current: ContextVar[Work | None] = ContextVar("psv_work", default=None)
set_work = _current.set


def open_work() -> Work | None:
    """Return the work of the handler that runs here, if it still collects changes."""
    work = _current.get()
    return work if work is not None and work.is_open else None
