"""The configuration of a fleet folder to the applied settings of all bots, with every problem of all files at once.

The pipeline: shelf, source, files (texts, values, includes) -> shape (one table against its model) -> lineage, templates, scopes
(merge) -> resolve (BotSpec) -> rules, order, dangers. A mistake outside [bots.X] is fatal; one inside leaves only that bot out. Never
raises for anything a file can hold.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from processsupervisor.config.bots import NAME, NAME_WORDS, Bots, Scopes
from processsupervisor.config.effects import effects
from processsupervisor.config.findings import Findings
from processsupervisor.config.joined import Files, read_files
from processsupervisor.config.lineage import check_lineages, lineage
from processsupervisor.config.notices import NotifyTable, channel_spec, check_channel, outside_of
from processsupervisor.config.problem import Finding, KeyPath, Problem, did_you_mean, nearest, quoted, shown
from processsupervisor.config.release import running_release
from processsupervisor.config.resolve import Resolved, fleet_spec, web_spec
from processsupervisor.config.rules import open_to_others
from processsupervisor.config.runtime import Home, lasting, runtime_layers, unused
from processsupervisor.config.schema import SECTIONS, TOP_LEVEL, ControlTable, FleetTable, ScopeTable, TypeTable, WebTable
from processsupervisor.config.scopes import Layer
from processsupervisor.config.shape import read_scope, read_table
from processsupervisor.config.shelf import Disk, Shelf, Texts
from processsupervisor.config.spec import APPLIED_VERSION, Applied, NotifySpec, RuntimeValue
from processsupervisor.config.tables import Table
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.paths import FleetPaths

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome: all problems in the order of the files, and what can be applied (None when `fatal`).

    `sources` are the bytes of every file that was read, by its path from the fleet folder; `files` and `bots` are what origin.py looks at.
    """

    problems: tuple[Problem, ...]
    fatal: bool
    applied: Applied | None
    files: Files
    sources: dict[str, bytes] = field(default_factory=dict)
    bots: Mapping[str, Resolved] = field(default_factory=dict)


def load_fleet(folder: Path, runtime: Iterable[RuntimeValue] = (), release: int | None = None) -> Loaded:
    """Read and resolve fleet.toml of `folder`, with values set by command and the release that bots run from (None: the one that runs)."""
    return _load(Disk(FleetPaths(folder).folder), runtime, release)


def load_text(folder: Path, content: bytes, runtime: Iterable[RuntimeValue] = (), release: int | None = None) -> Loaded:
    """Do the same with `content` as if it were the fleet.toml of `folder`; what it includes is read there."""
    return _load(Disk(FleetPaths(folder).folder, content), runtime, release)


def load_texts(folder: Path, texts: Mapping[str, bytes], runtime: Iterable[RuntimeValue] = (), release: int | None = None) -> Loaded:
    """Do the same with `texts` as if they were all the files of `folder`: `{path from the folder: content}`."""
    return _load(Texts(FleetPaths(folder).folder, texts), runtime, release)


def _load(shelf: Shelf, runtime: Iterable[RuntimeValue], release: int | None) -> Loaded:
    """Load without the collector of cycles: a large fleet makes many objects and hardly one cycle, and it takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _Check(shelf, runtime, release).load()
    finally:
        if was_enabled:
            gc.enable()


class _Check:
    """One run over one fleet folder."""

    def __init__(self, shelf: Shelf, runtime: Iterable[RuntimeValue], release: int | None) -> None:
        self.folder = shelf.folder
        self.files = read_files(shelf)
        self.found = Findings(self.files)
        self.runtime = lasting(runtime, wall())
        self.release = running_release(FleetPaths(self.folder)) if release is None else release

    def load(self) -> Loaded:
        raw = self.files.values
        if raw is None:
            return self._outcome(None, {})
        self._unknown_top_level(raw)
        fleet = self._section("fleet", FleetTable, raw)
        web = self._section("web", WebTable, raw)
        control = self._section("control", ControlTable, raw)
        bots = self._bots(raw)
        channels = self._channels(raw.get("notify", {}))
        if fleet is None or web is None or control is None:
            return self._outcome(None, bots.resolved)
        proxied = [name for name, spec in bots.specs.items() if spec.get("telegram_proxy")]
        web_settings = web_spec(web, is_written="web" in raw, is_needed=bool(proxied))
        if proxied and not web.enabled:
            hint = f"remove it: {proxied[0]} has telegram_proxy, which the web process serves"
            self.found.add(Finding(("web", "enabled"), "web-needed", "found enabled = false, expected true", hint), ("web", "enabled"))
        for finding in open_to_others(web_settings["listen_host"]) if web_settings["enabled"] else ():
            self.found.add(finding, finding.path)
        return self._outcome(
            {
                "version": APPLIED_VERSION,
                "fleet": fleet_spec(fleet, control),
                "web": web_settings,
                "bots": list(bots.specs.values()),
                "notify": channels,
                "problems": [],
                "source_digest": self.files.digest,
                "files": self.files.listed,
                "includes": self.files.globs,
                "runtime": self.runtime,
                "effects": effects(),
                "release": self.release or None,
            },
            bots.resolved,
        )

    def _outcome(self, applied: Applied | None, bots: Mapping[str, Resolved]) -> Loaded:
        problems = self.found.gathered()
        if any(problem.severity == "fatal" for problem in problems):
            return Loaded(problems, True, None, self.files, self.files.contents, bots)
        assert applied is not None  # without a fatal problem every table was read
        mine: dict[str, list[Problem]] = {}
        for problem in problems:
            for bot in problem.bots:
                mine.setdefault(bot, []).append(problem)
        for spec in applied["bots"]:
            if told := mine.get(spec["name"]):
                more = f" (and {len(told) - 1} more: psv check)" if len(told) > 1 else ""
                spec["error"] = told[0].text(self.folder) + more
                spec["error_rechecks"] = self.found.all_outside(spec["name"])
        whole: Applied = {**applied, "problems": [problem.to_json() for problem in problems]}
        return Loaded(problems, False, whole, self.files, self.files.contents, bots)

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
            self.found.add(Finding((name,), "unknown-key", what, hint), (name,))

    def _section(self, name: str, model: type[T], raw: dict[str, Any]) -> T | None:
        table, findings = read_table(model, raw.get(name, {}), (name,))
        for finding in findings:
            self.found.add(finding, finding.path)
        return table

    def _named_tables(self, raw: Any, section: str) -> dict[str, Any]:
        if isinstance(raw, dict):
            return raw
        text = f"found {shown(raw)} for [{section}], expected tables [{section}.NAME]"
        self.found.add(Finding((section,), "bad-value", text, f"write [{section}.NAME] for each"), (section,))
        return {}

    def _bots(self, raw: dict[str, Any]) -> Bots:
        scope, findings = read_scope(ScopeTable, raw.get("global", {}), ("global",))
        for finding in findings:
            self.found.add(finding, finding.path)
        types, lines = self._types(raw.get("types", {}))
        runtime = self._set_by_command()
        bots = Bots(self.folder, Scopes(scope, types, lines, runtime), raw, self.found, self.release)
        bots.read(self._named_tables(raw.get("bots", {}), "bots"))
        for path, finding in unused(runtime, types, bots.specs):
            self.found.add(finding, path)
        return bots

    def _types(self, raw: Any) -> tuple[dict[str, Layer | None], dict[str, list[str]]]:
        types: dict[str, Layer | None] = {}
        extends: dict[str, str] = {}
        for name, table in self._named_tables(raw, "types").items():
            if not NAME.fullmatch(name):
                self.found.add(Finding((), "type-name", f"found the type name {quoted(name)}, expected {NAME_WORDS}"), ("types", name))
            types[name], findings = read_scope(TypeTable, table, ("types", name))
            for finding in findings:
                self.found.add(finding, finding.path)
            if isinstance(table, dict) and isinstance(table.get("extends"), str):
                extends[name] = table["extends"]
        for finding in check_lineages(extends, types):
            self.found.add(finding, finding.path)
        return types, {name: [each for each in lineage(name, extends) if each in types] for name in types}

    def _set_by_command(self) -> dict[Home, Layer | None]:
        layers: dict[Home, Layer | None] = {}
        for home, layer, findings in runtime_layers(self.runtime):
            layers[home] = layer
            for finding in findings:
                self.found.add(finding, finding.path, home[1] if home[0] == "bots" else None)
        return layers

    def _channels(self, raw: Any) -> list[NotifySpec]:
        tables = self._named_tables(raw, "notify")
        if not tables:
            return []

        channels = []
        for name, values in tables.items():
            at: KeyPath = ("notify", name)
            if not NAME.fullmatch(name):
                self.found.add(Finding((), "notify-name", f"found the name {quoted(name)} of a channel, expected {NAME_WORDS}"), at)
            table, findings = read_table(NotifyTable, values, at)
            if table is not None:
                findings = list(check_channel(table, at))
                channels.append(channel_spec(name, table, self.folder))
                findings = findings or list(outside_of(channels[-1], at))
            for finding in findings:
                self.found.add(finding, finding.path)
        return channels
