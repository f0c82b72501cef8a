"""What a handler may answer: texts, `Reply` and `Edit`, one, several or as they come; and what becomes of it.

A text that is yielded in pieces is one message that grows; a Reply or an Edit in between ends it. Nothing is sent or committed here but
the id of a message that grows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from processsupervisor.connectors.base import clean_text
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage import records
from processsupervisor.storage.records import ButtonRow, Extras, InboxRow, Markup

MAX_REPLY_CHARS = 150_000  # whatever JSON makes of it, one reply fits one line of 1 MiB
MAX_REPLIES = 100
MAX_DATA_BYTES = 64  # Telegram's limit, the lowest of all networks
MAX_LABEL_CHARS = 200

MarkupName = Literal["plain", "markdown", "html"]


class BadReply(TypeError):
    """A handler returned something that is no reply; trying again cannot help."""


class Button:
    """A button below a message. Pressing it brings `data` ("vote:yes") to `@bot.button("vote")`, or opens `url`."""

    __slots__ = ("row",)

    def __init__(self, label: str, data: str = "", *, url: str = "") -> None:
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARS:
            raise UsageError(f"a button needs a label of 1 to {MAX_LABEL_CHARS} characters")
        if bool(data) == bool(url):
            raise UsageError(f'the button "{label}" needs data or a url, and not both', hint='write Button("Yes", "vote:yes")')
        if len(data.encode("utf-8", "replace")) > MAX_DATA_BYTES:
            raise UsageError(f'the data of the button "{label}" has more than {MAX_DATA_BYTES} bytes', hint="keep the rest in a store")
        self.row = ButtonRow(label, data, url)


Buttons: TypeAlias = Sequence[Sequence[Button]]


class Reply:
    """A message with more than a plain text: marked up, with rows of buttons, or shown as the answer to the message (`quote`)."""

    __slots__ = ("buttons", "markup", "quote", "text")

    def __init__(self, text: str = "", *, markup: MarkupName | Markup = "plain", buttons: Buttons = (), quote: bool = False) -> None:
        self.text = _checked(text, type(self).__name__)
        self.markup = Markup(markup)
        self.buttons = _rows_of(buttons)
        self.quote = quote


class Edit:
    """Takes the place of the message whose button was pressed, its buttons included."""

    __slots__ = ("buttons", "markup", "text")

    def __init__(self, text: str, *, markup: MarkupName | Markup = "plain", buttons: Buttons = ()) -> None:
        self.text = _checked(text, type(self).__name__)
        self.markup = Markup(markup)
        self.buttons = _rows_of(buttons)


Part: TypeAlias = str | Reply | Edit
Answer: TypeAlias = Part | Sequence[Part] | AsyncIterator[Part] | None
"""What a handler returns; a generator's iterator is one too."""


class Growing(Protocol):
    """Shows a message while it grows (bot/draft.py)."""

    async def grow(self, number: int, text: str) -> None:
        """Show the whole text so far of reply `number` (from 0). Its id is committed before the first time."""


@dataclass(slots=True)
class _Collected:
    row: InboxRow
    replies: list[records.Reply]
    text: str | None = None
    """The text that grows, None when none does."""

    def end_text(self) -> None:
        if self.text is not None:
            self.add(records.Reply(self.text))
        self.text = None

    def add(self, reply: records.Reply) -> None:
        if len(self.replies) >= MAX_REPLIES:
            raise BadReply(f"a handler answered with more than {MAX_REPLIES} messages")
        self.replies.append(reply)


async def collect(answer: Answer, row: InboxRow, growing: Growing) -> list[records.Reply]:
    """Return the replies that an answer consists of, in order; shows what grows. Closes an iterator whatever happens.

    The first reply to a pressed button acknowledges it; without any, an empty one does. Raises BadReply, and what an iterator raises.
    """
    found = _Collected(row, [])
    if answer is None:
        pass
    elif isinstance(answer, (str, Reply, Edit)):
        found.add(_record(answer, row))
    elif isinstance(answer, (list, tuple)):
        for part in answer:
            found.add(_record(part, row))
    else:
        await _collect_pieces(answer, found, growing)
    return acknowledged(found.replies, row)


async def _collect_pieces(pieces: Any, found: _Collected, growing: Growing) -> None:
    try:
        async for piece in pieces:
            if not isinstance(piece, str):
                found.end_text()
                found.add(_record(piece, found.row))
            elif found.text is None or len(found.text) <= MAX_REPLY_CHARS:
                found.text = cut_reply((found.text or "") + clean_text(piece))
                await growing.grow(len(found.replies), found.text)
        found.end_text()
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


def cut_reply(text: str) -> str:
    """Return at most MAX_REPLY_CHARS of a reply."""
    return text if len(text) <= MAX_REPLY_CHARS else text[: MAX_REPLY_CHARS - 1] + "…"


def is_answer(result: object) -> bool:
    """Tell whether a handler may return this; what an iterator yields is seen when it does."""
    if result is None or isinstance(result, (str, Reply, Edit)) or hasattr(result, "__anext__"):
        return True
    return isinstance(result, (list, tuple)) and all(isinstance(part, (str, Reply, Edit)) for part in result)


def _record(part: object, row: InboxRow) -> records.Reply:
    if isinstance(part, str):
        return records.Reply(cut_reply(clean_text(part)))
    if isinstance(part, Reply):
        extras = Extras(markup=part.markup, buttons=part.buttons, quotes=row.id if part.quote else None)
        return records.Reply(cut_reply(clean_text(part.text)), extras)
    if isinstance(part, Edit):
        if row.envelope.about is None:
            raise BadReply("an Edit changes the message whose button was pressed; this handler answers no button")
        return records.Reply(
            cut_reply(clean_text(part.text)), Extras(markup=part.markup, buttons=part.buttons, edits=f"net:{row.envelope.about}")
        )
    raise BadReply(f"a handler answered with {type(part).__name__}, expected str, Reply or Edit")


def acknowledged(replies: list[records.Reply], row: InboxRow) -> list[records.Reply]:
    token = row.envelope.token
    if token is None:
        return replies
    if not replies:
        return [records.Reply("", Extras(acknowledges=token))]
    first = replies[0]
    return [replace(first, extras=replace(first.extras, acknowledges=token)), *replies[1:]]


def _checked(text: object, kind: str) -> str:
    if not isinstance(text, str):
        raise BadReply(f"the text of a {kind} is {type(text).__name__}, expected str")
    return text


def _rows_of(buttons: Buttons) -> tuple[tuple[ButtonRow, ...], ...]:
    if any(isinstance(row, Button) for row in buttons):
        raise UsageError("buttons are rows of buttons", hint='write buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")]]')
    return tuple(tuple(button.row for button in row) for row in buttons)
