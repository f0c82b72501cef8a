"""A responder: answers every message for which the bot has no other handler.

    bot.use_responder("eliza", mood="curious")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from processsupervisor import Message

_TURNED = {"i": "you", "my": "your", "me": "you", "am": "are", "you": "I", "your": "my"}


def make(settings: Mapping[str, Any], name: str, folder: Path) -> Callable[[Message], Awaitable[str]]:
    """Return the function that answers for the bot `name`."""
    opening = "Tell me more: why do you say" if settings.get("mood") == "curious" else "So"

    async def answer(message: Message) -> str:
        words = (_TURNED.get(word.lower(), word) for word in message.text.rstrip(".!?").split())
        return f"{opening}: {' '.join(words)}?"

    return answer
