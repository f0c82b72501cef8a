"""A double of an IRC server: registration, one channel, private messages and PING, as RFC 2812 says. PASS is the token."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from tests.doubles.server import Server


class Irc(Server):
    """`closed` has the last words of a client that took its leave (QUIT), None for one that just went away."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.closed: dict[str, list[str | None]] = defaultdict(list)
        self._writers: dict[str, tuple[str, asyncio.StreamWriter]] = {}

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for _, writer in list(self._writers.values()):
            writer.close()
        await asyncio.sleep(0)

    def say(self, token: str, text: str) -> None:
        """Have a person write to the bot in private."""
        self.call(self._say(token, text))

    async def _say(self, token: str, text: str) -> None:
        nick, writer = self._writers[token]
        writer.write(f":ada!ada@example.org PRIVMSG {nick} :{text}\r\n".encode())
        await writer.drain()

    def wait_for(self, token: str, text: str, timeout_s: float) -> None:
        """Wait until the bot has sent `text`; TimeoutError says what it sent instead."""
        with self.heard:
            if not self.heard.wait_for(lambda: text in self.sent[token], timeout_s):
                raise TimeoutError(f"the bot did not send {text!r} but {self.sent[token]}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        token = nick = ""
        farewell: str | None = None
        try:
            while line := (await reader.readline()).decode().strip():
                command, _, rest = line.partition(" ")
                match command:
                    case "PASS":
                        token = rest
                    case "NICK":
                        nick = rest
                        self._writers[token] = (nick, writer)
                    case "USER":
                        writer.write(f":irc.test 001 {nick} :Welcome\r\nPING :irc.test\r\n".encode())
                    case "JOIN":
                        writer.write(f":{nick}!{nick}@example.org JOIN {rest}\r\n".encode())
                        self.is_ready(token)
                    case "PRIVMSG":
                        with self.heard:
                            self.sent[token].append(rest.partition(" :")[2])
                            self.heard.notify_all()
                    case "QUIT":
                        farewell = rest.removeprefix(":")
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            with self.heard:
                self.closed[token].append(farewell)
                self.heard.notify_all()
            writer.close()
