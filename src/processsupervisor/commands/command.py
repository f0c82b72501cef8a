"""What one command is: `Command` and its `Arg`uments, and `bind`, which turns raw JSON into checked arguments.

Standard library only and cheap to import: psvd, `psv bot list` and the generated pages read the same declarations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple

from processsupervisor.kernel.errors import UsageError

Kind = Literal["names", "text", "flag", "integer", "duration"]
Permission = Literal["view", "operate", "admin", "own"]
Handler = Callable[..., Awaitable[object]]
"""`async handler(port, emit, **arguments)`; the keyword names are those of the command's `args`."""

MAX_TEXT = 64 * 1024
MAX_NAMES = 10_000
MAX_SECONDS = 10 * 365 * 86400.0


class Arg(NamedTuple):
    """One argument. `names` and positional texts stand bare on the command line, all others are options.

    `default` None means "not given" and is passed on as None. `option` are the flags on the command line; empty means
    `--name` (without `_s`). `choices` limits a text. `least` and `most` limit integers and durations.
    """

    name: str
    kind: Kind
    default: object = None
    help: str = ""
    option: tuple[str, ...] = ()
    required: bool = False
    positional: bool = False
    choices: tuple[str, ...] = ()
    least: float = 0.0
    most: float = MAX_SECONDS

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the option flags on the command line."""
        return self.option or ("--" + self.name.removesuffix("_s").replace("_", "-"),)

    @property
    def is_bare(self) -> bool:
        """Tell whether it stands on the command line without a flag."""
        return self.positional or self.kind == "names"


class Command(NamedTuple):
    """One operation. `verbs` are its forms on the command line ("bot list", "ls"); none = not for the command line.

    A `client` command has no handler here: the program that parsed it carries it out. `json` says that the command
    line offers `--json`; `stream` that events may precede the answer.
    """

    name: str
    summary: str
    args: tuple[Arg, ...]
    permission: Permission
    handler: Handler | None = None
    place: Literal["daemon", "client"] = "daemon"
    stream: bool = False
    verbs: tuple[str, ...] = ()
    json: bool = False
    text: str = ""


def bind(command: Command, raw: Mapping[str, object]) -> dict[str, object]:
    """Return all arguments of `command` with defaults filled in.

    Raises UsageError for an unknown name (with the nearest known one), a missing one, a wrong type or a value out of range.
    """
    known = {arg.name: arg for arg in command.args}
    for name in raw:
        if name not in known:
            raise UsageError(f'{command.name} has no argument "{name}"', hint=nearest_hint(name, list(known), "its arguments are"))
    bound: dict[str, object] = {}
    for arg in command.args:
        value = raw.get(arg.name)
        if value is None:
            if arg.required:
                raise UsageError(f'{command.name} needs the argument "{arg.name}"')
            bound[arg.name] = list(arg.default) if isinstance(arg.default, tuple) else arg.default
        else:
            bound[arg.name] = _checked(command, arg, value)
    return bound


def nearest_hint(found: str, known: list[str], listing: str) -> str:
    """Return `did you mean "x"?` for the nearest of `known`, else all of them after `listing`."""
    import difflib

    near = difflib.get_close_matches(found, known, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"{listing} {', '.join(known)}" if known else "it takes none"


def _checked(command: Command, arg: Arg, value: object) -> object:
    match arg.kind:
        case "names":
            if not isinstance(value, (list, tuple)) or len(value) > MAX_NAMES or not all(_is_text(item) for item in value):
                raise _wrong(command, arg, value, "a list of names")
            return list(value)
        case "text":
            if not _is_text(value):
                raise _wrong(command, arg, value, "a text")
            if arg.choices and value not in arg.choices:
                raise _wrong(command, arg, value, "one of " + ", ".join(arg.choices))
            return value
        case "flag":
            if not isinstance(value, bool):
                raise _wrong(command, arg, value, "true or false")
            return value
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int) or not arg.least <= value <= arg.most:
                raise _wrong(command, arg, value, f"an integer between {arg.least:.0f} and {arg.most:.0f}")
            return value
        case "duration":
            # NaN fails both comparisons, so it is refused here too.
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not arg.least <= value <= arg.most:
                raise _wrong(command, arg, value, f"seconds between {arg.least:.0f} and {arg.most:.0f}")
            return float(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value


def _wrong(command: Command, arg: Arg, value: object, expected: str) -> UsageError:
    found = repr(value)
    return UsageError(f'argument "{arg.name}" of {command.name}: found {found[:60]}, expected {expected}')
