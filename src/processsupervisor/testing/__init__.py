"""Tests of bots without network or supervisor: `from processsupervisor.testing import Lab`. Importing the package alone loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processsupervisor.chat.points import Point
    from processsupervisor.connectors.base import ErrorKind
    from processsupervisor.testing.lab import Lab
    from processsupervisor.testing.network import NO_KEY, MemoryNetwork, Shown

__all__ = ["NO_KEY", "ErrorKind", "Lab", "MemoryNetwork", "Point", "Shown"]

_PLACES = {
    "NO_KEY": "testing.network", "ErrorKind": "connectors.base", "Lab": "testing.lab", "MemoryNetwork": "testing.network",
    "Point": "chat.points", "Shown": "testing.network",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"processsupervisor.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
