"""Scopes: what [global], a type and a bot say, merged into what holds for the bot. Pure.

Tables merge key by key, everything else replaces. `ready`, `schedule` and the program (run, script, command and its args) are each
one choice: the innermost scope that makes it makes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processsupervisor.config.problem import KeyPath

PROGRAM_KEYS = ("run", "script", "command")
_WHOLE = frozenset({"ready", "schedule"})


@dataclass(frozen=True, slots=True)
class Layer:
    """What one scope gives: its place in the file and only the keys written there."""

    at: KeyPath
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged keys of one bot and its layers, outermost first."""

    values: dict[str, Any]
    layers: tuple[Layer, ...]

    def place(self, path: KeyPath) -> KeyPath:
        """Return the path in the file of the key `path` of this bot: in the innermost scope that gives it, else the bot."""
        for layer in reversed(self.layers):
            if path and path[0] in layer.given:
                return (*layer.at, *path)
        return self.layers[-1].at

    def scope_of(self, key: str) -> str | None:
        """Return "global", "types" or "bots": the innermost scope that gives `key`, or None."""
        for layer in reversed(self.layers):
            if key in layer.given:
                return str(layer.at[0])
        return None


def merge(layers: Sequence[Layer]) -> Merged:
    """Merge layers, outermost first."""
    values: dict[str, Any] = {}
    for layer in layers:
        if any(key in layer.given for key in PROGRAM_KEYS) and any(key in values for key in PROGRAM_KEYS):
            for key in (*PROGRAM_KEYS, "args"):
                values.pop(key, None)
        _merge_into(values, layer.given, is_top=True)
    return Merged(values, tuple(layers))


def _merge_into(values: dict[str, Any], given: Mapping[str, Any], *, is_top: bool) -> None:
    for key, new in given.items():
        old = values.get(key)
        if isinstance(old, dict) and isinstance(new, Mapping) and not (is_top and key in _WHOLE):
            merged = dict(old)
            _merge_into(merged, new, is_top=False)
            values[key] = merged
        else:
            values[key] = new
