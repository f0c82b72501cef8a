"""Which handler a message goes to: the core's own /about, /start and /stop, the author's commands, /help, on_message."""

from __future__ import annotations

from processsupervisor.bot.context import Context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.reply import Answer
from processsupervisor.chat.consent import STARTED, STOPPED, command_of, consent_command


async def answer(bot: Definition, statement: str, context: Context) -> Answer:
    """Return the answer to a message. Raises whatever the author's handler raises."""
    word = command_of(context.row.text)
    if word == "about":
        return statement
    context.work.changes.consent = consent_command(word)
    if word == "stop":
        return STOPPED
    if bot.registry.command(word) is None:
        if word == "start":
            return STARTED
        if word == "help" and (known := bot.registry.help()):
            return known
    handler = bot.registry.find(context.row)
    return await handler.call(context) if handler is not None else bot.registry.help() or None
