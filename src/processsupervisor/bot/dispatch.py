"""Which handler a message goes to: the core's own /about, /start and /stop, the author's commands, /help, on_message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from processsupervisor.bot.arguments import BadArguments, parse_arguments
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.handlers import Command, place_of
from processsupervisor.bot.message import Message
from processsupervisor.bot.work import Work
from processsupervisor.chat.consent import STARTED, STOPPED, command_of, consent_command


class BadReply(TypeError):
    """A handler returned something that is no reply; trying again cannot help."""


async def answer(bot: Definition, statement: str, message: Message, work: Work) -> str | AsyncIterator[str] | None:
    """Return the reply to a message, or an iterator of its pieces. Raises whatever the author's handler raises."""
    word = command_of(message.text)
    if word == "about":
        return statement
    work.changes.consent = consent_command(word)
    if word == "stop":
        return STOPPED
    command = bot.commands.get(word) if word is not None else None
    if command is not None:
        return await _run_command(command, message)
    if word == "start":
        return STARTED
    if word == "help" and bot.commands:
        return _help(bot)
    if bot.message_handler is not None:
        return await _result(bot.message_handler, bot.message_handler(message))
    return _help(bot) if bot.commands else None


async def _run_command(command: Command, message: Message) -> str | AsyncIterator[str] | None:
    _, _, rest = message.text.partition(message.text.split(None, 1)[0])
    try:
        values = parse_arguments(command.name, command.parameters, rest)
    except BadArguments as err:
        return str(err)
    return await _result(command.function, command.function(message, *values))


async def _result(function: object, called: Any) -> str | AsyncIterator[str] | None:
    result = called if hasattr(called, "__anext__") else await called
    if result is None or isinstance(result, str):
        return result
    if hasattr(result, "__aiter__"):
        return result.__aiter__()  # type: ignore[no-any-return]
    raise BadReply(f"{place_of(function)} returned {type(result).__name__}, expected None, str or an async iterator of str")


def _help(bot: Definition) -> str:
    return "\n".join(["I know these commands:", *(command.usage for command in bot.commands.values())])
