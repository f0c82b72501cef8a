"""How fast a bot's own sends go on to Telegram: by the limits of connections/buckets, and by what Telegram has said.

A send waits here only so long as every library's deadline allows; after that the bot is told to come again, as Telegram would say it.
"""

from __future__ import annotations

import asyncio
import math

from processsupervisor.connections.buckets import Buckets
from processsupervisor.kernel.clock import mono
from processsupervisor.web.botapi.request import BotRequest
from processsupervisor.web.botapi.values import Answer, Told

HOLD_S = 2.0
"""python-telegram-bot waits 5 s for an answer, the others longer; a send that is still held then would be sent twice."""
_SENDS = ("send", "edit", "copymessage", "forwardmessage")
_PLAIN = frozenset({"sendchataction", "sendmessagedraft"})


class Pace:
    """The limits of one token."""

    def __init__(self) -> None:
        self._buckets = Buckets()

    async def enter(self, request: BotRequest) -> str:
        """Return the chat that a send is for when it may go, "" for what has no limit. Raises Told (429) when that takes too long."""
        method = request.method.lower()
        chat = request.parameter("chat_id") if method.startswith(_SENDS) and method not in _PLAIN else ""
        until = mono() + HOLD_S
        while chat and (wait_s := self._buckets.take(chat, mono(), is_group=_is_group(chat))) > 0:
            if mono() + wait_s > until:
                seconds = max(1, math.ceil(wait_s))
                raise Told(429, f"Too Many Requests: retry after {seconds}", retry_after_s=seconds)
            await asyncio.sleep(wait_s)
        return chat

    def heed(self, chat: str, answer: Answer) -> None:
        """Take note of a 429: nothing more goes to that chat before its time."""
        if answer.status == 429 and chat and (retry_after_s := answer.retry_after_s) > 0:
            self._buckets.refused(chat, retry_after_s, mono(), is_group=_is_group(chat))


def _is_group(chat: str) -> bool:
    return chat.startswith(("-", "@"))
