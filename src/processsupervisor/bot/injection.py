"""What a handler's parameters are given: read once from its annotations, made anew for every message.

A parameter annotated with a type of `provide` gets one of these; a first parameter without an annotation, or with a Protocol, is the
message; of the rest a command's are what contacts write (arguments.py). Nothing is looked up by name.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from processsupervisor.bot.arguments import BadSignature, Parameter, annotation_of, parameter_names, read_signature
from processsupervisor.bot.context import Context

Make: TypeAlias = Callable[[Context], object]
Provider: TypeAlias = Callable[[object], Make]
"""Takes what stands in the brackets (`T` of Store[T], None without) and returns what makes the value. Raises BadSignature."""

_PROVIDERS: dict[object, Provider] = {}


def provide(kind: type, provider: Provider) -> None:
    """Let parameters annotated `kind`, or `kind[T]`, be given what `provider` makes."""
    _PROVIDERS[kind] = provider


@dataclass(frozen=True, slots=True)
class Plan:
    """How one function is called. `leading` are passed by position, `named` by name, `written` are the contact's."""

    leading: tuple[Make, ...]
    named: tuple[tuple[str, Make], ...]
    written: tuple[Parameter, ...]

    def call(self, function: Callable[..., Any], context: Context, words: Sequence[Any] = ()) -> Any:
        """Call the function; what it returns is not awaited. `words` are the values of `written`, from the left."""
        leading = [make(context) for make in self.leading]
        if not self.named and not words:
            return function(*leading)
        named = {name: make(context) for name, make in self.named}
        named.update((parameter.name, word) for parameter, word in zip(self.written, words, strict=False))
        return function(*leading, **named)

    def makes(self) -> list[Make]:
        """Return everything that makes a value."""
        return [*self.leading, *(make for _, make in self.named)]


def plan_of(function: Callable[..., Any], *, is_written: bool, free: Sequence[str] = ()) -> Plan:
    """Return how to call `function`. Raises BadSignature.

    `is_written`: parameters that nothing is provided for are the contact's words; else they need a default, and keep it. What is `free`
    is given by the caller.
    """
    code = function.__code__
    names = parameter_names(function)
    if code.co_posonlyargcount:
        raise BadSignature("its parameters must be ordinary ones, without /")
    if not names and (is_written or not code.co_flags & inspect.CO_VARARGS):
        raise BadSignature("it needs the message as its first parameter")
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    makes = {
        name: make
        for name in (*names, *keywords)
        if name not in free and (make := _make_for(function, name, is_first=name in names[:1])) is not None
    }
    if is_written:
        written = read_signature(function, makes)
    else:
        written = tuple(Parameter(name, object, is_required=False, takes_rest=False) for name in names if name in free)
        _check_rest(function, names, keywords, {*makes, *free})
    if not names:
        return Plan((_message,), (), ())  # *arguments alone
    leading = [name for name in names[:1] if name in makes]
    return Plan(tuple(makes[name] for name in leading), tuple((name, make) for name, make in makes.items() if name not in leading), written)


def _make_for(function: Callable[..., Any], name: str, *, is_first: bool) -> Make | None:
    if is_first and name not in function.__annotations__:
        return _message
    hint = annotation_of(function, name)
    make = make_of(hint)
    # Libraries that know nothing of us say by a Protocol what they need of a message.
    return _message if make is None and is_first and (hint in (Any, object) or getattr(hint, "_is_protocol", False)) else make


def make_of(hint: object) -> Make | None:
    """Return what makes a value for an annotation, None for one that nothing is provided for."""
    if hint is None:
        return None
    provider = _PROVIDERS.get(hint) if isinstance(hint, type) else None
    if provider is not None:
        return provider(None)
    provider = _PROVIDERS.get(typing.get_origin(hint))
    return provider(typing.get_args(hint)[0]) if provider is not None else None


def _message(context: Context) -> object:
    return context.message


def _check_rest(function: Callable[..., Any], names: tuple[str, ...], keywords: tuple[str, ...], given: set[str]) -> None:
    required = len(names) - len(function.__defaults__ or ())
    optional = function.__kwdefaults__ or {}
    needed = [*names[:required], *(name for name in keywords if name not in optional)]
    missing = [name for name in needed if name not in given]
    if missing:
        known = ", ".join(sorted(kind.__name__ for kind in _PROVIDERS if isinstance(kind, type)))
        raise BadSignature(f'nothing is given to parameter "{missing[0]}"; annotate it with one of {known}, or give it a default')
