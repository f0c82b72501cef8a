"""Scopes: what [global], a type and the types that it extends, a bot, and the values set by command say, merged into what holds for
the bot. Pure.

Tables merge key by key, everything else replaces. `ready`, `schedule` and the program (run, script, command and its args) are each
one choice: the innermost scope that makes it makes all of it. A list replaces the outer one as a whole; the text "..." as an element of
it stands for what the outer scopes say there, for nothing when they say nothing. That holds for every list that is the value of a key,
of tables too, and not for a list inside a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from processsupervisor.config.problem import KeyPath
from processsupervisor.config.spec import RuntimeValue

PROGRAM_KEYS = ("run", "script", "command")
_WHOLE = frozenset({"ready", "schedule"})
_VARIABLES = (("env",), ("options",), ("networks",), ("vars",))
_REST = "..."
_DEEPEST = 40
"""Far below the recursion limit; no table may be that deep."""


class Rest:
    """Stands in a list for what the outer scopes say."""


REST = Rest()
Rests = dict[KeyPath, list[int]]
"""Of each list the elements that are "..."."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one scope gives: its place in the files and only the keys written there, `given` as they were understood.

    `written` are the keys as they stand there. A scope of values set by command has the place ("runtime", scope, name) and those values.
    """

    at: KeyPath
    given: Mapping[str, Any]
    written: Mapping[str, Any] = field(default_factory=dict)
    set_values: tuple[RuntimeValue, ...] = ()

    @property
    def scope(self) -> str:
        """Return "global", "types" or "bots"."""
        return str(self.at[1] if self.at[0] == "runtime" else self.at[0])


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged keys of one bot and its layers, outermost first."""

    values: dict[str, Any]
    layers: tuple[Layer, ...]
    at: KeyPath = ()

    def place(self, path: KeyPath) -> KeyPath:
        """Return the path in the files of the key `path` of this bot: in the innermost scope that gives it, else the bot.

        A variable is given by who names it, any other table by who says anything of it.
        """
        names = path[:2] if path[:1] in _VARIABLES else path[:1]
        for layer in reversed(self.layers):
            if path and _gives(layer.given, names):
                return (*layer.at, *_before_rest(layer.given, path))
        return self.at or self.layers[-1].at

    def scope_of(self, key: str) -> str | None:
        """Return "global", "types" or "bots": the innermost scope that gives `key`, or None."""
        for layer in reversed(self.layers):
            if key in layer.given:
                return layer.scope
        return None


def _gives(given: Mapping[str, Any], names: KeyPath) -> bool:
    table: Any = given
    for name in names:
        if not isinstance(table, Mapping) or name not in table:
            return False
        table = table[name]
    return True


def _before_rest(given: Mapping[str, Any], path: KeyPath) -> KeyPath:
    """Return `path`, up to the list when that has a rest: its elements are counted otherwise in the merged one."""
    value: Any = given
    for index, key in enumerate(path):
        if isinstance(value, list):
            return path[:index] if REST in value else path
        if not isinstance(value, Mapping) or key not in value:
            break
        value = value[key]
    return path


def merge(layers: Sequence[Layer], at: KeyPath = ()) -> Merged:
    """Merge layers, outermost first; `at` is the place of the bot."""
    values: dict[str, Any] = {}
    for layer in layers:
        given = layer.given
        if any(key in given for key in PROGRAM_KEYS) and any(key in values for key in PROGRAM_KEYS):
            if "command" in given:
                given = {**given, "command": _filled(given["command"], values.get("command"))}
            for key in (*PROGRAM_KEYS, "args"):
                values.pop(key, None)
        _merge_into(values, given, is_top=True)
    return Merged(values, tuple(layers), at)


def _merge_into(values: dict[str, Any], given: Mapping[str, Any], *, is_top: bool) -> None:
    for key, new in given.items():
        old = values.get(key)
        if isinstance(old, dict) and isinstance(new, Mapping) and not (is_top and key in _WHOLE):
            merged = dict(old)
            _merge_into(merged, new, is_top=False)
            values[key] = merged
        else:
            values[key] = _filled(new, old)


def _filled(new: Any, old: Any) -> Any:
    """Return `new` with what `old` says in place of each rest."""
    if isinstance(new, list):
        if REST not in new:
            return new
        outer = old if isinstance(old, list) else []
        return [item for element in new for item in (outer if element is REST else (element,))]
    if isinstance(new, dict):
        return {key: _filled(value, old.get(key) if isinstance(old, dict) else None) for key, value in new.items()}
    return new


def without_rests(raw: dict[str, Any]) -> tuple[dict[str, Any], Rests]:
    """Return a table as it was written without the elements "...", and where they were."""
    rests: Rests = {}
    return _without(raw, (), rests), rests


def _without(raw: dict[str, Any], at: KeyPath, rests: Rests) -> dict[str, Any]:
    kept = raw
    for key, value in raw.items():
        new = value
        if isinstance(value, dict) and len(at) < _DEEPEST:
            new = _without(value, (*at, key), rests)
        elif isinstance(value, list) and _REST in value:
            rests[*at, key] = [index for index, item in enumerate(value) if item == _REST]
            new = [item for item in value if item != _REST]
        if new is not value:
            kept = {**kept, key: new}
    return kept


def with_rests(given: dict[str, Any], rests: Rests) -> dict[str, Any]:
    """Return what was understood of a table with its rests put back."""
    for path, indexes in rests.items():
        table: Any = given
        for key in path[:-1]:
            table = table[key]
        value = table[path[-1]]
        items = value["command"] if isinstance(value, dict) else value  # a list stands for the command of a hook
        _put_back(items, indexes)
    return given


def _put_back(items: list[Any], indexes: Iterable[int]) -> None:
    for index in indexes:
        items.insert(index, REST)


def written_index(rests: Rests, location: KeyPath) -> KeyPath:
    """Return the path of an element of a list as it was written, for its path in the list without rests."""
    for length in range(1, len(location)):
        indexes, element = rests.get(location[:length]), location[length]
        if indexes and isinstance(element, int):
            for index in indexes:
                element += index <= element
            return (*location[:length], element, *location[length + 1 :])
    return location
