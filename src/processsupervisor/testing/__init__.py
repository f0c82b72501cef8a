"""Tests of bots without network or supervisor: `from processsupervisor.testing import Lab`. Importing the package alone loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processsupervisor.testing.lab import Lab
    from processsupervisor.testing.network import MemoryNetwork

__all__ = ["Lab", "MemoryNetwork"]

_PLACES = {"Lab": "lab", "MemoryNetwork": "network"}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
