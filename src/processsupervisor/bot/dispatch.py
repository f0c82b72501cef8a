"""Which handler a message goes to: the core's own /about, /start and /stop, the dialog that waits, the author's handlers, /help."""

from __future__ import annotations

import logging

from processsupervisor.bot.context import Context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.dialogs import Answering, Dialogs
from processsupervisor.bot.handlers import OLD_BUTTON, Event
from processsupervisor.bot.reply import collect
from processsupervisor.bot.schedules import BOT_NETWORK, comes_again, is_held_back
from processsupervisor.chat.consent import RESERVED_COMMANDS, STARTED, STOPPED, command_in, consent_command
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.records import InboxRow, Kind, Reply

_log = logging.getLogger("processsupervisor.bot")


class Dispatch:
    """Answers the messages of one bot in one life."""

    def __init__(self, bot: Definition, dialogs: Dialogs) -> None:
        self._bot = bot
        self._dialogs = dialogs
        self._missing: set[str] = set()
        """Handlers of schedules that are not there, as far as that was said in the log."""

    async def answer(self, statement: str, context: Context) -> list[Reply]:
        """Return the replies to a message. Raises whatever the author's handler raises."""
        row, registry = context.row, self._bot.registry
        is_text = row.kind is Kind.MESSAGE
        word = command_in(row) if is_text else None
        if word is not None:
            context.work.changes.consent = consent_command(word)
            if word in RESERVED_COMMANDS:
                return await collect(statement if word == "about" else STOPPED, context.collected)
        if row.kind is Kind.SCHEDULE and await is_held_back(row, context.database):
            return []
        taken = await _taken(self._dialogs, context)
        if taken is not None:
            return await taken(context)
        said = None
        if word is not None and registry.command(word) is None:
            said = STARTED if word == "start" else registry.help() if word == "help" else None
        if not said:
            handler = registry.find(row)
            if handler is not None:
                return _heard(handler.name, row, await self._dialogs.run(handler, context))
            if row.kind is Kind.SCHEDULE:
                await self._miss(context)
            if row.kind is Kind.BUTTON:
                there = ", ".join(f'@bot.button("{word}")' for word in registry.words(Event.BUTTON)) or "none"
                _log.warning("a button was pressed that no handler is for; there is: %s", there)
                return await collect(OLD_BUTTON, context.collected)
            said = registry.help() if is_text else None
        return await collect(said or None, context.collected)

    async def _miss(self, context: Context) -> None:
        """Pass over a schedule whose handler is not there and that comes again. Raises UsageError for any other: it is not lost."""
        name = context.row.sender
        if not await comes_again(context.row, context.database):
            raise UsageError(
                f"a schedule is due for @bot.scheduled({name}), which is not there (any more)", hint="define it, then replay the letter"
            )
        if name not in self._missing:
            self._missing.add(name)
            _log.warning('something is due for @bot.scheduled("%s"), which is not there (any more); it is kept, and not told again', name)


def _heard(name: str, row: InboxRow, replies: list[Reply]) -> list[Reply]:
    """Return the replies of a handler, none where nobody can hear them."""
    if replies and row.place.network == BOT_NETWORK:
        _log.warning("%s answered, but a schedule of the whole bot is in no conversation: use bot.send", name)
        return []
    return replies


async def _taken(dialogs: Dialogs, context: Context) -> Answering | None:
    """Return the dialog that waits for the message. No newer message ends the turn before a handler has begun."""
    turn = context.work.turn
    if turn is None:
        return await dialogs.take(context.row)
    turn.enter_step()
    try:
        return await dialogs.take(context.row)
    finally:
        turn.leave_step()
