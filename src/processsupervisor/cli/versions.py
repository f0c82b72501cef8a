"""`psv config versions`, `show` and `rollback`: what was applied, by whom and why, and the way back to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from processsupervisor.cli import candidate
from processsupervisor.cli.config import require_base, say_unchanged
from processsupervisor.cli.differing import key_of, redacted, runtime_text
from processsupervisor.cli.present import ask
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.config.content import checksum, normalised
from processsupervisor.config.edit import document
from processsupervisor.config.hiding import hide_values, reference
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.observe.redact import MARK, redact

_MOST_VERSIONS = 10_000
_NO_SETTING = frozenset({"name", "stdin", "kind", "template", "release"})
"""What a BotSpec has and no key of the file says."""
_TABLES = frozenset({"env", "options", "networks", "hooks", "log_levels", "ready"})
"""Tables whose keys are the same in both."""


def history(session: Session, command: Command, *, limit: int) -> int:
    """Print the newest versions."""
    with session.client() as client:
        versions: list[dict[str, Any]] = client.call("config.versions", {"limit": limit})
    versions.reverse()
    if session.as_json:
        session.print_json(versions)
        return EXIT_OK
    table = [
        (f"{version['number']}{'*' if version.get('is_running') else ''}", _time(version.get("at")), str(version.get("author") or "-"),
         str(version.get("result") or "-"), _changed(version.get("summary")), _why(version))
        for version in versions
    ]  # fmt: skip
    print_table(("NUMBER", "AT", "AUTHOR", "RESULT", "CHANGED", "REASON"), table, right=("NUMBER",))
    return EXIT_OK


def show(session: Session, command: Command, *, number: int | None, source: bool, values: bool) -> int:
    """Print one version: what holds in it, or its files."""
    version = _facts(session, number)
    applied, sources = candidate.content(session, version.get("number"))
    texts = {path: redact(text if values else hide_values(text, MARK)) for path, text in sources.items()}
    if session.as_json:
        content = redacted(normalised(applied), (), values=values)
        session.print_json({**version, "content": content, **({"sources": texts} if source else {})})
        return EXIT_OK
    for line in (*_head(version), *_runtime(applied, values=values)):
        session.say(f"# {line}")
    if not source:
        session.say_text(document(settings_of(applied, values=values)).rstrip())
    for path, text in texts.items() if source else ():
        session.say(f"# ---- {path}")
        session.say_text(text.rstrip())
    return EXIT_OK


def rollback(session: Session, command: Command, *, number: int, now: bool, reason: str | None, base: int | None) -> int:
    """Have an earlier version run again."""
    present = ask(session)
    require_base(present, base)
    applied, _ = candidate.content(session, number)
    if number == present.number or checksum(applied) == checksum(present.applied):
        return say_unchanged(session, present)
    arguments = {"number": number, "base": present.number, "reason": reason or f"psv config rollback {number}", "now": now}
    referring = ("env", "options", "networks")
    if not session.as_json and any(spec["env_files"] or _refers([spec.get(key) for key in referring]) for spec in applied["bots"]):
        session.note("secrets are not part of a version: it runs with their present values")
    return candidate.finish(session, candidate.follow(session, "config.rollback", arguments))


def _refers(value: object) -> bool:
    """Tell whether a text in `value` refers to one that is kept elsewhere."""
    if isinstance(value, (dict, list)):
        return any(map(_refers, value.values() if isinstance(value, dict) else value))
    return reference(value) is not None


def settings_of(applied: Applied, *, values: bool = False) -> dict[str, Any]:
    """Return what a version says, by the keys of fleet.toml and without what is not set; secrets replaced."""
    content = redacted(normalised(applied), (), values=values)
    told: dict[str, Any] = {table: _named(table, content[table]) for table in ("fleet", "web")}
    told["bots"] = {name: dict(_flat(spec)) for name, spec in content["bots"].items()}
    if content["notify"]:
        told["notify"] = {name: _set(channel) for name, channel in content["notify"].items()}
    return told


def _flat(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a bot, tables that are of the model with their keys behind a dot, those of its author as they are."""
    for key, value in spec.items():
        if key in _NO_SETTING or value in (None, {}, []):
            continue
        if isinstance(value, dict) and key not in _TABLES:
            yield key, _named(key, value)
        else:
            yield key_of((key,)), _set(value)


def _named(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is set of a table, by the keys of the file."""
    given = {key: _set(value) for key, value in values.items() if value not in (None, {}, [])}
    return {key_of((table, key)).removeprefix(f"{table}."): value for key, value in given.items()}


def _set(value: Any) -> Any:
    """Return a value without what is None inside: TOML has no word for it."""
    if isinstance(value, dict):
        return {key: _set(item) for key, item in value.items() if item is not None}
    return [_set(item) for item in value if item is not None] if isinstance(value, list) else value


def _facts(session: Session, number: int | None) -> dict[str, Any]:
    """Return what is noted of a version, of that which runs when none is named."""
    with session.client() as client:
        versions: list[dict[str, Any]] = client.call("config.versions", {"limit": _MOST_VERSIONS})
    for version in versions:
        if version["number"] == number or (number is None and version.get("is_running")):
            return version
    return {"number": number}


def _head(version: Mapping[str, Any]) -> Iterator[str]:
    state = "runs" if version.get("is_running") else str(version.get("result") or "kept")
    yield f"version {version.get('number')}, {state}; {_time(version.get('at'))} by {candidate.by_whom(version)}"
    if version.get("message"):
        yield str(version["message"])


def _runtime(applied: Applied, *, values: bool) -> Iterator[str]:
    for value in applied.get("runtime", ()):
        until = f", until {_time(value['until'])}" if value["until"] is not None else ""
        yield runtime_text(value, values=values) + until


def _changed(summary: object) -> str:
    """Return "1 new, 2 gone, 40 changed, fleet" of what `config.versions` says of a version against the one before."""
    facts = summary if isinstance(summary, dict) else {}
    counts = ((len(facts.get(key) or ()), word) for key, word in (("added", "new"), ("removed", "gone"), ("changed", "changed")))
    return ", ".join([f"{number} {word}" for number, word in counts if number] + (["fleet"] if facts.get("fleet") else [])) or "-"


def _why(version: Mapping[str, Any]) -> str:
    """Return the reason that a person gave, and why it was taken back."""
    return "; ".join(str(version[key]) for key in ("reason", "message") if version.get(key)) or "-"


def _time(at: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if isinstance(at, (int, float)) else "-"
