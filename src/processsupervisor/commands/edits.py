"""The commands that edit fleet.toml (`bot.add` and its kin): declarations; the command line carries them out."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_NAME = Arg("name", "text", None, "The bot", required=True, positional=True)

COMMANDS = (
    Command(
        "bot.add",
        "Add a bot to fleet.toml; a fleet that runs takes it over",
        (
            Arg("name", "text", None, "The bot", required=True, positional=True),
            Arg("words", "names", (), "Behind --: the command and its arguments; with --script or --type, further arguments"),
            Arg("script", "text", None, "A Python program, run unchanged"),
            Arg("type", "text", None, "The [types.X] whose settings it takes"),
            Arg("env_file", "text", None, "A file of NAME=value lines, for its token"),
        ),
        "admin",
        place="client",
        verbs=("bot add",),
    ),
    Command(
        "bot.rename",
        "Rename a stopped bot, with its data, logs and history",
        (
            Arg("old", "text", None, "The bot", required=True, positional=True),
            Arg("new", "text", None, "Its new name", required=True, positional=True),
        ),
        "admin",
        place="client",
        verbs=("bot rename",),
    ),
    Command("bot.rm", "Take a stopped bot out of fleet.toml; its data and logs stay", (_NAME,), "admin", place="client", verbs=("bot rm",)),
    Command(
        "bot.purge",
        "Delete a bot for good, with its data, logs and history",
        (
            _NAME,
            Arg("yes", "flag", False, "Do not ask", option=("-y", "--yes")),
        ),
        "admin",
        place="client",
        verbs=("bot purge",),
    ),
)
