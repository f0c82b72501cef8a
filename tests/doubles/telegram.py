"""Telegram as the unchanged bots meet it: the double of `processsupervisor.testing`, with the verbs that the doubles here share.

A bot is ready when its poll waits or, with a webhook, when its own server listens, which is after it has asked for one.
"""

from __future__ import annotations

import contextlib
import socket
import time
from urllib.parse import urlsplit

from processsupervisor.testing.botapi.server import BotApi


class Telegram(BotApi):
    """`url` is what takes the place of https://api.telegram.org."""

    def __init__(self) -> None:
        super().__init__()
        self._listening: dict[str, list[float]] = {}

    @property
    def ready(self) -> dict[str, list[float]]:
        """{token: monotonic times at which a program that had it began to listen to the network}."""
        return self.polls_begun | self._listening

    @property
    def conflicts(self) -> dict[str, int]:
        """{token: how often two programs had it at once}, of those that had any."""
        return {token: count for token in self.tokens if (count := self.known(token).conflicts)}

    def say(self, token: str, text: str) -> None:
        """Have a person write to the bot of `token`."""
        self.bot(token).says(text)

    def wait_for(self, token: str, text: str, timeout_s: float) -> None:
        """Wait until the bot has sent `text`; TimeoutError says what it sent instead."""
        self.bot(token).wait_for(text, timeout_s)

    def wait_for_ready(self, token: str, count: int, timeout_s: float) -> float:
        """Return when a program with this token was ready for the `count`-th time; TimeoutError names it."""
        account = self.known(token)
        deadline = time.monotonic() + timeout_s
        with self.heard:
            has_come = self.heard.wait_for(lambda: max(len(self.ready.get(token, ())), account.called["setWebhook"]) >= count, timeout_s)
        if not has_come:
            raise TimeoutError(f"Telegram: {token.partition(':')[0]} was not ready within {timeout_s:g} s")
        if account.called["setWebhook"] >= count and account.hook is not None:
            _await_server(account.hook.url, deadline)
            self._listening.setdefault(token, []).append(time.monotonic())
        return self.ready[token][count - 1]


def _await_server(url: str, deadline: float) -> None:
    address = urlsplit(url)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), 1.0):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens at {url}")
