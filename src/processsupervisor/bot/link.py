"""The bot's control link to psvd: says ready, paused and the like, hears stop, pause and resume.

psvd may be away for any time: the bot goes on, tries again with jitter, and then says everything that holds anew. Nothing
that psvd sends is waited for, except its welcome.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections.abc import Callable, Mapping
from typing import cast

from processsupervisor.bot.tally import Tally
from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import PROOF_EVERY_S
from processsupervisor.version import PROTOCOL

_FIRST_WAIT_S, _LAST_WAIT_S = 0.05, 1.0
_REFUSED_WAIT_S = 5.0
_WELCOME_S = 10.0
_MAX_UNSENT_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1 << 20
_UNSENT_EVERY_S = 60.0
_MAX_WHY_CHARS = 500
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
        self.facts: Callable[[], dict[str, object]] = dict
        """What else each hello says."""
        self._commands = commands
        self._holds: dict[str, dict[str, object]] = {}
        """What is true now, by topic, in the order in which a new psvd must hear it."""
        self._peer: _Peer | None = None
        self._proved_mono = float("-inf")
        self._given_up = Tally(lambda count, _why: self._count("given-up", count))
        self._unsent = Tally(lambda count, why: self._count("send-failed", count, why=why[:_MAX_WHY_CHARS]), _UNSENT_EVERY_S)
        self._unknown = Tally(lambda count, _why: self._count("send-unknown", count), _UNSENT_EVERY_S)
        self._tallies = (self._given_up, self._unsent, self._unknown)

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

    def prove(self, at_mono: float | None) -> None:
        """Say when the bot's networks last answered, None if one of them never did; at most one message each few seconds."""
        line: dict[str, object] = {"op": "proof", "at_mono": at_mono}
        self._holds["proof"] = line
        now = mono()
        if self._peer is None or (at_mono is not None and now - self._proved_mono < PROOF_EVERY_S):
            return
        self._proved_mono = now if at_mono is not None else self._proved_mono
        self._write(line)

    def work(self, handled: int, running: int) -> None:
        """Say how many messages were handled in this life, and how many are not through yet; only when psvd asks."""
        if self._peer is not None:
            self._write({"op": "work", "handled": handled, "running": running})

    def replayed(self, number: int, why_not: str) -> None:
        """Answer psvd's question to handle a dead letter, or to send a message, again; "" when it is done."""
        if self._peer is not None:
            self._write({"op": "replayed", "id": number, "message": why_not})

    def took(self, digest: str) -> None:
        """Say which settings hold from now on; said again to every new psvd, whose hello may have been on its way before."""
        self._say("config", {"op": "config-taken", "digest": digest})

    def refuse(self, digest: str, why: str) -> None:
        """Say that settings were not taken; a psvd that is not there yet asks anew."""
        if self._peer is not None:
            self._write({"op": "config-refused", "digest": digest, "message": why})

    def give_up(self) -> None:
        """Say that a message was given up; told once, as soon as a psvd is there."""
        self._given_up.add()

    def send_failed(self, why: str) -> None:
        """Say that a network refuses a message for good; of many the first is told, and the others a minute later."""
        self._unsent.add(why=why)

    def send_unknown(self, count: int) -> None:
        """Say that of messages it is unknown whether they arrived, and that they are not sent again; as `send_failed` does."""
        self._unknown.add(count)

    def _count(self, op: str, count: int, **more: object) -> bool:
        """Tell a psvd that is there how often something happened."""
        if self._peer is None:
            return False
        self._write({"op": op, "messages": count, **more})
        return True

    def _say(self, topic: str, line: dict[str, object]) -> None:
        self._holds[topic] = line
        if self._peer is not None:
            self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        assert self._peer is not None
        self._peer.write(line)

    async def run(self) -> None:
        """Hold the link for ever."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                was_welcome = await self._hold()
                wait_s = _FIRST_WAIT_S if was_welcome else wait_s
            except LinkRefused as err:
                _log.warning("the supervisor refused this bot's link: %s", err)
                wait_s = _REFUSED_WAIT_S
            except OSError:
                pass  # nobody there, or too busy to take one more
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, _LAST_WAIT_S)

    async def _hold(self) -> bool:
        """Connect, and stay until the link is lost; tells whether psvd said welcome. Raises LinkRefused, OSError."""
        loop = asyncio.get_running_loop()
        # Connected by hand and without waiting: asyncio takes EAGAIN on a full backlog for success.
        client = connect_unix(self._path, 0.0)
        try:
            _, peer = await loop.create_unix_connection(lambda: _Peer(self), sock=client)
        except BaseException:
            client.close()
            raise
        try:
            return await peer.lost
        finally:
            self._peer = None
            peer.close()

    def greet(self, peer: _Peer) -> None:
        """Say hello on a new connection."""
        peer.write(self._hello | self.facts())

    def welcomed(self, peer: _Peer) -> None:
        """Say everything that holds to a psvd that took this bot in."""
        self._peer = peer
        for line in tuple(self._holds.values()):
            self._write(line)
        for tally in self._tallies:
            tally.flush()
        has_proof = self._holds.get("proof", {}).get("at_mono") is not None
        self._proved_mono = mono() if has_proof else float("-inf")

    def obey(self, line: dict[str, object]) -> None:
        """Do what psvd says; words of a newer psvd are left out."""
        command = self._commands.get(str(line.get("op")))
        if command is not None:
            command(line)


class _Peer(asyncio.Protocol):
    """One connection to psvd. A protocol and not a stream: less code runs, so an idle bot keeps more of its memory shared."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_welcome = False
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[bool] = loop.create_future()
        """Whether psvd had said welcome, or LinkRefused."""
        self._deadline = loop.call_later(_WELCOME_S, self.close)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports derive from none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)
        self._link.greet(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for raw in lines:
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if not isinstance(line, dict):
                self.close()  # not what we speak: another connection, another try
                return
            self._hear(line)
        if len(self._buffer) > _MAX_LINE_BYTES:
            self.close()

    def _hear(self, line: dict[str, object]) -> None:
        if self._is_welcome:
            self._link.obey(line)
        elif line.get("op") == "welcome":
            self._is_welcome = True
            self._deadline.cancel()
            self._link.welcomed(self)
        else:
            if line.get("op") == "refused" and not self.lost.done():
                self.lost.set_exception(LinkRefused(str(line.get("message", "no reason given"))))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(self._is_welcome)

    def write(self, line: dict[str, object]) -> None:
        """Send a line; a psvd that reads nothing is cut off, the next one hears what holds."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._transport.abort()
            return
        self._transport.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """End the connection."""
        self._deadline.cancel()
        if self._transport is not None:
            self._transport.close()
