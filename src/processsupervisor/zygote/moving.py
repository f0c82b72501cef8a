"""Functions that every bot calls, made anew so that they lie together: a call writes into the function as into its code (gathering).

A function cannot be moved, but a twin can take its place wherever it stands. That is done only where all who have it are known: names of
modules, and the name in its class. One that anything else holds, a library in C or a list of handlers, stays where it is.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

_names_of_module: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__  # wakes no module that loads itself late
_names_of_class: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__


class _Place(NamedTuple):
    """A name of a module or of a class that means a function."""

    owner: dict[str, Any] | type
    name: str


def move(functions: Sequence[FunctionType]) -> int:
    """Put a twin in the place of each that can be moved, in this order; returns how many were."""
    places: dict[int, list[_Place]] = {id(function): [] for function in functions}
    for number, place in _named({id(function): function for function in functions}):
        places[number].append(place)
    (unnamed,) = _references([FunctionType(move.__code__, {})])
    moved = 0
    for function, references in zip(functions, _references(functions), strict=True):
        found = places[id(function)]
        if found and references == unnamed + len(found) and not weakref.getweakrefcount(function):
            with contextlib.suppress(TypeError):  # a class whose metaclass takes no attributes
                _put(_twin(function), found)
                moved += 1
    return moved


def _references(functions: Sequence[FunctionType]) -> list[int]:
    """Return how many there are to each, with that of the list and those of counting."""
    return [sys.getrefcount(function) for function in functions]


def _named(functions: Mapping[int, FunctionType]) -> Iterator[tuple[int, _Place]]:
    """Yield where each of the functions, by id, has a name."""
    real = [module for module in [*sys.modules.values()] if issubclass(type(module), ModuleType)]  # those of cffi only say that they are
    modules = [_names_of_module(module) for module in real]
    for names in {id(names): names for names in modules}.values():
        for name, value in names.items():
            if id(value) in functions:
                yield id(value), _Place(names, name)
    for number, function in functions.items():
        owner = _class_of(function)
        if owner is not None and _names_of_class(owner).get(function.__name__) is function:
            yield number, _Place(owner, function.__name__)


def _class_of(function: FunctionType) -> type | None:
    """Return the class that the function says it was defined in."""
    *outer, _ = function.__qualname__.split(".")
    names: Mapping[str, Any] = function.__globals__
    owner = None
    for name in outer:
        owner = names.get(name)
        if not isinstance(owner, type):
            return None
        names = _names_of_class(owner)
    return owner


def _twin(function: FunctionType) -> FunctionType:
    twin = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    for name in ("__kwdefaults__", "__annotations__", "__doc__", "__module__", "__qualname__", "__type_params__"):
        if hasattr(function, name):
            setattr(twin, name, getattr(function, name))
    twin.__dict__.update(function.__dict__)
    return twin


def _put(twin: FunctionType, places: Sequence[_Place]) -> None:
    for owner, name in sorted(places, key=lambda place: not isinstance(place.owner, type)):  # what may be refused first
        if isinstance(owner, type):
            type.__setattr__(owner, name, twin)  # past what a metaclass makes of it
        else:
            owner[name] = twin
