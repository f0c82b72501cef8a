"""The bot's control link to psvd: says ready, paused and the like, hears stop, pause and resume.

psvd may be away for any time: the bot goes on, tries again with jitter, and then says everything that holds anew. Nothing
that psvd sends is waited for, except its welcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
from collections.abc import AsyncGenerator, Callable, Mapping

from processsupervisor.ipc.client_async import open_unix
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.version import PROTOCOL

_FIRST_WAIT_S, _LAST_WAIT_S = 0.05, 1.0
_REFUSED_WAIT_S = 5.0
_WELCOME_S = 10.0
_MAX_UNSENT_BYTES = 64 * 1024
_log = logging.getLogger("processsupervisor.bot")

Command = Callable[[Mapping[str, object]], None]


class LinkRefused(Exception):
    """psvd does not take this bot for the one it started."""


class Link:
    """Keeps the link of one generation of one bot; run() for the life of the process."""

    def __init__(self, paths: FleetPaths, bot: str, generation: int, secret: str, commands: Mapping[str, Command]) -> None:
        self._path = paths.socket("bot")
        self._hello = {
            "op": "hello", "bot": bot, "generation": generation, "secret": secret, "pid": os.getpid(), "protocol": PROTOCOL,
        }  # fmt: skip
        self._commands = commands
        self._holds: dict[str, dict[str, object]] = {}
        """What is true now, by topic, in the order in which a new psvd must hear it."""
        self._writer: asyncio.StreamWriter | None = None

    def ready(self) -> None:
        """Say that the bot is ready; said again to every new psvd."""
        self._say("ready", {"op": "ready"})

    def paused(self) -> None:
        """Say that the bot has paused."""
        self._say("pause", {"op": "paused"})

    def resumed(self) -> None:
        """Say that the bot goes on; a new psvd need not hear it."""
        self._say("pause", {"op": "resumed"})
        del self._holds["pause"]

    def stopping(self) -> None:
        """Say that the bot ends."""
        self._say("stopping", {"op": "stopping"})

    def connected(self, value: bool) -> None:
        """Say whether the bot's networks are connected."""
        self._say("connected", {"op": "connected", "value": value})

    def _say(self, topic: str, line: dict[str, object]) -> None:
        self._holds[topic] = line
        if self._writer is not None:
            self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        assert self._writer is not None
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._writer.transport.abort()  # a stopped psvd: the next one hears what holds
            return
        self._writer.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    async def run(self) -> None:
        """Hold the link for ever."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                async with contextlib.aclosing(self._connect()) as lines:
                    async for line in lines:
                        wait_s = _FIRST_WAIT_S
                        self._obey(line)
            except LinkRefused as err:
                _log.warning("the supervisor refused this bot's link: %s", err)
                wait_s = _REFUSED_WAIT_S
            except (OSError, ValueError, TimeoutError):
                pass  # nobody there, or not what we speak: the same remedy
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, _LAST_WAIT_S)

    async def _connect(self) -> AsyncGenerator[object, None]:
        reader, writer = await open_unix(self._path, 0.0)
        try:
            writer.write(json.dumps(self._hello).encode() + b"\n")
            async with asyncio.timeout(_WELCOME_S):
                first = json.loads(await reader.readline() or b"{}")
            if first.get("op") == "refused":
                raise LinkRefused(str(first.get("message", "no reason given")))
            if first.get("op") != "welcome":
                raise ValueError("no welcome")
            self._writer = writer
            for line in tuple(self._holds.values()):
                self._write(line)
            while True:
                raw = await reader.readline()
                if not raw.endswith(b"\n"):
                    return
                yield json.loads(raw)
        finally:
            self._writer = None
            with contextlib.suppress(OSError):
                writer.close()

    def _obey(self, line: object) -> None:
        command = self._commands.get(str(line.get("op"))) if isinstance(line, dict) else None
        if command is not None and isinstance(line, dict):
            command(line)
