"""`psv config set` and `unset`: one value of a bot, a type or all bots while the fleet runs, and written into its file with --save.

What runs is the ground, not the files on the disk: somebody's unfinished edit is never applied along with it. So --save asks for a file
that says what runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processsupervisor.cli import candidate
from processsupervisor.cli.change import replace_file
from processsupervisor.cli.config import refuse_mistakes
from processsupervisor.cli.present import Present, ask
from processsupervisor.cli.session import Session, user_name
from processsupervisor.commands.command import Command
from processsupervisor.config.gate import hold_elsewhere
from processsupervisor.config.load import Loaded, load_texts
from processsupervisor.config.overrides import parse_key, parse_value, scope_name, with_value, without_value
from processsupervisor.config.problem import did_you_mean, quoted, table_name
from processsupervisor.config.saving import home_of, put
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, Refused, SystemRefused, UsageError
from processsupervisor.observe.redact import redact


@dataclass(frozen=True, slots=True)
class _Target:
    """Of whom a value is: the scope, and the name of the type or bot, "" for [global]."""

    scope: Literal["global", "types", "bots"]
    name: str
    key: list[str]

    @property
    def table(self) -> tuple[str, ...]:
        return (self.scope, self.name) if self.name else (self.scope,)

    @property
    def text(self) -> str:
        return f"{scope_name(self.scope, self.name)}.{table_name(tuple(self.key))}"


def set_value(
    session: Session, command: Command, *, target: str, key: str, value: str | None, type: str | None, all_bots: bool,
    hold_s: float | None, save: bool, now: bool, reason: str | None,
) -> int:  # fmt: skip
    """Set a value."""
    if type is not None or all_bots:
        key, value, extra = target, key, value
        if extra is not None:
            raise UsageError(f"found {quoted(extra, 40)} behind the value", hint="with --type or --global no bot is named: KEY VALUE")
    if value is None:
        raise UsageError("no value is given", hint="psv config set BOT KEY VALUE, or --type TYPE KEY VALUE, or --global KEY VALUE")
    if save and hold_s is not None:
        raise UsageError("--save and --for exclude each other", hint="a file knows no end; leave one of them out")
    what, given = _target(type, all_bots, target, key), parse_value(value)
    present = ask(session)
    _require(present, what)
    at = time.time()
    if save:
        return _save(session, present, what, given, now=now, reason=reason or f"psv config set {what.text} --save")
    new: RuntimeValue = {
        "scope": what.scope, "name": what.name, "key": what.key, "value": given, "author": user_name(),
        "reason": redact(reason or ""), "at": at, "until": None if hold_s is None else at + hold_s,
    }  # fmt: skip
    loaded = _load(session, present, with_value(present.applied.get("runtime", ()), new))
    if what.scope == "types" and what.name not in (types := (loaded.files.values or {}).get("types", {})):
        raise UsageError(f"{present.name} has no type {quoted(what.name)}", hint=did_you_mean(what.name, types, "types"))
    return _submit(session, present, loaded, now=now, reason=reason or f"psv config set {what.text}")


def unset_value(
    session: Session, command: Command, *, target: str, key: str | None, type: str | None, all_bots: bool, now: bool, reason: str | None
) -> int:
    """Take a value back."""
    if type is not None or all_bots:
        if key is not None:
            raise UsageError(f"found {quoted(key, 40)} behind the key", hint="with --type or --global no bot is named: KEY")
        key = target
    if key is None:
        raise UsageError("no key is given", hint="psv config unset BOT KEY, or --type TYPE KEY, or --global KEY")
    what = _target(type, all_bots, target, key)
    present = ask(session)
    before = list(present.applied.get("runtime", ()))
    after = without_value(before, what.scope, what.name, what.key)
    if after == before:
        names = [f"{scope_name(v['scope'], v['name'])}.{table_name(tuple(v['key']))}" for v in before]
        raise Refused(f"{what.text} is not set", hint=f"set are: {', '.join(names)}" if names else "nothing is set by command")
    loaded = _load(session, present, after)
    return _submit(session, present, loaded, now=now, reason=reason or f"psv config unset {what.text}")


def _target(type_name: str | None, all_bots: bool, bot: str, key: str) -> _Target:
    if type_name is not None and all_bots:
        raise UsageError("--type and --global exclude each other", hint="leave one of them out")
    if all_bots:
        return _Target("global", "", parse_key(key))
    return _Target("bots", bot, parse_key(key)) if type_name is None else _Target("types", type_name, parse_key(key))


def _require(present: Present, what: _Target) -> None:
    """Raise unless the bot or type is there."""
    if what.scope == "bots":
        bots = {spec["name"] for spec in present.applied["bots"]}
        if what.name not in bots:
            raise NoSuchBot(f"{present.name} has no bot {quoted(what.name)}", hint=did_you_mean(what.name, bots, "bots"))


def _load(session: Session, present: Present, runtime: list[RuntimeValue], sources: Mapping[str, str] | None = None) -> Loaded:
    texts = {path: text.encode("utf-8", "surrogateescape") for path, text in (sources or present.sources).items()}
    if not texts:
        raise Refused(f"the files of {present.name} are not kept: they had changed when it began", hint="psv config apply first")
    return load_texts(session.paths.folder, texts, runtime=runtime, release=present.applied.get("release"))


def _submit(session: Session, present: Present, loaded: Loaded, *, now: bool, reason: str) -> int:
    applied = refuse_mistakes(session, loaded, present, hint="see psv config set --help, and docs/reference/fleet.md for the keys")
    hold_elsewhere(applied, present.applied)
    result = candidate.submit(session, applied, loaded.sources, base=present.number, reason=reason, now=now)
    return candidate.finish(session, result)


def _save(session: Session, present: Present, what: _Target, value: object, *, now: bool, reason: str) -> int:
    """Apply the edited file, and write it when that has succeeded: a value that is taken back never stood in the file."""
    home = home_of(present.sources, what.table)
    file = session.paths.folder / home
    before = present.sources[home].encode("utf-8", "surrogateescape")
    text = put(present.sources[home], what.table, what.key, value)
    if not file.is_file() or file.read_bytes() != before:
        raise Refused(f"{home} differs from {present.name}", hint="psv config apply first, or set without --save")
    if not os.access(Path(os.path.realpath(file)).parent, os.W_OK):
        raise SystemRefused(f"may not write beside {file}", hint="set without --save, or check owner and mode; nothing was changed")
    rest = without_value(present.applied.get("runtime", ()), what.scope, what.name, what.key)
    loaded = _load(session, present, rest, {**present.sources, home: text})
    status = _submit(session, present, loaded, now=now, reason=reason)
    if status == EXIT_OK:
        replace_file(file, before, text.encode("utf-8", "surrogateescape"))
        session.note(f"written into {file}")
    return status
