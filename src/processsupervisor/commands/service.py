"""The commands that let the machine start a fleet at boot (`service.*`); the client carries them out."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_USER = "Of this user's own service manager, or of the machine's (default: the machine's for root, else the user's)"

COMMANDS = (
    Command(
        "service.install",
        "Have the machine start this fleet at boot: a systemd unit, or a crontab line where there is no systemd",
        (
            Arg("user", "flag", None, _USER, option=("--user/--system",)),
            Arg("now", "flag", False, "Start the fleet now too"),
            Arg("print", "flag", False, "Print what would be written, and write nothing"),
        ),
        "admin",
        place="client",
        verbs=("service install",),
    ),
    Command(
        "service.remove",
        "Take away what psv service install wrote; the fleet itself goes on",
        (
            Arg("user", "flag", None, "Look only there (default: both)", option=("--user/--system",)),
            Arg("now", "flag", False, "Stop the fleet too"),
        ),
        "admin",
        place="client",
        verbs=("service remove",),
    ),
)
