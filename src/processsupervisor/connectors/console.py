"""The console as a network: one line of standard input is one message, replies go to standard output.

For `bot.run()`. A terminal shows streamed pieces as they come, anything else only final texts. Reading happens in a
thread, because no loop on every platform can wait for a console; one line is accepted before the next is read.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from processsupervisor.connectors.base import Port, check_incoming, clean_text
from processsupervisor.connectors.pulled import Pulled
from processsupervisor.connectors.words import in_words
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.records import Incoming, Outgoing, Place

NETWORK = "console"
CONVERSATION = "console"
PLACE = Place(NETWORK, CONVERSATION)


class ConsoleConnector(Pulled):
    """Serves one person at `source` and `target`; `ended` is set at end of input."""

    network = NETWORK

    def __init__(
        self, source: TextIO | None = None, target: TextIO | None = None, sender: str = "console", folder: Path | None = None
    ) -> None:
        self._source = source if source is not None else sys.stdin
        self._target = target if target is not None else sys.stdout
        self._sender = sender
        self._folder = folder
        """Where the bot keeps its data: files are told by their paths."""
        self._port: Port | None = None
        self._is_live = self._target.isatty()
        self._shown = ("", "")
        """Id and text of the draft that stands in the present line."""
        self.ended = asyncio.Event()

    async def open(self, port: Port) -> None:
        """Begin to read."""
        self._port = port
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="console", daemon=True).start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while line := self._source.readline():
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
        text, message_id = clean_text(line), uuid.uuid4().hex
        try:
            check_incoming(PLACE, message_id, text)
            if self._port is None:
                return
            await self._port.accept(Incoming(PLACE, message_id, self._sender, text))
        except PsvError as err:
            self._write(f"(not accepted: {err})\n")

    def publish(self, out: Outgoing) -> None:
        """Print a final text with its buttons and files, or what a draft has more than before. An edit is a text like any other."""
        shown_id, shown = self._shown
        if not out.final and not self._is_live:
            return
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
        """Accept no line any more; the reading thread ends with the process."""
        self._port = None
