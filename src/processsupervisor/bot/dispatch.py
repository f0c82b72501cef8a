"""Which handler a message goes to: the core's own /about, /start and /stop, /help, a dialog that waits, the author's."""

from __future__ import annotations

from processsupervisor.bot.context import Context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.dialogs import Dialogs
from processsupervisor.bot.reply import collect
from processsupervisor.chat.consent import STARTED, STOPPED, command_of, consent_command
from processsupervisor.storage.records import Kind, Reply


async def answer(bot: Definition, dialogs: Dialogs, statement: str, context: Context) -> list[Reply]:
    """Return the replies to a message. Raises whatever the author's handler raises."""
    word = command_of(context.row.text) if context.row.kind is Kind.MESSAGE else None
    said = _own_answer(bot, statement, word, context)
    if said is not None:
        return await collect(said, context.collected)
    taken = await dialogs.take(context.row)
    if taken is not None:
        return await taken(context)
    handler = bot.registry.find(context.row)
    if handler is not None:
        return await dialogs.run(handler, context)
    return await collect(bot.registry.help() or None, context.collected)


def _own_answer(bot: Definition, statement: str, word: str | None, context: Context) -> str | None:
    """Return what the core answers itself; /start and /stop are noted."""
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
    return None
