"""The console as a network: one line of standard input is one message, replies go to standard output.

For `bot.run()`. A terminal shows streamed pieces as they come, anything else only final texts. Reading happens in a
thread, because no loop on every platform can wait for a console; one line is accepted before the next is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from processsupervisor.connectors.base import MAX_TEXT_BYTES, Port, check_incoming, clean_text
from processsupervisor.connectors.lacking import worded
from processsupervisor.connectors.pulled import SHOWN_BY_KEY, Pulled
from processsupervisor.connectors.words import in_words
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.storage.records import Incoming, Outgoing, Place

NETWORK = "console"
CONVERSATION = "console"
PLACE = Place(NETWORK, CONVERSATION)
_MAX_LINE_CHARS = MAX_TEXT_BYTES + 2  # the longest message and the end of its line


class ConsoleConnector(Pulled):
    """Serves one person at `source` and `target`; `ended` is set at end of input."""

    network = NETWORK

    def __init__(
        self, source: TextIO | None = None, target: TextIO | None = None, sender: str = "console", folder: Path | None = None
    ) -> None:
        super().__init__()
        self._source = source if source is not None else sys.stdin
        self._target = target if target is not None else sys.stdout
        self._sender = sender
        self._folder = folder
        """Where the bot keeps its data: files are told by their paths."""
        self._port: Port | None = None
        self._is_live = self._target.isatty()
        self.capabilities = replace(SHOWN_BY_KEY, edits=False, drafts=self._is_live)  # a printed line stays
        self._is_closed = False
        self._shown = ("", "")
        """Id and text of the draft that stands in the present line."""
        self.ended = asyncio.Event()

    async def open(self, port: Port) -> None:
        """Begin to read."""
        self._port = port
        if isinstance(self._source, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # it was read from before: then input ends at what is no text
                self._source.reconfigure(errors="surrogateescape")
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="console", daemon=True).start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while line := self._source.readline(_MAX_LINE_CHARS):
                part = line
                while len(part) >= _MAX_LINE_CHARS and not part.endswith("\n"):  # the rest of a line that is refused for its length
                    part = self._source.readline(_MAX_LINE_CHARS)
                if line.strip():
                    asyncio.run_coroutine_threadsafe(self._say(line.rstrip("\r\n")), loop).result()
            self._tell(loop, self.ended.set)
        except (OSError, ValueError, EOFError, UnicodeError):  # closed under us, or not text: the end of input
            self._tell(loop, self.ended.set)
        except (RuntimeError, asyncio.CancelledError):
            pass  # the loop has ended while a line was read

    @staticmethod
    def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass

    async def _say(self, line: str) -> None:
        message_id = uuid.uuid4().hex
        try:
            check_incoming(PLACE, message_id, line)
            if clean_text(line) != line:
                raise Refused(f"the line is no text in {getattr(self._source, 'encoding', None) or 'UTF-8'}", code="bad-message")
            if self._port is None:
                return
            await self._port.accept(Incoming(PLACE, message_id, self._sender, line))
        except PsvError as err:
            self._write(f"(not accepted: {err})\n")

    def publish(self, out: Outgoing) -> None:
        """Print a final text with its buttons and files, or what a draft has more than before. An edit is a text like any other."""
        if self._is_closed or not (out.final or self._is_live) or not self.is_news(out):
            return
        out = worded(out, self.capabilities)
        shown_id, shown = self._shown
        text = in_words(out.text, out.extras.buttons, out.extras.files, self._folder)
        rest = text
        if shown_id == out.id and text.startswith(shown):
            rest = text[len(shown) :]
        elif shown_id:
            self._write("\n")
        self._write(rest + ("\n" if out.final else ""))
        self._shown = ("", "") if out.final else (out.id, out.text)

    def _write(self, text: str) -> None:
        try:
            self._target.write(text)
            self._target.flush()
        except UnicodeEncodeError:  # a console of few characters; a ValueError, so it comes first
            self._target.write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError):
            self.ended.set()  # nobody reads any more; what was not seen stays in the outbox

    async def close(self) -> None:
        """Take no line and show nothing any more; the reading thread ends with the process."""
        self._is_closed = True
        self._port = None
