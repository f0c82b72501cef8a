"""Where a setting of a bot comes from: the scope that counts, and what the others say. For `psv config explain`.

`key` is a key of fleet.toml as its parts: ["restart", "max"], ["env", "TOKEN"], ["preload"]. Nothing is hidden here: who shows a value
of `env` or `options` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from processsupervisor.config.load import Loaded
from processsupervisor.config.problem import did_you_mean, quoted, table_name
from processsupervisor.config.resolve import Resolved
from processsupervisor.config.schema import BotTable
from processsupervisor.config.scopes import Layer, merge
from processsupervisor.config.shape import table_of
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.errors import ConfigError, NoSuchBot, UsageError

Scope = Literal["runtime", "bots", "types", "global", "default"]
_FREE = frozenset({"env", "options", "networks", "vars", "log_level"})
"""Tables whose keys are anybody's."""
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """What one scope says of a key.

    `value` is what holds when only this scope and those outside of it speak, in plain units (seconds, bytes), with lists put together;
    `written` is what stands there, with the variables of a template put in; of a default it is the words of the reference. `name` is
    the type or bot, the table of a template for its bots, "" for global and default. `file` is relative to the fleet folder, "" and 0
    for what is in none. The last four are those of a value set by command; its `name` says for whom, as in "types.shop".
    """

    scope: Scope
    name: str
    file: str
    line: int
    column: int
    value: object
    written: object
    author: str = ""
    reason: str = ""
    at: float | None = None
    until: float | None = None


def origins(loaded: Loaded, bot: str, key: Sequence[str]) -> list[Origin]:
    """Return what the scopes say of a bot's key, the one that counts first, then inwards to outwards, the default last.

    The default is first when nobody says anything, or what is said is passed over for this bot. Raises NoSuchBot, ConfigError for a bot
    whose tables cannot be read, and UsageError for a key that there is not.
    """
    found, path = _bot(loaded, bot), tuple(key)
    default = _default(path)
    said = [
        _said(loaded, found, index, path)
        for index, layer in reversed(list(enumerate(found.merged.layers)))
        if _inside(layer.given, path) is not _NOTHING
    ]
    is_used = _inside(found.used, path) is not _NOTHING
    return [*said, default] if is_used else [default, *said]


def parts(loaded: Loaded, bot: str, key: Sequence[str]) -> list[list[str]]:
    """Return the keys directly inside a table of a bot that some scope gives: each has origins of its own. Empty for what is no table."""
    found, path = _bot(loaded, bot), tuple(key)
    _default(path)
    value = _inside(found.used, path) if path else found.used
    return [[*path, name] for name in value] if isinstance(value, dict) else []


def _bot(loaded: Loaded, bot: str) -> Resolved:
    if bot in loaded.bots:
        return loaded.bots[bot]
    if loaded.applied is not None and all(spec["name"] != bot for spec in loaded.applied["bots"]):
        raise NoSuchBot(f"there is no bot {bot}", hint=did_you_mean(bot, loaded.bots, "bots"))
    raise ConfigError(f"the settings of {bot} cannot be read", hint="psv check names the places")


def _said(loaded: Loaded, bot: Resolved, index: int, path: tuple[str, ...]) -> Origin:
    layer = bot.merged.layers[index]
    value = _inside(merge(bot.merged.layers[: index + 1]).values, path)
    written = _inside(layer.written, path)
    shown = value if written is _NOTHING else written
    if layer.at[0] == "runtime":
        by = _set_value(layer, path)
        home = layer.scope if layer.scope == "global" else table_name(layer.at[1:])
        return Origin("runtime", home, "", 0, 0, value, shown, by["author"], by["reason"], by["at"], by["until"])
    file, line, column = loaded.files.find((*layer.at, *path))
    scope: Scope = "bots" if layer.scope == "bots" else "types" if layer.scope == "types" else "global"
    return Origin(scope, str(layer.at[1]) if len(layer.at) > 1 else "", file.name, line, column, value, shown)


def _set_value(layer: Layer, path: tuple[str, ...]) -> RuntimeValue:
    """Return the value set last that has to do with `path`: it lies in it, or around it."""
    fitting = [value for value in layer.set_values if all(a == b for a, b in zip(value["key"], path, strict=False))]
    return fitting[-1]


def _inside(table: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = table
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return _NOTHING
        value = value[part]
    return value


def _default(path: tuple[str, ...]) -> Origin:
    """Return the default of a key. Raises UsageError for one that there is not."""
    model: type[BaseModel] | None = BotTable
    default: Any = None
    words: object = None
    for index, part in enumerate(path):
        if index and path[0] in _FREE:
            return Origin("default", "", "", 0, 0, None, None)
        field = model.model_fields.get(part) if model is not None else None
        if model is None or field is None:
            known = model.model_fields if model is not None else ()
            where = f" in {table_name(path[:index])}" if index else ""
            raise UsageError(f"there is no key {quoted(part)}{where}", hint=did_you_mean(part, known, "keys"))
        default, words, model = field.get_default(call_default_factory=True), _words(field), table_of(field.annotation)
        if isinstance(default, list):
            model = None
    return Origin("default", "", "", 0, 0, _plain(default), words)


def _words(field: FieldInfo) -> object:
    extra = field.json_schema_extra
    return str(extra["shown"]) if isinstance(extra, dict) else None


def _plain(value: Any) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, list) else value
