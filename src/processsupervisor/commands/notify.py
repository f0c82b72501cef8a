"""The commands on the channels that are told of trouble (`notify.*`). Carried out by the client: no psvd is needed to try a channel."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

COMMANDS = (
    Command(
        "notify.test",
        "Send a test message through channels of fleet.toml, and say what came back",
        (Arg("names", "names", (), "Names or globs of channels (default: all)"),),
        "admin",
        place="client",
        verbs=("notify test",),
        json=True,
    ),
)
