"""Typed arguments of commands: read from a function's signature once, parsed from a contact's text every time.

Words are split at white space; the last parameter, if it is a text, takes all that is left. What a contact gets wrong is
told in one sentence with the usage; what an author gets wrong fails where the command is defined.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from processsupervisor.kernel.units import parse_duration

_SHOWN_CHARS = 40
_YES = frozenset({"yes", "y", "true", "on", "1"})
_NO = frozenset({"no", "n", "false", "off", "0"})


class Duration(float):
    """Seconds, written by contacts as "10s", "5m", "1h30m"."""


class BadArguments(Exception):
    """A contact's arguments do not fit; the text is the whole sentence for the contact."""


class BadSignature(Exception):
    """An author's command cannot be offered; the text says which parameter and why."""


class UnreadAnnotation(BadSignature):
    """An annotation names what is not defined, perhaps not yet."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command as contacts write it."""

    name: str
    kind: type
    is_required: bool
    takes_rest: bool

    @property
    def label(self) -> str:
        """The argument in a usage line: "COUNT", "[COUNT]"."""
        label = self.name.upper()
        return label if self.is_required else f"[{label}]"


def _bool(word: str) -> bool:
    lowered = word.lower()
    if lowered not in _YES | _NO:
        raise ValueError
    return lowered in _YES


def _int(word: str) -> int:
    if len(word) > 100:  # the interpreter refuses thousands of digits only with an exception of its own
        raise ValueError
    return int(word)


_KINDS: dict[type, tuple[str, Callable[[str], Any]]] = {
    str: ("a text", str),
    int: ("a whole number", _int),
    float: ("a number", float),
    bool: ("yes or no", _bool),
    Duration: ('a duration such as "10s" or "5m"', lambda word: Duration(parse_duration(word))),
    timedelta: ('a duration such as "10s" or "5m"', lambda word: timedelta(seconds=parse_duration(word))),
}
_BY_NAME = {kind.__name__: kind for kind in (str, int, float, bool)}


def read_signature(function: Callable[..., Any], given: Collection[str] | None = None) -> tuple[Parameter, ...]:
    """Return the parameters that contacts write: all but those `given` otherwise (None: the first, the message). Raises BadSignature.

    Reads the code object itself: inspect.signature and typing.get_type_hints would unshare half a megabyte in every bot.
    """
    code = function.__code__
    names = parameter_names(function)
    if not names:
        raise BadSignature("it needs the message as its first parameter")
    given = names[:1] if given is None else given
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or any(name not in given for name in keywords):
        raise BadSignature("its parameters must be ordinary ones, without * or **")
    required = len(names) - len(function.__defaults__ or ())
    written = [(position, name) for position, name in enumerate(names) if name not in given]
    found = []
    for position, name in written:
        kind = _kind_of(function, name)
        found.append(Parameter(name, kind, position < required, takes_rest=kind is str and name == written[-1][1]))
    return tuple(found)


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what is passed by position; of a bound method without the object."""
    code = function.__code__
    return tuple(code.co_varnames[int(hasattr(function, "__self__")) : code.co_argcount])


def _kind_of(function: Callable[..., Any], name: str) -> type:
    hint = annotation_of(function, name, str)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        hint = rest[0] if len(rest) == 1 else hint
    if not isinstance(hint, type) or hint not in _KINDS:
        shown = hint.__name__ if isinstance(hint, type) else str(hint)
        raise BadSignature(f'parameter "{name}" is annotated {shown}, expected str, int, float, bool, Duration or timedelta')
    return hint


def annotation_of(function: Callable[..., Any], name: str, unwritten: object = None) -> object:
    """Return what a parameter is annotated with, `unwritten` when nothing is. Raises BadSignature for a text that cannot be read."""
    hint: object = function.__annotations__.get(name, unwritten)
    if not isinstance(hint, str):
        return hint
    plain = hint.strip()  # from __future__ import annotations
    known = _BY_NAME.get(plain) or function.__globals__.get(plain)
    if known is not None:
        return known
    try:
        return eval(plain, function.__globals__)  # what typing.get_type_hints does, for one parameter and without its imports
    except Exception as err:
        kind = UnreadAnnotation if isinstance(err, (NameError, AttributeError)) else BadSignature
        raise kind(f"its annotations cannot be read: {plain}: {err}") from err


def usage(command: str, parameters: Sequence[Parameter]) -> str:
    """Return how a command is written: "/remind AFTER TEXT"."""
    return " ".join([f"/{command}", *(parameter.label for parameter in parameters)])


def parse_arguments(command: str, parameters: Sequence[Parameter], text: str) -> list[Any]:
    """Return the values for `text`, what follows the command's word. Raises BadArguments with a sentence for the contact."""
    values: list[Any] = []
    rest = text.strip()
    how = f"Write: {usage(command, parameters)}"
    for parameter in parameters:
        if not rest:
            if parameter.is_required:
                raise BadArguments(f"{parameter.label} is missing. {how}")
            break
        if parameter.takes_rest:
            word, rest = rest, ""
        else:
            word, *more = rest.split(None, 1)
            rest = more[0] if more else ""
        expected, convert = _KINDS[parameter.kind]
        try:
            values.append(convert(word))
        except (ValueError, OverflowError):
            shown = word if len(word) <= _SHOWN_CHARS else word[:_SHOWN_CHARS] + "…"
            raise BadArguments(f'{parameter.label.strip("[]")} must be {expected}, not "{shown}". {how}') from None
    if rest:
        raise BadArguments(f"That is more than I understand. {how}")
    return values
