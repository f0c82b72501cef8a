"""How configurations differ, for people and scripts: the keys as fleet.toml has them, and no value that may be a secret.

What stands in env, options and the like is named by its kind only, unless its values are asked for; a reference to a secret is shown as
it is, for it is none. What looks like a token is never shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from processsupervisor.cli.candidate import some
from processsupervisor.config.effects import shown_key
from processsupervisor.config.hiding import reference
from processsupervisor.config.overrides import scope_name
from processsupervisor.config.plan import Difference
from processsupervisor.config.problem import holds_secrets, printable, shown, table_name
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.units import format_bytes, short_duration
from processsupervisor.observe.redact import MARK, redact

_SECRET_NAME = re.compile(r"token|secret|passw|api_?key|credential|private", re.IGNORECASE)
_LONGEST = 100
_ABSENT = "nothing"

Path = tuple[str, ...]


def rows(differences: Iterable[Difference], *, values: bool = False) -> list[dict[str, Any]]:
    """Return the differences as `--json` prints them: `{bot, key, old, new}`, secrets replaced; `bot` None = of the fleet."""
    return [
        {"bot": bot, "key": key, "old": redacted(one.old, one.path, values=values), "new": redacted(one.new, one.path, values=values),
         "is_added": one.is_added, "is_removed": one.is_removed}
        for one in _said(differences)
        for bot, key in (place(one.path),)
    ]  # fmt: skip


def lines(differences: Iterable[Difference], *, values: bool = False) -> list[str]:
    """Return the differences for people; bots of which the same is said share a line."""
    shared: dict[str, list[str]] = {}
    for one in _said(differences):
        bot, key = place(one.path)
        for text in _texts(one, key, values=values):
            shared.setdefault(text, []).extend([bot] if bot else [])
    return [f"{_who(bots)}{text}" for text, bots in shared.items()]


def _who(bots: list[str]) -> str:
    return f"{some(bots)}: " if bots else ""


def _said(differences: Iterable[Difference]) -> Iterator[Difference]:
    """Leave out what a version of psv counts by, and what says nothing before and after."""
    for one in differences:
        is_nothing = (one.is_added and one.new in (None, {}, [])) or (one.is_removed and one.old in (None, {}, []))
        if one.path != ("version",) and not is_nothing:
            yield one


def _texts(one: Difference, key: str, *, values: bool) -> list[str]:
    if one.path == ("runtime",):
        return runtime_changes(one.old or [], one.new or [], values=values)
    if one.path[0] == "bots" and len(one.path) == 2:
        return ["a new bot" if one.is_added else "the bot goes"]
    old = _ABSENT if one.is_added else text_of(one.old, one.path, values=values)
    new = _ABSENT if one.is_removed else text_of(one.new, one.path, values=values)
    return [f"{key}: {old} -> {f'another {old[2:]}' if old == new and old[:2] == 'a ' else new}"]


def place(path: Path) -> tuple[str | None, str]:
    """Return the bot that a difference is of, None for the fleet, and the key as fleet.toml has it."""
    return (path[1], key_of(path[2:])) if path[0] == "bots" else (None, key_of(path))


def key_of(path: Path) -> str:
    """Return how fleet.toml writes a key of a BotSpec, or of the fleet: ("restart", "max_s") is restart.max."""
    if len(path) < 2:
        return "".join(map(shown_key, path))
    plain = f"{shown_key(path[0])}.{path[1]}"
    inner = shown_key(".".join(path[:2]))
    head = f"{shown_key(path[0])}.{table_name(path[1:2])}" if inner == plain else inner
    return ".".join((head, *(table_name((part,)) for part in path[2:])))


def text_of(value: object, path: Path, *, values: bool = False) -> str:
    """Return a value for people, on one line; without `values` those that may be secrets by their kind."""
    if holds_secrets(path) and (named := reference(value)):
        return printable(named)
    if holds_secrets(path) and (not values or _sounds_secret(path)):
        return printable(shown(value, path))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if path[-1].endswith("_s"):
            return short_duration(value) if value >= 1 else f"{value:g}s"
        if path[-1].endswith("_bytes"):
            return format_bytes(value)
    if value is None:
        return _ABSENT
    text = redact(json.dumps(value, ensure_ascii=False))
    return printable(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")


def redacted(value: object, path: Path, *, values: bool = False) -> Any:
    """Return a value for `--json`: each text and number that may be a secret replaced, the shape kept."""
    if isinstance(value, Mapping):
        if path == ("runtime",):  # one that was set by command is as secret as its key
            return {**value, "value": redacted(value["value"], tuple(value["key"]), values=values), "reason": redact(value["reason"])}
        return {key: redacted(item, (*path, str(key)), values=values) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, path, values=values) for item in value]
    if isinstance(value, str):
        if not holds_secrets(path):
            return redact(value)
        return reference(value) or (redact(value) if values and not _sounds_secret(path) else MARK)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return MARK if is_number and holds_secrets(path) and (not values or _sounds_secret(path)) else value


def _sounds_secret(path: Path) -> bool:
    """Tell whether the key itself says that its value is for nobody's eyes, whatever that looks like."""
    return _SECRET_NAME.search(str(path[-1])) is not None


def runtime_changes(old: Iterable[RuntimeValue], new: Iterable[RuntimeValue], *, values: bool = False) -> list[str]:
    """Return what was set and taken back by command."""
    was, now = ({(v["scope"], v["name"], *v["key"]): v for v in them} for them in (old, new))
    said = [f"{runtime_text(value, values=values)}" for key, value in now.items() if was.get(key) != value]
    return said + [f"no longer set: {_name(value)}" for key, value in was.items() if key not in now]


def runtime_text(value: RuntimeValue, *, values: bool = False) -> str:
    """Return "set by root: bots.a.log_level = "debug" (looking at it)"."""
    text = text_of(value["value"], tuple(value["key"]), values=values)
    return f"set by {value['author']}: {_name(value)} = {text}" + (f" ({printable(redact(value['reason']))})" if value["reason"] else "")


def _name(value: RuntimeValue) -> str:
    return f"{scope_name(value['scope'], value['name'])}.{table_name(tuple(value['key']))}"
