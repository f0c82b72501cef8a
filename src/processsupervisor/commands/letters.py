"""The commands on dead letters: messages that a native bot gave up. All are carried out by the client, on the bot's file.

But a bot that runs handles a replayed message itself: it is asked by `bot.replay`, over psvd and its link.
"""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort

_NAME = Arg("name", "text", None, "The bot", required=True, positional=True)
_ID = Arg("letter", "integer", None, "The number of the letter, as psv letter list shows it", required=True, positional=True, least=1)
_LIMIT = Arg("limit", "integer", 100, "How many, the newest first", least=1, most=1000)


async def replay(port: FleetPort, emit: Emit, *, name: str, letter: int) -> object:
    """Have a bot that runs handle a dead letter again."""
    (found,) = port.select([name], None)
    return await port.replay_letter(found, letter)


COMMANDS = (
    Command("letter.list", "List the messages that a native bot gave up", (_NAME, _LIMIT), "operate", place="client",
            verbs=("letter list", "bot letters"), json=True),
    Command("letter.show", "Show a message that was given up, with its text", (_NAME, _ID), "operate", place="client",
            verbs=("letter show",), json=True),
    Command("letter.replay", "Have a bot handle a message again that it gave up: now, or when it starts", (_NAME, _ID), "operate",
            place="client", verbs=("letter replay",)),
    Command("letter.drop", "Forget that a message was given up; it stays in the past of its conversation", (_NAME, _ID), "operate",
            place="client", verbs=("letter drop",)),
    Command("bot.replay", "Have a bot that runs handle a message again that it gave up", (_NAME, _ID), "operate", replay),
)  # fmt: skip
