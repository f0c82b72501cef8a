"""The argument tree of `psv`, made from the registry: `verbs` become (sub)commands, `args` become arguments and options.

A click command is made only when it is asked for. Values are checked once more by `bind`, so that the command line
and the socket accept exactly the same.
"""

from __future__ import annotations

from typing import Any, NoReturn

import click

from processsupervisor.cli.session import Session
from processsupervisor.cli.verbs import find_verb
from processsupervisor.commands.command import Arg, Command, bind
from processsupervisor.commands.registry import REGISTRY
from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.units import parse_duration
from processsupervisor.version import __version__

SETTINGS = {"help_option_names": ["-h", "--help"]}
GROUPS = {
    "bot": "Work on bots: NAME… are names or globs such as 'shop-*'",
    "letter": "Work on dead letters: messages that a native bot gave up",
    "send": "Work on sends of which it is unknown whether they arrived",
    "task": "Work on tasks: bots that run when their time comes",
    "secret": "Keep tokens and passwords for bots, encrypted",
    "release": "Work on releases: immutable copies of the bots' code",
    "service": "Have the machine start the fleet at boot",
    "notify": "Work on the channels that are told of trouble",
    "config": "Work on the configuration: fleet.toml, and the versions of it that were applied",
}

LISTED = {"text": "TEXT", "words": "WORD", "paths": "PATH"}
"""How an argument that takes many is shown, by its name; all others are NAME."""


def verbs() -> dict[str, Command]:
    """Return every form of every command on the command line, in the order of the registry."""
    return {verb: command for command in REGISTRY.values() for verb in command.verbs}


class Duration(click.ParamType[float]):
    """A duration such as 30s or 1h30m; seconds when bare."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        try:
            return parse_duration(float(value) if isinstance(value, str) and _is_number(value) else value)
        except ValueError as err:
            self.fail(str(err), param, ctx)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


class Word(click.Choice[str]):
    """One of some words, in letters of any case; messages show them as they are."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word as it is known."""
        known = {str(choice).casefold(): choice for choice in self.choices}
        return super().convert(known.get(str(value).casefold(), value), param, ctx)


class Branch(click.Group):
    """A group whose children are the verbs below `prefix`."""

    def __init__(self, prefix: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the next words after the prefix."""
        words = [verb.removeprefix(self._prefix).split(" ")[0] for verb in verbs() if verb.startswith(self._prefix)]
        return list(dict.fromkeys(words))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the child `cmd_name`, or None."""
        if not self._prefix and cmd_name in GROUPS:
            return Branch(f"{cmd_name} ", name=cmd_name, help=GROUPS[cmd_name], context_settings=SETTINGS, no_args_is_help=False)
        command = verbs().get(self._prefix + cmd_name)
        return None if command is None else make_command(command, cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest name and our error."""
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None:
            self._refuse(ctx, name)
        return name, found, args[1:]

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        from processsupervisor.commands.command import nearest_hint

        if name.startswith("-"):
            raise UsageError(f"there is no option {name}", hint=f"see {ctx.command_path} --help")
        raise UsageError(f'there is no command "{(self._prefix + name)}"', hint=nearest_hint(name, self.list_commands(ctx), "known are"))

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse a bare `psv` or `psv bot` with what it could be."""
        if not ctx._protected_args and not ctx.args:
            raise UsageError("no command is given", hint=f"see {ctx.command_path} --help")
        return super().invoke(ctx)


def make_root() -> Branch:
    """Return the whole `psv` command."""

    def take(folder: str | None) -> None:
        click.get_current_context().obj = Session(folder)

    option = click.Option(["-C", "folder"], metavar="DIR", help="The fleet's folder (default: PSV_DIR, else the nearest with a fleet.toml)")
    version = click.version_option(__version__, "-V", "--version", message="psv %(version)s")
    root = Branch("", name="psv", params=[option], callback=take, context_settings=SETTINGS, no_args_is_help=False,
                  help="Run a fleet of chat bots, each in a process of its own.")
    return version(root)


def make_command(command: Command, name: str) -> click.Command:
    """Return the click command for `command` under the word `name`."""
    params = [_parameter(arg) for arg in command.args]
    if command.json:
        params.append(click.Option(["--json", "_json"], is_flag=True, help="Print JSON"))

    def run(_json: bool = False, **raw: Any) -> int:
        session = click.get_current_context().find_object(Session) or Session(None)
        session.as_json = _json
        args = bind(command, {key: value for key, value in raw.items() if value is not None})
        return find_verb(command.name)(session, command, **args)

    return click.Command(name, params=params, callback=run, help=command.text or command.summary, short_help=command.summary,
                         context_settings=SETTINGS)


def _parameter(arg: Arg) -> click.Parameter:
    if arg.kind == "names":
        return click.Argument([arg.name], nargs=-1, metavar=f"[{LISTED.get(arg.name, 'NAME')}]...")
    if arg.positional:
        shown = _metavar(arg, arg.name.upper())
        shown = shown if arg.required else f"[{shown}]"
        return click.Argument([arg.name], type=click.INT if arg.kind == "integer" else click.STRING, required=arg.required, metavar=shown)
    flags = [*arg.flags, arg.name]
    if arg.kind == "flag":
        return click.Option(flags, is_flag=True, default=None if arg.default is None else bool(arg.default), help=arg.help)
    kind: click.ParamType[Any] = click.STRING
    if arg.kind == "integer":
        kind = click.INT
    elif arg.kind == "duration":
        kind = Duration()
    elif arg.choices:
        kind = Word(arg.choices)
    if arg.required:  # without a default: to click, None is a value too
        return click.Option(flags, type=kind, required=True, help=arg.help, metavar=_metavar(arg))
    default = f"{float(str(arg.default)):g}s" if arg.kind == "duration" and arg.default is not None else arg.default
    return click.Option(flags, type=kind, default=default, help=arg.help, metavar=_metavar(arg), show_default=default is not None)


def _metavar(arg: Arg, number: str = "N") -> str:
    if arg.choices:
        return "|".join(arg.choices)
    words = {"integer": number, "duration": "DURATION", "text": {"folder": "DIR"}.get(arg.name, arg.name.upper())}
    return words[arg.kind]
