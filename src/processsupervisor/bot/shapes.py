"""What an author's type makes of JSON, and back: for `Store[T]` and `Config[T]`.

Takes what msgspec takes (dataclasses, TypedDict, NamedTuple, enums, dates, lists, dicts, unions, ...) and pydantic's models; which
types a shape is made of is read once. What does not fit is told with the place in the value, never with the value.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from processsupervisor.bot.arguments import BadSignature
from processsupervisor.kernel.errors import PsvError

_MISFITS = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_NAMES_A_VALUE = re.compile(r"Invalid (enum )?value .*?(?= - at|$)", re.DOTALL)


class Misfit(PsvError):
    """A value is not of the type that was asked for."""

    code = "misfit"


class Shape:
    """One type of the author's. Raises BadSignature for one that JSON cannot hold."""

    __slots__ = ("_hint", "name")

    def __init__(self, hint: Any) -> None:
        self.name = shown(hint)
        self._hint = hint
        if not hasattr(hint, "model_validate"):
            _check(hint, self.name)

    def load(self, value: object) -> Any:
        """Return what JSON made as the author's type. Raises Misfit."""
        try:
            return _from_json(self._hint, value)
        except _MISFITS as err:
            raise Misfit(f"it is no {self.name}: {_why(err)}") from None  # the chain may hold the value

    def dump(self, value: object) -> object:
        """Return a value of the author's type as what JSON can hold. Raises Misfit for one of another type."""
        try:
            plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_to_json)
            _from_json(self._hint, plain)
        except _MISFITS as err:
            raise Misfit(f"it is no {self.name}: {_why(err)}") from None
        return plain


def shown(hint: object) -> str:
    """Return a type as an author writes it: "list[Todo]"."""
    is_plain = isinstance(hint, type) and not getattr(hint, "__args__", None)
    return str(getattr(hint, "__name__", hint)) if is_plain else re.sub(r"\b(typing|__main__)\.", "", str(hint))


def _check(hint: Any, name: str) -> None:
    from msgspec import inspect as look  # when it is needed: most bots have no shape

    try:
        seen = [look.type_info(hint)]
    except Exception as err:
        raise BadSignature(f"{name} cannot be kept as JSON: {err}") from err
    done: set[int] = set()
    while seen:
        info = seen.pop()
        if id(info) in done:
            continue
        done.add(id(info))
        if isinstance(info, look.CustomType) and not hasattr(info.cls, "model_validate"):
            raise BadSignature(f"{shown(info.cls)} cannot be kept as JSON; use a dataclass or a pydantic model")
        for value in (getattr(info, field) for field in info.__struct_fields__):
            seen += [one for one in _within(value) if isinstance(one, look.Type)]


def _within(value: object) -> list[Any]:
    found: list[Any] = []
    for one in value if isinstance(value, tuple) else (value,):
        found.append(one.type if hasattr(one, "encode_name") else one)  # the fields of a dataclass
    return found


def _from_json(hint: Any, value: object) -> Any:
    if hasattr(hint, "model_validate"):
        try:
            return hint.model_validate(value)
        except ValueError as err:
            raise ValueError(_pydantic_why(err)) from None
    return msgspec.convert(value, hint, str_keys=True, dec_hook=_from_json)


def _to_json(value: Any) -> object:
    if isinstance(value, str):
        return str(value)  # what a question was answered with
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def _why(err: Exception) -> str:
    """Return an error's words without the value, which msgspec tells of an enum."""
    return _NAMES_A_VALUE.sub("Unknown value", str(err))


def _pydantic_why(err: Exception) -> str:
    """Return places and kinds of what pydantic found: its words hold the value."""
    errors = getattr(err, "errors", None)
    if errors is None:
        return type(err).__name__
    first = errors(include_input=False, include_url=False)[:3]
    return ", ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['type']}" for one in first)
