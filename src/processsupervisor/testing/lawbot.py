"""The bot of the law: an echo, and one answer of each kind that a bot can give, by the first word of what is said to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from processsupervisor.bot.api import Bot
from processsupervisor.bot.files import File
from processsupervisor.bot.message import Message
from processsupervisor.bot.questions import ask
from processsupervisor.bot.reply import Button, Edit, Reply

STATEMENT = "A program answers here."
LONG_WORDS = [f"word-{number:04}" for number in range(1200)]
"""More than most networks take in one message."""
LINES = "first line\n  second line\nthird"
LINK = "https://example.org/read"
REPORT = "report.txt"
REPORT_CONTENT = b"all is well"
QUESTION = "Tea or coffee?"
CHOICES = ("Tea", "Coffee")


def make_bot(begun: list[str]) -> Bot:
    """Return the bot; it notes in `begun` what it handles."""
    bot = Bot()
    bot.options = {"about": STATEMENT}

    @bot.on_message
    async def echo(message: Message) -> Any:
        begun.append(message.text)
        kind = message.text.split(" ")[0]
        if kind == "stream":
            return _pieces(message.text)
        if kind == "slow":
            await asyncio.sleep(0.3)
        make = _ANSWERS.get(message.text)
        return f"echo {message.text}" if make is None else await make()

    @bot.button("vote")
    async def voted(message: Message, choice: str) -> Edit:
        return Edit(f"you voted {choice}")

    return bot


async def _pieces(text: str) -> AsyncIterator[str]:
    for word in ("echo", " ", text):
        yield word
        await asyncio.sleep(0.06)


async def _long() -> str:
    return " ".join(LONG_WORDS)


async def _lines() -> str:
    return LINES


async def _three() -> list[str]:
    return ["one of three", "two of three", "three of three"]


async def _marked() -> Reply:
    return Reply("<b>bold</b> and plain", markup="html")


async def _buttons() -> Reply:
    return Reply("Choose now", buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")], [Button("Read", url=LINK)]])


async def _file() -> Reply:
    return Reply("Take this", files=[File(REPORT_CONTENT, name=REPORT)])


async def _question() -> str:
    return f"you chose {await ask(QUESTION, choices=CHOICES)}"


_ANSWERS: dict[str, Callable[[], Awaitable[Any]]] = {
    "long please": _long, "lines please": _lines, "three please": _three, "markup please": _marked, "buttons please": _buttons,
    "file please": _file, "question please": _question,
}  # fmt: skip
