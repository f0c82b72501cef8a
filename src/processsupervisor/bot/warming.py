"""Run by a zygote of native bots before it forks: one echo bot lives from its start to its end, and answers some messages.

CPython writes into functions that are called a few times, into classes whose attributes are looked up, and into the names of
those: what was written before the fork, all bots share. The bot is an ordinary one, with its own socket, link and database in a
folder of its own and the writer without its thread. No thread is made; sockets, loop and folder are gone when this returns.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from processsupervisor.bot.api import Bot
from processsupervisor.bot.loop import give_back
from processsupervisor.bot.message import Message
from processsupervisor.bot.runner import Life
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import LaunchContext, load_context
from processsupervisor.launch.environment import compose, values_of
from processsupervisor.storage.writer import Writer

_NAME = "warm"
_MESSAGES = 4
_WITHIN_S = 5.0


def warm(folder: Path, number: int) -> None:
    """Let the bot live in `folder`, for the `number`th time; its database stays. Raises TimeoutError, and what a bot's start raises.

    A database takes as long to make as all the rest of a life, for it is synced to the disk.
    """
    paths = FleetPaths(folder)
    paths.bot_run(_NAME).mkdir(mode=0o700, parents=True)
    spec = {"name": _NAME, "kind": "native", "generation": 1, "folder": str(folder), "log_level": "warning"}
    (paths.bot_run(_NAME) / "spec.json").write_text(json.dumps(spec))
    context = load_context(folder, _NAME, 1)
    compose(context.spec, values_of(context.spec))
    # Not uvloop's, which a bot has: libuv keeps a pipe for all loops of a process, and a bot closes what it inherits.
    loop = asyncio.SelectorEventLoop()
    buffer = bytes(1 << 16)
    give_back(id(buffer), len(buffer))
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for(_live(context, number), _WITHIN_S))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(paths.run, ignore_errors=True)


async def _live(context: LaunchContext, number: int) -> None:
    """Be the bot, psvd on its link, and a contact on its socket."""
    paths = context.paths
    loop = asyncio.get_running_loop()
    psvd = _Psvd()
    server = await loop.create_unix_server(lambda: psvd, paths.socket("bot"))
    life = Life(_echo_bot(), context, "", writer=_Writer(paths.bot_data(_NAME) / "bot.db"))
    contact = loop.create_task(_talk(paths, psvd, number))
    try:
        await life.run()
        await contact
    finally:
        contact.cancel()
        psvd.close()
        server.close()
        await asyncio.sleep(0)  # closed connections give their descriptors back


async def _talk(paths: FleetPaths, psvd: _Psvd, number: int) -> None:
    """Say each message when the one before was answered, then have psvd stop the bot."""
    await psvd.is_ready.wait()
    contact, socket = _Contact(number), paths.bot_run(_NAME) / "web.sock"
    await asyncio.get_running_loop().create_unix_connection(lambda: contact, str(socket))
    try:
        await contact.is_through.wait()
    finally:
        contact.close()
        psvd.say({"op": "work"})
        psvd.say({"op": "stop"})


def _echo_bot() -> Bot:
    bot = Bot()
    bot.name = _NAME

    @bot.on_message
    async def echo(message: Message) -> str:
        return f"you said {message.text}"

    return bot


class _Writer(Writer):
    """Runs its jobs between the turns of the loop."""

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def submit(self, work: Any, *, sticky: bool = False) -> asyncio.Future[Any]:
        """Queue a job and a turn that runs it."""
        future = super().submit(work, sticky=sticky)
        asyncio.get_running_loop().call_soon(self._turn)
        return future

    def _turn(self) -> None:
        if not self._queue.empty():
            self._process(self._take()[0])

    async def close(self, timeout_s: float = 5.0) -> None:
        """Run what is left and close the file."""
        self._turn()
        self._close_connection()

    def _open(self) -> sqlite3.Connection:
        connection = super()._open()
        connection.execute("PRAGMA synchronous=OFF")  # the file is gone in a moment
        return connection


class _Lines(asyncio.Protocol):
    """One end of a connection of JSON lines."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.hear(json.loads(line))

    def hear(self, line: dict[str, Any]) -> None:
        """Take a line."""
        raise NotImplementedError

    def say(self, line: dict[str, object]) -> None:
        """Send a line."""
        self._transport.write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._transport is not None:
            self._transport.close()


class _Psvd(_Lines):
    """Takes the bot in, and hears that it is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.is_ready = asyncio.Event()

    def hear(self, line: dict[str, Any]) -> None:
        """Answer the hello."""
        if line.get("op") == "hello":
            self.say({"op": "welcome"})
        elif line.get("op") == "ready":
            self.is_ready.set()


class _Contact(_Lines):
    """Writes _MESSAGES messages, each when the reply to the one before was read."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._said = 0
        self.is_through = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say({"op": "subscribe", "conversation": "c", "after": None})
        self._next()

    def hear(self, line: dict[str, Any]) -> None:
        """Go on after a reply."""
        if line.get("op") == "event" and line.get("reply_to"):
            self._next()

    def _next(self) -> None:
        if self._said == _MESSAGES:
            self.say({"op": "history", "conversation": "c"})
            self.is_through.set()
            return
        self._said += 1
        self.say({"op": "post", "id": f"{self._number}-{self._said}", "text": "hello", "conversation": "c"})
