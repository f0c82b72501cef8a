"""Files in and out: `Attachment`, one that came with a message, and `File`, one that a reply carries.

Nothing is fetched before it is asked for, and never more than a limit. Where a file to be sent is kept until it was is the service's.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from processsupervisor.bot.written import bytes_of
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.kernel.units import format_bytes
from processsupervisor.storage import records

MOST_READ = "20MB"
MOST_SAVED = "2GB"
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message; `size_bytes` is what the network said, None when it said nothing."""

    kind: str
    """photo, document, audio, voice, video or sticker."""
    name: str
    mime: str
    size_bytes: int | None
    _open: Callable[[], AsyncIterator[bytes]] = field(repr=False, compare=False)

    async def read(self, most: int | str = MOST_READ) -> bytes:
        """Return the content. Raises Refused (code "too-big") for more than `most` bytes ("20MB"), NetworkError when it cannot be had."""
        return b"".join([piece async for piece in self.chunks(most)])

    async def save(self, path: str | Path, most: int | str = MOST_SAVED) -> Path:
        """Write the content to `path`, which is there when it is whole. Raises as `read` does, and OSError."""
        target = Path(path)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        file: BinaryIO = await asyncio.to_thread(beside.open, "xb")
        try:
            with file:
                async for piece in self.chunks(most):
                    await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(os.replace, beside, target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return target

    async def chunks(self, most: int | str = MOST_SAVED) -> AsyncIterator[bytes]:
        """Yield the content in pieces, as it comes. Raises as `read` does."""
        limit = bytes_of(most)
        if self.size_bytes is not None and self.size_bytes > limit:
            raise _too_big(self.name, limit)
        seen = 0
        async for piece in self._open():
            seen += len(piece)
            if seen > limit:
                raise _too_big(self.name, limit)
            yield piece


def attachment_of(record: records.Attachment, fetch: Callable[[records.Attachment], AsyncIterator[bytes]]) -> Attachment:
    """Return the author's view of a file that came in."""
    return Attachment(record.kind, record.name, record.mime, record.size_bytes, lambda: fetch(record))


def _too_big(name: str, limit: int) -> Refused:
    return Refused(f"the file {name!r} is larger than {format_bytes(limit)}", hint="give a larger limit, or refuse it", code="too-big")


class File:
    """A file of a reply: a path, which is read when the reply is committed, or the bytes themselves with a name.

    Pictures are shown as such, everything else as a document, unless `kind` says otherwise.
    """

    __slots__ = ("content", "kind", "mime", "name")

    def __init__(self, content: str | Path | bytes, *, name: str = "", mime: str = "", kind: str = "") -> None:
        if isinstance(content, (bytes, bytearray)):
            if not name:
                raise UsageError("a file of bytes needs a name", hint='write File(data, name="report.csv")')
            self.content: Path | bytes = bytes(content)
        elif isinstance(content, (str, Path)):
            self.content = Path(content)
            name = name or self.content.name
        else:
            raise UsageError(f"a file is made of a path or of bytes, not of {type(content).__name__}")
        self.name = Path(name).name[:_LONGEST_NAME]
        if not self.name or "\0" in self.name:
            raise UsageError(f"{name!r} is no name of a file", found=(repr(name),))
        self.mime = mime or mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        self.kind = kind or ("photo" if self.mime in ("image/jpeg", "image/png", "image/webp") else "document")
