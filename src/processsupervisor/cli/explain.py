"""`psv config explain`: which scope gives a bot a value, in which line or by whom, and what the other scopes said.

Read as the files are now, with the values set by command that still hold; that they differ from what runs is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from processsupervisor.cli.candidate import by_whom
from processsupervisor.cli.check import print_problems
from processsupervisor.cli.config import read_files
from processsupervisor.cli.differing import redacted, text_of
from processsupervisor.cli.present import Present, look
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.load import Loaded
from processsupervisor.config.origin import Origin, origins, parts
from processsupervisor.config.overrides import key_parts
from processsupervisor.config.problem import printable, table_name
from processsupervisor.kernel.errors import EXIT_OK, EXIT_USAGE, ConfigError
from processsupervisor.kernel.units import short_duration


def explain(session: Session, command: Command, *, bot: str, key: str, values: bool) -> int:
    """Print where a value comes from; of a table, where each of its keys does."""
    present = _present(session)
    loaded = read_files(session, present.applied if present is not None else None)
    if loaded.fatal:
        print_problems(session, loaded.problems)
        return EXIT_USAGE
    keys = _leaves(loaded, bot, key_parts(key))
    said = [(path, origins(loaded, bot, path)) for path in keys]
    differs = present is not None and loaded.applied is not None and loaded.applied["source_digest"] != present.applied["source_digest"]
    if session.as_json:
        rows = [{"key": table_name(tuple(path)), "origins": [_row(one, path, values=values) for one in found]} for path, found in said]
        session.print_json({"bot": bot, "number": present.number if present else None, "differs": differs, "keys": rows})
        return EXIT_OK
    for path, found in said:
        for line in _lines(path, found, values=values):
            session.say(line)
    if present is not None and differs:
        session.note(f"this is what the files say; {present.name} came from others: see psv config diff")
    elif present is not None and present.number is not None:
        session.say(f"version {present.number}, {by_whom(present.version)}")
    return EXIT_OK


def _present(session: Session) -> Present | None:
    try:
        return look(session)
    except ConfigError:
        return None


def _leaves(loaded: Loaded, bot: str, key: list[str]) -> list[list[str]]:
    """Return the keys of which scopes speak one by one: a table is merged key by key."""
    inner = parts(loaded, bot, key)
    return [leaf for part in inner for leaf in _leaves(loaded, bot, part)] if inner else [key]


def _lines(path: list[str], found: list[Origin], *, values: bool) -> Iterator[str]:
    first, *others = found
    yield f"{table_name(tuple(path))} = {_text(first, path, values=values)}  from {_place(first)}"
    for one in others:
        yield f"    not {_text(one, path, values=values)}  from {_place(one)}"


def _text(one: Origin, path: list[str], *, values: bool) -> str:
    """Return the value as it is written, of a default as the reference shows it."""
    if one.scope == "default":
        return str(one.written) if one.written is not None else "nothing"
    return text_of(one.written, tuple(path), values=values)


def _place(one: Origin) -> str:
    match one.scope:
        case "default":
            return "the default"
        case "runtime":
            until = "" if one.until is None else f", for another {short_duration(max(0.0, one.until - time.time()))}"
            reason = f" ({printable(one.reason)})" if one.reason else ""
            return f"psv config set on {one.name} by {one.author}, {short_duration(time.time() - (one.at or 0))} ago{until}{reason}"
    table = table_name((one.scope, one.name) if one.name else (one.scope,))
    return f"[{table}] in {printable(one.file)}:{one.line}"


def _row(one: Origin, path: list[str], *, values: bool) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(one, name) for name in one.__slots__}
    at = tuple(path)
    return {**row, "value": redacted(row["value"], at, values=values), "written": redacted(row["written"], at, values=values)}
