"""fleet.toml of a folder to the applied settings of all bots, with every problem of the file at once.

The pipeline: source (text, values) -> shape (one table against its model) -> scopes (merge) -> resolve (BotSpec) -> rules.
A mistake outside [bots.X] is fatal; one inside leaves only that bot out. Never raises for anything a file can hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from processsupervisor.config.effects import effects
from processsupervisor.config.logins import default_budget
from processsupervisor.config.notices import NotifyTable, channel_spec, check_channel, outside_of
from processsupervisor.config.order import check_order, companions, leave_out_itself
from processsupervisor.config.places import Places
from processsupervisor.config.problem import Finding, KeyPath, Problem, Severity, did_you_mean, nearest, quoted, shown
from processsupervisor.config.resolve import bot_spec, broken_spec, fleet_spec, web_spec
from processsupervisor.config.rules import Site, check_bot, open_to_others, shared_lock_files
from processsupervisor.config.schema import SECTIONS, TOP_LEVEL, BotTable, ControlTable, FleetTable, ScopeTable, WebTable
from processsupervisor.config.scopes import Layer, Merged, merge
from processsupervisor.config.shape import read_table
from processsupervisor.config.source import Source, parse_source, read_source
from processsupervisor.config.spec import APPLIED_VERSION, Applied, BotSpec, NotifySpec
from processsupervisor.config.tables import Table
from processsupervisor.config.taskrules import zone_warnings
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths

T = TypeVar("T", bound=Table)
_NAME = re.compile(BOT_NAME_PATTERN)
_NAME_WORDS = "1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome: all problems in the order of the file, and what can be applied (None when `fatal`)."""

    problems: tuple[Problem, ...]
    fatal: bool
    applied: Applied | None


def load_fleet(folder: Path) -> Loaded:
    """Read and resolve `folder`/fleet.toml."""
    paths = FleetPaths(folder)
    return _Check(paths, read_source(paths.config)).load()


def load_text(folder: Path, content: bytes) -> Loaded:
    """Resolve `content` as if it were the fleet.toml of `folder`."""
    paths = FleetPaths(folder)
    return _Check(paths, parse_source(paths.config, content)).load()


@dataclass
class _Check:
    """One run over one file; collects problems as it goes."""

    paths: FleetPaths
    source: Source
    problems: list[Problem] = field(default_factory=list)
    faulty: dict[str, list[Finding]] = field(default_factory=dict)
    merged: dict[str, tuple[Merged, BotSpec]] = field(default_factory=dict)
    """The bots whose tables could be read."""

    @cached_property
    def places(self) -> Places:
        return Places(self.source.text)

    def load(self) -> Loaded:
        self.problems += self.source.problems
        raw = self.source.values
        if raw is None:
            return self._outcome(None)
        self._unknown_top_level(raw)
        fleet = self._section("fleet", FleetTable, raw)
        web = self._section("web", WebTable, raw)
        control = self._section("control", ControlTable, raw)
        scope = self._section("global", ScopeTable, raw)
        types = self._types(raw.get("types", {}))
        specs = self._bots(raw.get("bots", {}), scope, types)
        channels = self._channels(raw.get("notify", {}))
        if fleet is None or web is None or control is None:
            return self._outcome(None)
        web_settings = web_spec(web, is_written="web" in raw)
        for finding in open_to_others(web_settings["listen_host"]) if web_settings["enabled"] else ():
            self._report(finding, finding.path)
        return self._outcome(
            {
                "version": APPLIED_VERSION,
                "fleet": fleet_spec(fleet, control),
                "web": web_settings,
                "bots": list(specs.values()),
                "notify": channels,
                "problems": [],
                "source_digest": self.source.digest,
                "effects": effects(),
            }
        )

    def _outcome(self, applied: Applied | None) -> Loaded:
        problems = _merged(self.problems)
        if any(problem.severity == "fatal" for problem in problems):
            return Loaded(problems, True, None)
        assert applied is not None  # without a fatal problem every table was read
        for spec in applied["bots"]:
            mine = [problem for problem in problems if spec["name"] in problem.bots]
            if mine:
                more = f" (and {len(mine) - 1} more: psv check)" if len(mine) > 1 else ""
                spec["error"] = mine[0].text(short=True) + more
                spec["error_rechecks"] = all(finding.outside for finding in self.faulty[spec["name"]])
        return Loaded(problems, False, {**applied, "problems": [problem.to_json() for problem in problems]})

    def _report(self, finding: Finding, path: KeyPath, bot: str | None = None) -> None:
        if self.source.problems and finding.code in ("missing-key", "no-program"):
            return  # it may stand in a line that was left out
        line, column = self.places.find(path)
        severity: Severity = "warning" if finding.warning else "fatal" if bot is None else "bot"
        bots = (bot,) if bot is not None and not finding.warning else ()
        if bots:
            self.faulty.setdefault(bots[0], []).append(finding)
        self.problems.append(Problem(str(self.paths.config), line, column, finding.code, finding.message, finding.hint, severity, bots))

    def _unknown_top_level(self, raw: dict[str, Any]) -> None:
        for name in raw.keys() - set(TOP_LEVEL):
            homes = [f"[{section}]" for section, table in SECTIONS.items() if name in table.model_fields]
            is_table = isinstance(raw[name], dict)
            if homes and not is_table and nearest(name, TOP_LEVEL) is None:
                hint = f"write it below {' or '.join(homes)}"
            else:
                hint = did_you_mean(name, TOP_LEVEL, "tables")
            what = (
                f"unknown table [{name if name.isidentifier() else quoted(name)}]"
                if is_table
                else f"unknown key {quoted(name)} outside any table"
            )
            self._report(Finding((name,), "unknown-key", what, hint), (name,))

    def _section(self, name: str, model: type[T], raw: dict[str, Any]) -> T | None:
        table, findings = read_table(model, raw.get(name, {}), (name,))
        for finding in findings:
            self._report(finding, finding.path)
        return table

    def _named_tables(self, raw: Any, section: str) -> dict[str, Any]:
        if isinstance(raw, dict):
            return raw
        text = f"found {shown(raw)} for [{section}], expected tables [{section}.NAME]"
        self._report(Finding((section,), "bad-value", text, f"write [{section}.NAME] for each"), (section,))
        return {}

    def _types(self, raw: Any) -> dict[str, ScopeTable | None]:
        types: dict[str, ScopeTable | None] = {}
        for name, table in self._named_tables(raw, "types").items():
            if not _NAME.fullmatch(name):
                self._report(Finding((), "type-name", f"found the type name {quoted(name)}, expected {_NAME_WORDS}"), ("types", name))
            types[name], findings = read_table(ScopeTable, table, ("types", name))
            for finding in findings:
                self._report(finding, finding.path)
        return types

    def _channels(self, raw: Any) -> list[NotifySpec]:
        channels = []
        for name, values in self._named_tables(raw, "notify").items():
            at: KeyPath = ("notify", name)
            if not _NAME.fullmatch(name):
                self._report(Finding((), "notify-name", f"found the name {quoted(name)} of a channel, expected {_NAME_WORDS}"), at)
            table, findings = read_table(NotifyTable, values, at)
            if table is not None:
                findings = list(check_channel(table, at))
                channels.append(channel_spec(name, table, self.paths.folder))
                findings = findings or list(outside_of(channels[-1], at))
            for finding in findings:
                self._report(finding, finding.path)
        return channels

    def _bots(self, raw: Any, scope: ScopeTable | None, types: dict[str, ScopeTable | None]) -> dict[str, BotSpec]:
        site = Site(self.paths.folder)
        specs: dict[str, BotSpec] = {}
        for name, table in self._named_tables(raw, "bots").items():
            specs[name] = self._bot(name, table, scope, types, site)
        for name, warning in shared_lock_files({n: s for n, s in specs.items() if n not in self.faulty}):
            self._report(warning, ("bots", name, *warning.path), name)
        for name, finding in zone_warnings({n: spec for n, (_, spec) in self.merged.items()}):
            self._report(finding, self.merged[name][0].place(finding.path), name)
        for name, where, finding in check_order({n: spec for n, (_, spec) in self.merged.items()}, specs):
            self._report(finding, self.merged[where][0].place(finding.path), name)
        return specs

    def _bot(self, name: str, raw: Any, scope: ScopeTable | None, types: dict[str, ScopeTable | None], site: Site) -> BotSpec:
        at: KeyPath = ("bots", name)
        if not _NAME.fullmatch(name):
            self._report(Finding((), "bot-name", f"found the bot name {quoted(name)}, expected {_NAME_WORDS}"), at, name)
        table, findings = read_table(BotTable, raw, at)
        for finding in findings:
            self._report(finding, finding.path, name)
        type_name = raw.get("type") if isinstance(raw, dict) and isinstance(raw.get("type"), str) else None
        if type_name is not None and type_name not in types:
            text = f"found the unknown type {quoted(type_name)} of bot {quoted(name)}"
            self._report(Finding((), "unknown-type", text, did_you_mean(type_name, types, "types")), (*at, "type"), name)
        broken = broken_spec(name, [raw, *self._scopes_of(type_name)], type_name, self.paths.folder)
        if table is None or scope is None or (type_name is not None and types.get(type_name) is None):
            return broken
        layers = [Layer(("global",), scope.model_dump(exclude_unset=True))]
        if type_name is not None and (of_type := types[type_name]):
            layers.append(Layer(("types", type_name), of_type.model_dump(exclude_unset=True)))
        layers.append(Layer(at, table.model_dump(exclude_unset=True)))
        merged = merge(layers)
        spec, findings = bot_spec(name, merged, self.paths.folder)
        for key in ("depends_on", "restart_with"):
            if name in companions(spec, key) and merged.scope_of(key) != "bots":
                leave_out_itself(spec, key)
        if merged.scope_of("login_budget") is None:
            spec["login_budget"] = default_budget(spec, self.paths.folder)
        self.merged[name] = merged, spec
        for finding in findings or ([] if self.source.problems else check_bot(spec, site)):
            self._report(finding, merged.place(finding.path), name)
        return spec

    def _scopes_of(self, type_name: str | None) -> list[Any]:
        """Return the tables of a type and [global] as they stand in the file."""
        values = self.source.values or {}
        types = values.get("types")
        return [types.get(type_name) if isinstance(types, dict) else None, values.get("global")]


def _merged(problems: list[Problem]) -> tuple[Problem, ...]:
    """Join problems that say the same at the same place (a type's, seen by each of its bots) and sort by place."""
    joined: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        same = (problem.file, problem.line, problem.column, problem.code, problem.message, problem.severity)
        known = joined.get(same)
        joined[same] = replace(known, bots=known.bots + problem.bots) if known else problem
    return tuple(sorted(joined.values()))
