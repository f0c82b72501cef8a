"""The commands on releases (`release.*`), carried out by the client: making copies of the bots' code, and running them by config.apply."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_NOW = Arg("now", "flag", False, "Wait for ready only: the first bots need not stay healthy before the others follow", option=("--now",))
_NUMBER = Arg("number", "integer", None, "The release", required=True, positional=True, least=1, most=1e9)

COMMANDS = (
    Command("release.create", "Copy the code beside fleet.toml into a new release, which nothing changes afterwards", (
        Arg("note", "text", "", "What is new in it, for whoever reads psv release list"),
        Arg("venv", "flag", False, "With a virtual environment, made of its requirements.txt or pyproject.toml", option=("--venv",)),
        Arg("again", "flag", False, "Also if nothing differs from the newest one", option=("--again",)),
        Arg("limit", "text", "500MB", "Most that it may hold, without the virtual environment", option=("--limit",)),
    ), "admin", place="client", verbs=("release create",), json=True),
    Command("release.list", "List the releases, the newest last, and which one runs", (), "view", place="client",
            verbs=("release list",), json=True),
    Command("release.deploy", "Run the bots with source = \"releases\" from a release, a few at a time; one that fails is taken back", (
        _NUMBER, _NOW, Arg("again", "flag", False, "Also if it was taken back before", option=("--again",)),
    ), "admin", place="client", stream=True, verbs=("release deploy",), json=True),
    Command("release.rollback", "Deploy the release that ran before", (_NOW,), "admin", place="client", stream=True,
            verbs=("release rollback",), json=True),
    Command("release.rm", "Remove a release that neither runs nor ran last", (_NUMBER,), "admin", place="client", verbs=("release rm",)),
)
