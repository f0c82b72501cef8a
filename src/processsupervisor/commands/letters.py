"""The commands on what a native bot left to a person: dead letters, and sends of which it is unknown whether they arrived.

All are carried out by the client, on the bot's file. But a bot that runs handles a replayed message, and sends, itself: it is asked by
`bot.replay` and `bot.resend`, over psvd and its link.
"""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort

_NAME = Arg("name", "text", None, "The bot", required=True, positional=True)
_ID = Arg("letter", "integer", None, "The number of the letter, as psv letter list shows it", required=True, positional=True, least=1)
_SEND = Arg("send", "integer", None, "The number of the send, as psv send list shows it", required=True, positional=True, least=1)
_LIMIT = Arg("limit", "integer", 100, "How many, the newest first", least=1, most=1000)


async def replay(port: FleetPort, emit: Emit, *, name: str, letter: int) -> object:
    """Have a bot that runs handle a dead letter again."""
    (found,) = port.select([name], None)
    return await port.replay(found, "letter", letter)


async def resend(port: FleetPort, emit: Emit, *, name: str, send: int) -> object:
    """Have a bot that runs send a message again."""
    (found,) = port.select([name], None)
    return await port.replay(found, "send", send)


COMMANDS = (
    Command("letter.list", "List the messages that a native bot gave up", (_NAME, _LIMIT), "operate", place="client",
            verbs=("letter list", "bot letters"), json=True),
    Command("letter.show", "Show a message that was given up, with its text", (_NAME, _ID), "operate", place="client",
            verbs=("letter show",), json=True),
    Command("letter.replay", "Have a bot handle a message again that it gave up: now, or when it starts", (_NAME, _ID), "operate",
            place="client", verbs=("letter replay",)),
    Command("letter.drop", "Forget that a message was given up; it stays in the past of its conversation", (_NAME, _ID), "operate",
            place="client", verbs=("letter drop",)),
    Command("send.list", "List the sends of a native bot of which it was unknown whether they arrived, and what became of them",
            (_NAME, _LIMIT), "operate", place="client", verbs=("send list", "bot sends"), json=True),
    Command("send.again", "Have a bot send a message of which it is unknown whether it arrived, at the risk that it appears twice",
            (_NAME, _SEND), "operate", place="client", verbs=("send again",)),
    Command("send.drop", "List a send no more: somebody has seen to it", (_NAME, _SEND), "operate", place="client",
            verbs=("send drop",)),
    Command("bot.resend", "Have a bot that runs send a message of which it is unknown whether it arrived", (_NAME, _SEND), "operate",
            resend),
    Command("bot.replay", "Have a bot that runs handle a message again that it gave up", (_NAME, _ID), "operate", replay),
)  # fmt: skip
