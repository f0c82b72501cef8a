"""What a handler was told by its bot, in order: stored with a question, played again after a restart up to that question.

A handler that is run again is given the same results without anything being done twice, so that it comes to the same place, if its code
is the same and it takes nothing from elsewhere (the time of day, chance, the network): that is what `once` is for. A result is noted
when it is there, at the place where it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from processsupervisor.kernel.errors import PsvError, Refused, UsageError

MAX_ENTRIES = 10_000
MAX_CHARS = 1 << 20
_VERSION = 1
_OP, _KEY, _VALUE, _ERROR = range(4)
T = TypeVar("T")


_inside: ContextVar[bool] = ContextVar("psv_inside_step", default=False)
is_inside_step = _inside.get


class JournalBroken(BaseException):
    """The handler did something else than what the journal says that it did: its code is another one.

    Not an Exception, so that no `except Exception` of an author takes it for something else. The text names no key and no value.
    """


class Journal:
    """The results of one handler. One that was read from a text is played from its begin."""

    __slots__ = ("_at", "_entries", "_recorded")

    def __init__(self, entries: list[list[Any]] | None = None) -> None:
        self._entries: list[list[Any]] = entries if entries is not None else []
        self._recorded = len(self._entries)
        self._at = 0

    @property
    def is_replaying(self) -> bool:
        """Tell whether there is something left that the handler did in an earlier run."""
        return self._at < self._recorded

    async def told(self, op: str, key: str, tell: Callable[[], Awaitable[T]]) -> T:
        """Return what the journal has for this step, or call `tell` and note what it returns (as JSON can hold it), or an error of ours.

        What `tell` does with the bot itself is part of this step, and not noted: played again, `tell` is not called. Raises JournalBroken
        when the step is not the one that stands there.
        """
        if _inside.get():
            return await tell()
        entry = self.step(op, key)
        if len(entry) > _ERROR:
            raise _error_of(entry[_ERROR])
        if len(entry) > _VALUE:
            return entry[_VALUE]  # type: ignore[no-any-return]
        entered = _inside.set(True)
        try:
            value = await tell()
        except (UsageError, Refused) as err:
            entry[_VALUE:] = [None, [err.code, err.message, err.hint]]
            raise
        finally:
            _inside.reset(entered)
        entry[_VALUE:] = [value]
        return value

    def step(self, op: str, key: str) -> list[Any]:
        """Return the entry of this step: the next one of the journal, or a new one without a value."""
        if self._at >= MAX_ENTRIES:
            raise UsageError(f"a handler that asks questions may use stores, schedules and questions {MAX_ENTRIES} times at most")
        if not self.is_replaying:
            entry: list[Any] = [op, key]
            self._entries.append(entry)
        else:
            entry = self._entries[self._at]
            if entry[_OP] != op or entry[_KEY] != key:
                now = f"another {op}" if entry[_OP] == op else op
                raise JournalBroken(f"step {self._at + 1} was {entry[_OP]}, now it is {now}")
        self._at += 1
        return entry

    def check_played(self) -> None:
        """Raise JournalBroken when the handler has ended before it did all that it did in its earlier run."""
        if self.is_replaying:
            raise JournalBroken(f"step {self._at + 1} was {self._entries[self._at][_OP]}, now the handler ends before it")

    def text(self, head: object) -> str:
        """Return the journal as JSON, with `head` beside it. Raises UsageError when it is too long to be kept with each question."""
        whole = {"v": _VERSION, "head": head, "entries": self._entries}
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        if not _can_be_kept(text):
            text = json.dumps(whole, separators=(",", ":"))
        if len(text) > MAX_CHARS:
            raise UsageError(
                f"a handler cannot ask when it was told {len(text)} characters before; {MAX_CHARS} are kept",
                hint="read less from the store before the question",
            )
        return text


def _can_be_kept(text: str) -> bool:
    """Tell whether there is no half of a character in it, as JSON of other services may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def journal_of(text: str) -> tuple[Journal, Any]:
    """Return a journal to be played, and the head beside it. Raises JournalBroken for a text of another version."""
    try:
        held = json.loads(text)
        if held["v"] != _VERSION:
            raise JournalBroken(f"the journal is of version {held['v']}, this psv reads {_VERSION}")
        return Journal([list(entry) for entry in held["entries"]]), held["head"]
    except (ValueError, KeyError, TypeError) as err:
        raise JournalBroken(f"the journal cannot be read: {type(err).__name__}") from err


def _error_of(noted: list[str]) -> PsvError:
    code, message, hint = noted
    return UsageError(message, hint=hint) if code == UsageError.code else Refused(message, hint=hint, code=code)
