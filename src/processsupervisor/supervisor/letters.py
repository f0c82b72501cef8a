"""Asks a running bot to handle a dead letter, or to send a message, again, and waits for its word.

The bot's file is the bot's alone: psvd never opens it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from processsupervisor.commands.ports import Asked
from processsupervisor.kernel.errors import Refused
from processsupervisor.process.handle import BotHandle

ANSWER_S = 10.0


class LetterDesk:
    """Questions that wait for a bot's answer, by bot and number."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], asyncio.Future[str]] = {}
        self._number = 0

    async def ask(self, handle: BotHandle, what: Asked, which: int) -> dict[str, object]:
        """Return `{name, ok, message}` as the bot answers. Raises Refused when it does not."""
        if handle.link is None:
            raise Refused(f"{handle.name} does not talk to psvd now", hint="a native bot does while it runs; stopped, its file is changed")
        self._number += 1
        key = (handle.name, self._number)
        answer = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            handle.link.send({"op": "replay", "id": self._number, what: which})
            async with asyncio.timeout(ANSWER_S):
                why = await answer
        except TimeoutError:
            raise Refused(f"{handle.name} did not answer within {ANSWER_S:g} s", hint=f"look at it: psv status {handle.name}") from None
        finally:
            del self._asked[key]
        return {"name": handle.name, "ok": not why, "message": why}

    def on_answer(self, bot: str, message: dict[str, Any]) -> None:
        """Take what a bot says; nobody may wait for it any more."""
        number = message.get("id")
        answer = self._asked.get((bot, number)) if isinstance(number, int) else None
        if answer is not None and not answer.done():
            answer.set_result(str(message.get("message") or ""))
