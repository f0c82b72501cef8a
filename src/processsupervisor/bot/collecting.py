"""Collects the replies to one message as a handler makes them: whole ones, and a text in pieces that grows until something else follows.

What a handler has answered so far can be taken at any time, for a question is sent with what came before it. How an author's answer
becomes replies stands in reply.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from processsupervisor.connectors.base import clean_text
from processsupervisor.storage.records import Extras, InboxRow, Reply

MAX_REPLY_CHARS = 150_000  # whatever JSON makes of it, one reply fits one line of 1 MiB
MAX_REPLIES = 100


class BadReply(TypeError):
    """A handler returned something that is no reply; trying again cannot help. The text names types and places alone, and is logged."""


class Growing(Protocol):
    """Shows a message while it grows (bot/draft.py)."""

    async def grow(self, before: list[Reply], text: str) -> None:
        """Show the whole text so far of the reply behind `before`, to which only is added. Its id is committed before the first time."""


class Collected:
    """What a handler has answered so far for one message. A text that grows is shown by `growing`, whose ids are this message's."""

    __slots__ = ("_replies", "_text", "growing", "row")

    def __init__(self, row: InboxRow, growing: Growing | None) -> None:
        self.row = row
        self.growing = growing
        """None where nothing is shown: in a handler that is played again."""
        self._replies: list[Reply] = []
        self._text: str | None = None
        """The text that grows, None when none does; with one character too many where it has to be cut."""

    def add(self, reply: Reply) -> None:
        """Put a reply behind the others; it ends a text that grows."""
        text, self._text = self._text, None
        for one in (reply,) if text is None else (Reply(cut_reply(text)), reply):
            if len(self._replies) >= MAX_REPLIES:
                raise BadReply(f"a handler answered with more than {MAX_REPLIES} messages")
            self._replies.append(one)

    async def grow(self, piece: str) -> None:
        """Put a piece behind the text that grows."""
        if self._text is None or len(self._text) <= MAX_REPLY_CHARS:
            self._text = ((self._text or "") + clean_text(piece))[: MAX_REPLY_CHARS + 1]
            if self.growing is not None:
                await self.growing.grow(self._replies, cut_reply(self._text))

    def take(self) -> list[Reply]:
        """Return all replies, and begin anew. The first one to a pressed button acknowledges it; when there is none, an empty one does."""
        if self._text is not None:
            self._replies.append(Reply(cut_reply(self._text)))
        found, self._replies, self._text = self._replies, [], None
        return acknowledged(found, self.row)

    def become(self, other: Collected) -> None:
        """Collect for another message from now on; what was not taken is dropped."""
        self.row, self.growing = other.row, other.growing
        self._replies, self._text = [], None


def cut_reply(text: str) -> str:
    """Return at most MAX_REPLY_CHARS of a reply."""
    return text if len(text) <= MAX_REPLY_CHARS else text[: MAX_REPLY_CHARS - 1] + "…"


def acknowledged(replies: list[Reply], row: InboxRow) -> list[Reply]:
    """Return the replies, the first of which acknowledges a pressed button; when there is none, an empty one does."""
    token = row.envelope.token
    if token is None:
        return replies
    if not replies:
        return [Reply("", Extras(acknowledges=token))]
    first = replies[0]
    return [replace(first, extras=replace(first.extras, acknowledges=token)), *replies[1:]]
