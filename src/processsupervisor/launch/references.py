"""References to values that stand elsewhere: `env:NAME`, `file:path`, `cmd:program arg`, `secret:name`; `literal:text` is the text itself.

They stand in values of `env` and in texts of `options` and `networks`, and stay as they are in everything that psv writes. What they stand
for is read by values.py, in the process that becomes the bot. A text with any other beginning is plain, and so is an address (`file://...`).
Standard library only; touches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from processsupervisor.kernel.errors import PsvError

Scheme = Literal["env", "file", "cmd", "secret", "literal"]
Place = tuple[str | int, ...]
SECRET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
SECRET_NAME_WORDS = "1 to 63 of letters, digits, _, . and -, not beginning with . or -"
_BEGINS = ("env:", "file:", "cmd:", "secret:", "literal:")
_REFERRING = ("env", "options", "networks")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadReference(PsvError):
    """A text begins like a reference and is none; the text is not in the message, since it may be a secret."""

    code = "reference-malformed"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint='correct it; for the text itself write "literal:" in front of it')


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference: `target` is what stands behind the colon, `argv` the words of a `cmd:`."""

    scheme: Scheme
    target: str
    argv: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Return how messages name it; of a command only the program, since an argument may be a secret."""
        return f"cmd:{self.argv[0]}" if self.scheme == "cmd" else f"{self.scheme}:{self.target}"


def parse(text: str) -> Reference | None:
    """Return the reference that `text` is, None for a plain text. Raises BadReference."""
    if not text.startswith(_BEGINS) or text.startswith("file://"):
        return None
    scheme, _, target = text.partition(":")
    match scheme:
        case "env" if _VARIABLE.fullmatch(target) is None:
            raise BadReference("found env: without the name of a variable, expected env:NAME")
        case "file" if not target or "\0" in target:
            raise BadReference("found file: without a path, expected file:path")
        case "secret" if SECRET_NAME.fullmatch(target) is None:
            raise BadReference(f"found secret: without the name of a secret, expected secret:name; a name has {SECRET_NAME_WORDS}")
        case "cmd":
            return Reference("cmd", target, _words(target))
    return Reference(cast(Scheme, scheme), target)


def _words(text: str) -> tuple[str, ...]:
    import shlex  # here: most processes meet no command

    try:
        words = shlex.split(text)
    except ValueError as err:
        raise BadReference(f"found a command with {str(err).lower()} behind cmd:, expected a program and its arguments") from None
    if not words or not words[0] or "\0" in text:
        raise BadReference("found cmd: without a program, expected cmd:program and its arguments")
    return tuple(words)


def leaves(value: object, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every text that may be a reference in tables and lists below `value`, with its place."""
    if isinstance(value, str):
        if value.startswith(_BEGINS):
            yield path, value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, below in enumerate(value):
            yield from leaves(below, (*path, index))


def texts_of(spec: Mapping[str, Any]) -> list[tuple[Place, str]]:
    """Return every text of a bot's `env`, `options` and `networks` that may be a reference, with its place in the bot."""
    return [found for table in _REFERRING for found in leaves(spec.get(table) or {}, (table,))]


def has_references(value: object) -> bool:
    """Tell whether anything in `value` may be a reference."""
    return next(leaves(value), None) is not None


def live_needs_restart(spec: Mapping[str, Any]) -> bool:
    """Tell whether new options reach the bot by a restart only: what they refer to is the owner's, and the bot runs as somebody else."""
    return bool(spec.get("user")) and has_references(spec.get("options"))


def secret_names(spec: Mapping[str, Any]) -> list[str]:
    """Return the names of the secrets that a bot refers to, sorted."""
    names = {text.removeprefix("secret:") for _, text in texts_of(spec) if text.startswith("secret:")}
    return sorted(name for name in names if SECRET_NAME.fullmatch(name))


def substitute(value: Any, found: Mapping[str, str]) -> Any:
    """Return a copy of `value` in which each text that is a key of `found` is what that stands for."""
    if isinstance(value, str):
        return found.get(value, value)
    if isinstance(value, dict):
        return {key: substitute(below, found) for key, below in value.items()}
    if isinstance(value, list):
        return [substitute(below, found) for below in value]
    return value


def place_of(path: Place) -> str:
    """Return a place in a bot as messages name it: `env.TOKEN`, `options.hosts[2]`."""
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
