"""The commands on the databases of native bots. Carried out by the client on the files themselves: they need no psvd."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_NAME = Arg("name", "text", None, "The bot", required=True, positional=True)
_RESTORE = (
    "Put a backup in the place of the database of a bot that is stopped. It is checked first; the file that stood there stays beside it"
)

_MIGRATE = (
    "Bring the database of a stopped bot to the schema of this psv, which its next start would do too, or back to an older one "
    "before an older psv is installed. A copy of the file as it was stays beside it. What an older schema has no place for is lost "
    "on the way back"
)

COMMANDS = (
    Command("bot.db", "Show what is in the database of a native bot, and check it", (_NAME,), "view", place="client",
            verbs=("bot db",), json=True),
    Command("bot.backup", "Copy the database of a native bot, which may be running, and check the copy", (
        _NAME, Arg("to", "text", None, "The file to write (default: one below .psv/data/backups)"),
    ), "operate", place="client", verbs=("bot backup",), json=True),
    Command("bot.restore", "Put a backup in the place of the database of a stopped bot", (
        _NAME, Arg("file", "text", None, "A file that psv bot backup made", required=True, positional=True),
    ), "admin", place="client", verbs=("bot restore",), json=True, text=_RESTORE),
    Command("bot.migrate", "Bring the database of a stopped bot to another schema", (
        _NAME, Arg("to", "integer", None, "The schema: of an older psv, to go back to that (default: of this psv)", least=1, most=1000),
    ), "admin", place="client", verbs=("bot migrate",), json=True, text=_MIGRATE),
)  # fmt: skip
