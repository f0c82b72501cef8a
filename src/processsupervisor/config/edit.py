"""Edits of one bot in the text of a fleet.toml: added, renamed, taken out; every other character stays as it is.

Pure: text in, text out. What is written is found by the scanner of places, values are written by tomlkit; the result is parsed and
must say exactly what was meant, else the edit is refused and a person makes it by hand. Whether it is a good configuration is load's
affair.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from processsupervisor.config.places import Header, Places
from processsupervisor.kernel.errors import NoSuchBot, Refused

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_COMPANIONS = ("depends_on", "restart_with")

Values = dict[str, Any]


class CannotEdit(Refused):
    """The file is written in a way that is not edited here, or says otherwise than the edit needs; nothing was changed."""

    code = "cannot-edit"


def document(values: Mapping[str, object]) -> str:
    """Return a whole new file that says `values`."""
    import tomlkit

    return tomlkit.dumps(values)


def add_bot(text: str, name: str, settings: Mapping[str, object]) -> str:
    """Return `text` with a table [bots.NAME] at its end. Raises CannotEdit."""
    import tomlkit

    _require_free(text, name)
    line_end = "\r\n" if "\r\n" in text else "\n"
    lines = [f"[bots.{_written(name)}]", *(f"{key} = {tomlkit.item(value).as_string()}" for key, value in settings.items())]
    last = text.rpartition("\n")[2]
    head = text + (line_end if last else "") + ("" if text.endswith("\n" + line_end) else line_end) if text.strip() else ""
    return _proved(text, head + line_end.join(lines) + line_end, lambda values: _bots(values).update({name: dict(settings)}))


def remove_bot(text: str, name: str) -> str:
    """Return `text` without the bot's tables and the comments that stand directly above or under them. Raises CannotEdit, NoSuchBot."""
    mine = _headers(text, name)
    headers = Places(text).headers
    borders = [_border(text, header.start) for header in headers] + [len(text)]
    kept = [text[: borders[0]]]
    parts = [(header, text[borders[i] : borders[i + 1]]) for i, header in enumerate(headers)]
    kept += [_behind(part) if header in mine else part for header, part in parts]
    rest = "".join(kept)
    if headers[-1] in mine:
        rest = rest.rstrip() + text[len(text.rstrip()) :]

    def expect(values: Values) -> None:
        del values["bots"][name]
        if not values["bots"] and "bots" not in tomllib.loads(rest):
            del values["bots"]

    return _proved(text, rest, expect)


def rename_bot(text: str, old: str, new: str) -> str:
    """Return `text` with the bot, and each `depends_on` and `restart_with` that names it, under the new name.

    Raises CannotEdit, NoSuchBot.
    """
    _require_free(text, new)
    renamed = text
    for header in reversed(_headers(text, old)):
        brackets = 2 if text.startswith("[[", header.start) else 1
        path = ".".join(_written(key) for key in ("bots", new, *header.keys[2:]))
        renamed = renamed[: header.start] + "[" * brackets + path + "]" * brackets + renamed[header.end :]

    def expect(values: Values) -> None:
        values["bots"][new] = values["bots"].pop(old)
        for table in _scopes(values):
            _rename_companions(table, old, new)

    return _proved(text, _with_companions(renamed, old, new), expect)


def _with_companions(text: str, old: str, new: str) -> str:
    """Return `text` with other name in the lists that name bots; untouched when none names `old`."""
    import tomlkit

    if not any(_rename_companions(table, old, new) for table in _scopes(tomllib.loads(text))):
        return text
    document = tomlkit.parse(text)
    for table in _scopes(document):
        _rename_companions(table, old, new)
    return tomlkit.dumps(document)


def _scopes(values: Any) -> Iterator[Any]:
    """Yield the tables in which settings of bots stand."""
    yield values.get("global", {})
    for section in ("types", "bots"):
        yield from (table for table in values.get(section, {}).values() if isinstance(table, dict))


def _rename_companions(table: Any, old: str, new: str) -> bool:
    """Rename a bot in the lists of one scope, in place; tell whether it was named there."""
    found = False
    for key in _COMPANIONS:
        items = table.get(key)
        for number, item in enumerate(items if isinstance(items, list) else []):
            if item == old:
                items[number], found = new, True
            elif isinstance(item, dict) and item.get("bot") == old:
                item["bot"], found = new, True
    return found


def _require_free(text: str, name: str) -> None:
    if name in _bots(tomllib.loads(text)):
        line = Places(text).find(("bots", name))[0]
        raise CannotEdit(f"there is a bot {name} already, in line {line} of fleet.toml", hint="give another name")


def _headers(text: str, name: str) -> list[Header]:
    """Return the headers of the bot's tables. Raises NoSuchBot, and CannotEdit when it is written without a table of its own."""
    bots = _bots(tomllib.loads(text))
    if name not in bots:
        from processsupervisor.config.problem import did_you_mean

        raise NoSuchBot(f"fleet.toml has no bot {name}", hint=did_you_mean(name, bots, "bots"))
    places = Places(text)
    found = [header for header in places.headers if header.keys[:2] == ("bots", name)]
    if not found:
        line = places.find(("bots", name))[0]
        raise CannotEdit(f"the bot {name} in line {line} of fleet.toml has no table [bots.{name}]", hint="change it by hand")
    return found


def _bots(values: Values) -> Values:
    bots = values.setdefault("bots", {})
    return bots if isinstance(bots, dict) else {}


def _border(text: str, start: int) -> int:
    """Return where what belongs to the header at `start` begins: with the comments directly above it."""
    border = text.rfind("\n", 0, start) + 1
    while border:
        above = text.rfind("\n", 0, border - 1) + 1
        if not text[above:border].lstrip().startswith("#"):
            break
        border = above
    return border


def _behind(part: str) -> str:
    """Return the comments that stand behind a table and an empty line: a heading of what follows, say. Empty when there are none."""
    lines = part.splitlines(keepends=True)
    end = next(i for i in range(len(lines), 0, -1) if lines[i - 1].strip() and not lines[i - 1].lstrip().startswith("#"))
    empty = next((i for i in range(end, len(lines)) if not lines[i].strip()), len(lines))
    behind = "".join(lines[empty + 1 :])
    try:
        tomllib.loads(part[: len(part) - len(behind)])
    except ValueError:  # these lines end a text of the bot's
        return ""
    return behind if behind.strip() else ""


def _proved(before: str, after: str, expect: Callable[[Values], object]) -> str:
    """Return `after` when it says what `before` said, changed by `expect`; else raise CannotEdit."""
    values = tomllib.loads(before)
    expect(values)
    try:
        is_meant = tomllib.loads(after) == values
    except ValueError:
        is_meant = False
    if not is_meant:
        what = "fleet.toml is written in a way that psv does not change by itself"
        raise CannotEdit(what, hint="change it by hand; psv check finds mistakes")
    return after


def _written(key: str) -> str:
    return key if key and _BARE.issuperset(key) else json.dumps(key, ensure_ascii=False)
