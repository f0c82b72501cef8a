"""bot.sock: where native bots say hello, ready, paused, resumed, and are told stop, pause and resume.

A bot shows its name, its generation and the secret given to it at this start, and can act only for itself. psvd keeps the
secret's digest only. Links are one task each; a bot that loses its link comes back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

from processsupervisor.ipc.lines import MAX_LINE_BYTES
from processsupervisor.kernel.states import Trigger
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.letters import LetterDesk
from processsupervisor.supervisor.liveconfig import LiveConfig
from processsupervisor.version import PROTOCOL

_log = logging.getLogger("psv.botlinks")
HELLO_TIMEOUT_S = 10.0
MAX_OUTGOING_BYTES = 1 << 20


class BotLink:
    """One connected bot; the handle sends through it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, message: dict[str, Any]) -> None:
        """Send one line; a bot that does not read is cut off rather than buffered for."""
        if self._writer.transport.get_write_buffer_size() > MAX_OUTGOING_BYTES:
            self._writer.transport.abort()
            return
        self._writer.write(json.dumps(message).encode() + b"\n")


class BotLinks:
    """The server of bot.sock; `find` gives the handle of a name, or None. `hear_work` takes `(bot, handled, running)` messages."""

    def __init__(
        self, find: Callable[[str], BotHandle | None], hear_work: Callable[[str, int, int], None], events: Events, live: LiveConfig,
        letters: LetterDesk,
    ) -> None:  # fmt: skip
        self._find = find
        self._hear_work = hear_work
        self._events = events
        self._live = live
        self._letters = letters
        self._server: asyncio.Server | None = None

    async def serve(self, listener: socket.socket) -> None:
        """Accept bots on a socket that is already listening."""
        self._server = await asyncio.start_unix_server(self._talk, sock=listener, limit=MAX_LINE_BYTES)

    def close(self) -> None:
        """Stop accepting; connected bots notice when psvd ends and come back to the next one."""
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = BotLink(writer)
        handle: BotHandle | None = None
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = json.loads(await reader.readline() or b"{}")
            handle, refusal = self._admit(hello, _peer_pid(writer))
            if handle is None:
                link.send({"op": "refused", "message": refusal, "protocol": PROTOCOL})
                return
            handle.link = link
            link.send({"op": "welcome", "protocol": PROTOCOL})
            self._live.on_hello(handle, hello)
            while line := await reader.readline():
                if handle.link is link:
                    self._take(handle, json.loads(line))
        except (TimeoutError, ValueError, OSError, asyncio.LimitOverrunError):
            pass  # a peer that breaks the protocol is cut off; if it was a bot, it comes back
        finally:
            if handle is not None and handle.link is link:
                handle.link = None
            with contextlib.suppress(OSError):
                writer.close()

    def _admit(self, hello: Any, peer_pid: int) -> tuple[BotHandle | None, str]:
        if not isinstance(hello, dict) or hello.get("op") != "hello":
            return None, "expected a hello"
        handle = self._find(str(hello.get("bot")))
        if handle is None:
            return None, "no such bot in this fleet"
        if hello.get("generation") != handle.generation:
            return None, f"generation {hello.get('generation')} is not the present one"
        digest = hashlib.sha256(str(hello.get("secret")).encode()).hexdigest()
        if not handle.secret_digest and handle.process is not None and handle.process.pid == peer_pid:
            # Adopted without its record, so the digest is lost. Its process is proven, and the kernel says that it asks.
            handle.learn_secret(digest)
        if not handle.secret_digest or not hmac.compare_digest(digest, handle.secret_digest):
            # A hello can overtake the zygote's answer by an instant; the bot tries again.
            return None, "the secret is not that of this start"
        return handle, ""

    def _take(self, handle: BotHandle, message: Any) -> None:
        match message.get("op") if isinstance(message, dict) else None:
            case "ready":
                handle.say_ready()
                asyncio.get_running_loop().call_soon(handle.pausing.follow)  # it may be about to say that it has paused
            case "paused":
                handle.pausing.say_turned(Trigger.PAUSED)
                handle.pausing.follow()
            case "resumed":
                handle.pausing.say_turned(Trigger.RESUMED)
            case "proof":
                handle.condition.prove(message.get("at_mono"))
            case "config-taken" | "config-refused":
                self._live.on_answer(handle, message)
            case "work":
                self._hear_work(handle.name, int(message.get("handled") or 0), int(message.get("running") or 0))
            case "replayed":
                self._letters.on_answer(handle.name, message)
            case "given-up":
                self._tell_given_up(handle.name, int(message.get("messages") or 1))
            case "send-failed":
                self._tell_unsent(handle.name, int(message.get("messages") or 1), str(message.get("why") or ""))
            case "send-unknown":
                self._tell_unknown(handle.name, int(message.get("messages") or 1))
            case _:
                pass  # a newer bot may say more than this psvd knows

    def _tell_given_up(self, bot: str, count: int) -> None:
        which = "a message" if count == 1 else f"{count} messages"
        why = f"{which} given up, with an apology to the contact: the bot died again and again while it was handled; see psv logs {bot}"
        _log.warning("a bot gave a message up", extra={"bot": bot, "messages": count})
        self._events.tell("alert", bot=bot, what="given-up", message=why)

    def _tell_unsent(self, bot: str, count: int, why: str) -> None:
        which = "a message" if count == 1 else f"{count} messages"
        self._events.tell("alert", bot=bot, what="send-failed", message=f"{which} cannot be sent: {why}")

    def _tell_unknown(self, bot: str, count: int) -> None:
        which = "a message is unknown, it is" if count == 1 else f"{count} messages is unknown, they are"
        self._events.tell("alert", bot=bot, what="send-unknown", message=f"the outcome of {which} not sent again; see psv send list {bot}")


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    """Return the pid that connected, -1 when it cannot be known."""
    peer = writer.get_extra_info("socket")
    credentials: bytes = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder, signed=True)
