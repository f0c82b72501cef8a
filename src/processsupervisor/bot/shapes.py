"""What an author's type makes of JSON, and back: for `Store[T]` and `Config[T]`.

Takes what msgspec takes (dataclasses, TypedDict, NamedTuple, enums, dates, lists, dicts, unions, ...) and pydantic's models; which
types a shape is made of is read once. What does not fit is told with the place in the value, never with the value.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec

from processsupervisor.bot.arguments import BadSignature, Duration
from processsupervisor.kernel.errors import PsvError

_MODULES = frozenset({"builtins", "collections", "datetime", "decimal", "typing", "uuid"})
_COLLECTIONS = frozenset({"Collection", "Mapping", "MutableMapping", "MutableSequence", "MutableSet", "Sequence", "Set"})
_NOT_JSON = frozenset({complex, memoryview, range, slice, type})
_RECORDS = ("__dataclass_fields__", "__required_keys__", "_fields", "__attrs_attrs__")
"""What marks a class whose annotations are its fields: a dataclass, a TypedDict, a NamedTuple, one of attrs."""
_MISFITS = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_NAMES_A_VALUE = re.compile(r"Invalid (enum )?value .*?(?= - at|$)", re.DOTALL)


class Misfit(PsvError):
    """A value is not of the type that was asked for."""

    code = "misfit"


class _Unfit(ValueError):
    """What does not fit, in words of ours."""


class Shape:
    """One type of the author's. Raises BadSignature for one that JSON cannot hold."""

    __slots__ = ("_hint", "name")

    def __init__(self, hint: Any) -> None:
        self.name = shown(hint)
        self._hint = hint
        stranger = next(_strangers(hint, []), None)
        if stranger is not None or isinstance(hint, str):
            raise BadSignature(f"{shown(stranger or hint)} cannot be kept as JSON; use a dataclass or a pydantic model")

    def load(self, value: object) -> Any:
        """Return what JSON made as the author's type. Raises Misfit."""
        try:
            return _from_json(self._hint, value)
        except _MISFITS as err:
            raise Misfit(f"it is no {self.name}: {_why(err)}") from None  # the chain may hold the value

    def dump(self, value: object) -> object:
        """Return a value of the author's type as what JSON can hold. Raises Misfit for one of another type."""
        try:
            plain = _plain(value)
        except _MISFITS as err:
            raise Misfit(f"it is no {self.name}: {_why(err)} - at `{_stuck(value)}`") from None
        try:
            _from_json(self._hint, plain)
        except _MISFITS as err:
            raise Misfit(f"it is no {self.name}: {_why(err)}") from None
        return plain


def shown(hint: object) -> str:
    """Return a type as an author writes it: "list[Todo]"."""
    is_plain = isinstance(hint, type) and not getattr(hint, "__args__", None)
    return str(getattr(hint, "__name__", hint)) if is_plain else re.sub(r"\b(typing|__main__)\.", "", str(hint))


def _strangers(hint: Any, seen: list[Any]) -> Iterator[object]:
    """Yield the classes within a type that JSON cannot hold, as far as their annotations can be read.

    msgspec.inspect would say it too, and unshare half a megabyte in every bot.
    """
    if any(hint is one for one in seen):
        return
    seen.append(hint)
    origin = typing.get_origin(hint)
    if origin is not None:
        inner = [] if origin is Literal else typing.get_args(hint)
        if origin is Annotated or hasattr(origin, "__dataclass_fields__"):
            inner = [origin if origin is not Annotated else inner[0]]
        elif isinstance(origin, type) and origin is not types.UnionType and not _is_known(origin):
            yield origin
        for one in inner:
            yield from _strangers(one, seen)
    elif isinstance(hint, type) and not hasattr(hint, "model_validate") and not issubclass(hint, (Enum, msgspec.Struct)):
        if any(hasattr(hint, mark) for mark in _RECORDS):
            for name, inner in getattr(hint, "__annotations__", {}).items():
                yield from _strangers(_read(hint, name, inner), seen)
        elif not _is_known(hint):
            yield hint


def _is_known(kind: type) -> bool:
    if kind.__module__ == "collections.abc":
        return kind.__name__ in _COLLECTIONS
    return kind is Duration or (kind.__module__ in _MODULES and kind not in _NOT_JSON)


def _read(owner: type, name: str, hint: Any) -> Any:
    """Return what a field is annotated with; Any for a text that cannot be read here, which its first use will tell of."""
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, vars(sys.modules[owner.__module__]), {owner.__name__: owner})
    except (NameError, AttributeError, TypeError, SyntaxError, KeyError):
        return Any


def _from_json(hint: Any, value: object) -> Any:
    if hasattr(hint, "model_validate"):
        try:
            return hint.model_validate(value)
        except ValueError as err:
            raise _Unfit(_pydantic_why(err, hint)) from None
    if hint is Duration:
        return Duration(msgspec.convert(value, float))
    return msgspec.convert(value, hint, str_keys=True, dec_hook=_from_json)


def _plain(value: object) -> object:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_to_json)


def _stuck(value: Any, place: str = "$", depth: int = 20) -> str:
    """Return the place of the innermost value that is no JSON; the key of a dict, which may be a contact's word, is not told."""
    fields: dict[str, Any] = {}
    if isinstance(value, dict):
        fields = {f"{place}[...]": inner for inner in value.values() if not _is_plain(inner)}
    elif isinstance(value, (list, tuple, set, frozenset)):
        fields = {f"{place}[{number}]": inner for number, inner in enumerate(value)}
    elif hasattr(value, "__dataclass_fields__"):
        fields = {f"{place}.{name}": getattr(value, name, None) for name in value.__dataclass_fields__}
    for inner_place, inner in fields.items():
        if depth and not _is_plain(inner):
            return _stuck(inner, inner_place, depth - 1)
    return place


def _is_plain(value: object) -> bool:
    try:
        _plain(value)
    except _MISFITS:
        return False
    return True


def _to_json(value: Any) -> object:
    if isinstance(value, float):
        return float(value)  # a Duration
    if isinstance(value, str):
        return str(value)  # what a question was answered with
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise _Unfit(f"{type(value).__name__} cannot be kept as JSON")


def _why(err: Exception) -> str:
    """Return an error's words without a value: msgspec tells that of an enum, and an author's own check any."""
    asked = err.__cause__ or err
    if not isinstance(asked, (_Unfit, msgspec.MsgspecError)):
        place = re.search(r" - at `[^`]*`$", str(err)) if asked is not err else None
        return f"{type(asked).__name__}{place.group() if place else ''}"
    return _NAMES_A_VALUE.sub("Unknown value", str(err))


def _pydantic_why(err: Exception, model: Any) -> str:
    """Return places and kinds of what pydantic found: its words hold the value, and a place the key of a dict."""
    errors = getattr(err, "errors", None)
    if errors is None:
        return type(err).__name__
    first = errors(include_input=False, include_url=False)[:3]
    fields = getattr(model, "model_fields", {})
    return ", ".join(f"{_field(one['loc'], fields)}: {one['type']}" for one in first)


def _field(place: tuple[object, ...], fields: Any) -> str:
    """Return a place in a model, of which only fields of its own and numbers are told."""
    shown_parts = [str(part) if isinstance(part, int) or part in fields else "…" for part in place]
    return ".".join(shown_parts) or "it"
