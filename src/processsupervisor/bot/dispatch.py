"""Which handler a message goes to: the core's own /about, /start and /stop, the dialog that waits, the author's handlers, /help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from processsupervisor.bot.context import Context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.reply import Answer
from processsupervisor.chat.consent import STARTED, STOPPED, command_of, consent_command
from processsupervisor.storage.records import InboxRow, Kind


class Handler(Protocol):
    """Something that answers a message."""

    async def call(self, context: Context) -> Answer:
        """Return the answer. Raises whatever the author's code raises."""


Take = Callable[[InboxRow], Awaitable[Handler | None]]


async def answer(bot: Definition, statement: str, context: Context, take: Take) -> Answer:
    """Return the answer to a message. Raises whatever the author's handler raises."""
    row = context.row
    is_text = row.kind is Kind.MESSAGE
    word = command_of(row.text) if is_text else None
    if word is not None:
        if word == "about":
            return statement
        context.work.changes.consent = consent_command(word)
        if word == "stop":
            return STOPPED
    handler = await take(row)
    if handler is not None:
        return await handler.call(context)
    if word is not None and bot.registry.command(word) is None:
        if word == "start":
            return STARTED
        if word == "help" and (known := bot.registry.help()):
            return known
    found = bot.registry.find(row)
    if found is not None:
        return await found.call(context)
    return (bot.registry.help() or None) if is_text else None
