"""`psv config explain`: which scope gives a bot a value, in which line or by whom, and what the other scopes said.

What runs is explained, from the files that it came from; when nothing runs, the files of the folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from processsupervisor.cli import candidate
from processsupervisor.cli.candidate import by_whom
from processsupervisor.cli.check import print_problems
from processsupervisor.cli.config import read_files
from processsupervisor.cli.differing import key_of, redacted, text_of
from processsupervisor.cli.present import Present, look
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.load import Loaded, load_texts
from processsupervisor.config.origin import Origin, origins, parts
from processsupervisor.config.overrides import key_parts
from processsupervisor.config.problem import printable, table_name
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.errors import EXIT_OK, EXIT_USAGE, ConfigError
from processsupervisor.kernel.units import short_duration

_MOST_VERSIONS = 10_000
_NONE = (None, "-")
_SAME_IN_SPEC = ("env", "options", "log_level")
"""Tables whose change is noted as a whole, and whose keys are the same in a version."""
_TABLE = "see below"
"""How the reference shows the default of a table."""


def explain(session: Session, command: Command, *, bot: str, key: str, values: bool) -> int:
    """Print where a value comes from; of a table, where each of its keys does."""
    present = _present(session)
    loaded = _read(session, present)
    if loaded.fatal:
        print_problems(session, loaded.problems)
        return EXIT_USAGE
    said = [(path, origins(loaded, bot, path)) for path in _leaves(loaded, bot, key_parts(key))]
    versions = _versions(session) if present is not None and present.is_live else []
    if session.as_json:
        rows = [_row(path, found, _since(session, versions, bot, path), values=values) for path, found in said]
        session.print_json({"bot": bot, "keys": rows})
        return EXIT_OK
    for path, found in said:
        for line in _lines(path, found, values=values):
            session.say(line)
        if since := _since(session, versions, bot, path):
            session.say(f"    since version {since['number']}: {by_whom(since)}")
    return EXIT_OK


def _present(session: Session) -> Present | None:
    try:
        return look(session)
    except ConfigError:
        return None


def _read(session: Session, present: Present | None) -> Loaded:
    """Read what runs; the files of the folder when nothing does, or its own were not kept."""
    if present is None or not present.sources:
        return read_files(session, present.applied if present is not None else None)
    texts = {path: text.encode("utf-8", "surrogateescape") for path, text in present.sources.items()}
    return load_texts(session.paths.folder, texts, present.applied.get("runtime", ()), present.applied.get("release"))


def _versions(session: Session) -> list[dict[str, Any]]:
    """Return the versions that ran, from that which runs backwards."""
    with session.client() as client:
        versions: list[dict[str, Any]] = client.call("config.versions", {"limit": _MOST_VERSIONS})
    running = next((version["number"] for version in versions if version.get("is_running")), 0)
    return [version for version in versions if version["result"] == "applied" and version["number"] <= running]


def _since(session: Session, versions: list[dict[str, Any]], bot: str, path: list[str]) -> dict[str, Any] | None:
    """Return the version that brought the present value: the newest that changed the key, else that which brought the bot."""
    key = table_name(tuple(path))
    for version, before in pairwise([*versions, None]):
        summary = (version or {}).get("summary") or {}
        changed = [key_of(tuple(spec_key.split(".", 1))) for spec_key in summary.get("changed", {}).get(bot, ())]
        if bot in summary.get("added", ()) or key in changed:
            return version
        if any(key.startswith(f"{one}.") for one in changed) and not _is_same(session, version, before, bot, path):
            return version
    return versions[-1] if versions else None


def _is_same(session: Session, version: Any, before: Any, bot: str, path: list[str]) -> bool:
    """Tell whether a version has left a value inside a table that it changed as it was."""
    if before is None or path[0] not in _SAME_IN_SPEC:
        return False
    new, old = (candidate.content(session, each["number"])[0]["bots"] for each in (version, before))
    return _value(new, bot, path) == _value(old, bot, path)


def _value(specs: list[BotSpec], bot: str, path: list[str]) -> object:
    value: Any = next(({**spec} for spec in specs if spec["name"] == bot), {})
    if path[0] == "log_level":
        value["log_level"] = {"default": value.get("log_level"), **(value.get("log_levels") or {})}
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _leaves(loaded: Loaded, bot: str, key: list[str]) -> list[list[str]]:
    """Return the keys of which scopes speak one by one: a table is merged key by key."""
    inner = parts(loaded, bot, key)
    if inner == [["log_level", "default"]]:  # one level for all, which nobody writes as a table
        inner = []
    return [leaf for part in inner for leaf in _leaves(loaded, bot, part)] if inner else [key]


def _lines(path: list[str], found: list[Origin], *, values: bool) -> Iterator[str]:
    first, *others = found
    yield f"{table_name(tuple(path))} = {_text(first, path, values=values)}  from {_place(first)}"
    for one in others:
        if one.scope == "default" and one.written in _NONE:
            continue
        yield f"    not {_text(one, path, values=values)}  from {_place(one)}"


def _text(one: Origin, path: list[str], *, values: bool) -> str:
    """Return the value as it is written, of a default as the reference shows it."""
    if one.scope == "default":
        return "its defaults" if one.written == _TABLE else "nothing" if one.written in _NONE else str(one.written)
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


def _row(path: list[str], found: list[Origin], since: dict[str, Any] | None, *, values: bool) -> dict[str, Any]:
    at, by = tuple(path), since or {}
    rows = [
        {name: redacted(value, at, values=values) if name in ("value", "written") else value for name, value in asdict(one).items()}
        for one in found
    ]
    return {"key": table_name(at), "origins": rows, "version": by.get("number"), "author": by.get("author")}
