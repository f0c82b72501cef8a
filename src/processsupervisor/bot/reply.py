"""What a handler may answer: texts, `Reply` and `Edit`, one, several or as they come; and what becomes of it.

A text that is yielded in pieces is one message that grows; a Reply or an Edit in between ends it. Nothing is sent or committed here but
the id of a message that grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from processsupervisor.bot.collecting import BadReply, Collected, cut_reply
from processsupervisor.bot.context import Running, running_context
from processsupervisor.bot.files import Attachment, File
from processsupervisor.bot.work import told
from processsupervisor.connectors.base import clean_text
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.storage import records
from processsupervisor.storage.records import ButtonRow, Extras, FileOut, InboxRow, Markup, Place

MAX_DATA_BYTES = 64  # Telegram's limit, the lowest of all networks
MAX_LABEL_CHARS = 200
MAX_PIECES = 200_000  # more than a reply has characters
_PIECES_IN_A_TURN = 100

MarkupName = Literal["plain", "markdown", "html"]


class Button:
    """A button below a message. Pressing it brings `data` ("vote:yes") to `@bot.button("vote")`, or opens `url`."""

    __slots__ = ("row",)

    def __init__(self, label: str, data: str = "", *, url: str = "") -> None:
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARS:
            raise UsageError(f"a button needs a label of 1 to {MAX_LABEL_CHARS} characters")
        if bool(data) == bool(url):
            hint = 'write Button("Yes", "vote:yes")'
            raise UsageError(f'the button "{label}" needs data or a url, and not both', hint=hint, found=(f'"{label}"',))
        if len(data.encode("utf-8", "replace")) > MAX_DATA_BYTES:
            text = f'the data of the button "{label}" has more than {MAX_DATA_BYTES} bytes'
            raise UsageError(text, hint="keep the rest in a store", found=(f'"{label}"',))
        self.row = ButtonRow(label, data, url)


Buttons: TypeAlias = Sequence[Sequence[Button]]
Files: TypeAlias = Sequence[File | Attachment]


class Reply:
    """A message with more than a plain text: marked up, with rows of buttons, with files, or shown as an answer to the message (quote)."""

    __slots__ = ("buttons", "files", "markup", "quote", "text")

    def __init__(
        self, text: str = "", *, markup: MarkupName | Markup = "plain", buttons: Buttons = (), files: Files = (), quote: bool = False
    ) -> None:
        self.text = _checked(text, type(self).__name__)
        self.markup = _markup_of(markup)
        self.buttons = _rows_of(buttons)
        self.files = tuple(files)
        self.quote = quote
        if any(not isinstance(file, (File, Attachment)) for file in self.files):
            raise UsageError("files are a list of File, or of the attachments of a message", hint='write files=[File("report.pdf")]')
        if not self.text.strip() and not self.files:
            raise UsageError("a Reply needs a text or files")


class Edit:
    """Takes the place of the message whose button was pressed, its buttons included."""

    __slots__ = ("buttons", "markup", "text")

    def __init__(self, text: str, *, markup: MarkupName | Markup = "plain", buttons: Buttons = ()) -> None:
        self.text = _checked(text, type(self).__name__)
        self.markup = _markup_of(markup)
        self.buttons = _rows_of(buttons)


Part: TypeAlias = str | Reply | Edit
Answer: TypeAlias = Part | Sequence[Part] | AsyncIterator[Part] | None
"""What a handler returns; a generator's iterator is one too."""
ANSWERS = "None, str, Reply, Edit, a list of these or an async iterator of str, Reply and Edit"
"""The same in words."""


async def collect(answer: Answer, found: Collected) -> list[records.Reply]:
    """Return the replies that an answer consists of, in order; shows what grows. Closes an iterator whatever happens.

    Raises BadReply, and what the iterator raises.
    """
    if answer is None:
        pass
    elif isinstance(answer, (str, Reply, Edit)):
        found.add(await record_of(answer, found.row))
    elif isinstance(answer, (list, tuple)):
        for part in answer:
            found.add(await record_of(part, found.row))
    else:
        await _collect_pieces(answer, found)
    return found.take()


async def _collect_pieces(pieces: Any, found: Collected) -> None:
    try:
        count = 0
        async for piece in pieces:
            count += 1
            if count > MAX_PIECES:
                raise BadReply(f"{_place_of(pieces)} yielded more than {MAX_PIECES} pieces")
            if count % _PIECES_IN_A_TURN == 0:
                await asyncio.sleep(0)  # one that waits for nothing must not hold up all other conversations
            if isinstance(piece, str):
                await found.grow(piece)
            elif isinstance(piece, (Reply, Edit)):
                found.add(await record_of(piece, found.row))
            else:
                raise BadReply(f"{_place_of(pieces)} yielded {type(piece).__name__}, expected str, Reply or Edit")
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


def _place_of(pieces: object) -> str:
    code = getattr(pieces, "ag_code", None)
    return "a handler" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def is_answer(result: object) -> bool:
    """Tell whether a handler may return this; what an iterator yields is seen when it does."""
    if result is None or isinstance(result, (str, Reply, Edit)) or hasattr(result, "__anext__"):
        return True
    return isinstance(result, (list, tuple)) and all(isinstance(part, (str, Reply, Edit)) for part in result)


def kind_of(result: object) -> str:
    """Return what a handler returned that is no answer, by its types: "bytes", "list with bytes"."""
    strange = [part for part in result if not isinstance(part, (str, Reply, Edit))] if isinstance(result, (list, tuple)) else []
    return type(result).__name__ + (f" with {type(strange[0]).__name__}" if strange else "")


async def unasked_record(message: str | Reply, place: Place, running: Running) -> records.Reply:
    """Return a message that answers none as it is stored; its files count as those of the conversation. Raises as `record_of` does."""
    return await record_of(message, InboxRow(0, place, "", place.conversation, "", 0.0), running)


async def record_of(part: object, row: InboxRow, running: Running | None = None) -> records.Reply:
    """Return one part of an answer to `row` as it is stored; keeps its files. Raises BadReply, Refused (files too large), StorageError."""
    if isinstance(part, str):
        return records.Reply(cut_reply(clean_text(part)))
    if isinstance(part, Reply):
        files = tuple([await _kept(file, row, running) for file in part.files])
        extras = Extras(markup=part.markup, buttons=part.buttons, files=files, quotes=row.id or None if part.quote else None)
    elif isinstance(part, Edit):
        if row.envelope.about is None:
            raise BadReply("an Edit changes the message whose button was pressed; this handler answers no button")
        extras = Extras(markup=part.markup, buttons=part.buttons, edits=f"net:{row.envelope.about}")
    else:
        raise BadReply(f"a handler answered with {type(part).__name__}, expected str, Reply or Edit")
    return records.Reply(cut_reply(clean_text(part.text)), extras)


async def _kept(file: File | Attachment, row: InboxRow, running: Running | None) -> FileOut:
    context = running_context()
    bot = context.running if running is None and context is not None else running
    if bot is None:
        raise Refused("files can be sent by a handler that runs", hint="use bot.send", code="ended")
    content = file.chunks() if isinstance(file, Attachment) else file.content

    async def keep() -> dict[str, str]:
        return asdict(await bot.keep_file(row, file.name, file.mime, file.kind, content))

    return FileOut(**await told("file", file.name, keep))


def _markup_of(markup: object) -> Markup:
    if not isinstance(markup, str) or markup not in tuple(Markup):
        raise UsageError(f"a markup is {', '.join(Markup)}, not {markup!r}", hint='write Reply("*bold*", markup="markdown")')
    return Markup(markup)


def _checked(text: object, kind: str) -> str:
    if not isinstance(text, str):
        raise BadReply(f"the text of a {kind} is {type(text).__name__}, expected str")
    return text


def _rows_of(buttons: Buttons) -> tuple[tuple[ButtonRow, ...], ...]:
    if any(isinstance(row, Button) for row in buttons):
        raise UsageError("buttons are rows of buttons", hint='write buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")]]')
    return tuple(tuple(button.row for button in row) for row in buttons)
