"""The tables under [bots] to the settings of each bot: templates spread out, scopes merged, resolved, and looked at by the rules.

A mistake in one table leaves only its bots out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.config.dangers import dangers
from processsupervisor.config.findings import Findings
from processsupervisor.config.logins import Logins
from processsupervisor.config.order import check_order, companions, leave_out_itself
from processsupervisor.config.problem import Finding, KeyPath, did_you_mean, printable, quoted, table_name
from processsupervisor.config.release import point_at_release
from processsupervisor.config.resolve import Resolved, bot_spec, broken_spec
from processsupervisor.config.rules import Site, check_bot, shared_lock_files
from processsupervisor.config.runtime import Home
from processsupervisor.config.schema import BotTable
from processsupervisor.config.scopes import Layer, merge
from processsupervisor.config.shape import read_scope
from processsupervisor.config.spec import BotSpec
from processsupervisor.config.taskrules import zone_warnings
from processsupervisor.config.telegramtoken import shared_proxy_tokens
from processsupervisor.config.templates import MOST_BOTS, Template, template_of
from processsupervisor.config.variables import UnknownVariable
from processsupervisor.kernel.paths import BOT_NAME_PATTERN

NAME = re.compile(BOT_NAME_PATTERN)
NAME_WORDS = "1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class Scopes:
    """What stands around the bots; a scope that could not be read is None. `lines` are the types of each type, base first."""

    scope: Layer | None
    types: Mapping[str, Layer | None]
    lines: Mapping[str, list[str]]
    runtime: Mapping[Home, Layer | None]

    def outer(self, type_name: str | None) -> list[Layer] | None:
        """Return the layers around a bot's own, None when one of them could not be read."""
        layers = [self.scope, *(self.types.get(name) for name in self.lines.get(type_name or "", ()))]
        return None if None in layers or (type_name is not None and type_name not in self.types) else [x for x in layers if x is not None]

    def over(self, bot: str, type_name: str | None) -> list[Layer] | None:
        """Return the layers of values set by command, None when one of them could not be understood."""
        homes = [("global", ""), *(("types", name) for name in self.lines.get(type_name or "", ())), ("bots", bot)]
        layers = [self.runtime[home] for home in homes if home in self.runtime]
        return None if None in layers else [x for x in layers if x is not None]


@dataclass
class Bots:
    """One run over all tables of bots; `raw_scopes` are [global] and the types as they were written, for what cannot be read."""

    folder: Path
    scopes: Scopes
    raw_scopes: Mapping[str, Any]
    found: Findings
    release: int | None
    specs: dict[str, BotSpec] = field(default_factory=dict)
    resolved: dict[str, Resolved] = field(default_factory=dict)
    _homes: dict[str, KeyPath] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        self._site = Site(self.folder)
        self._logins = Logins(self.folder)

    def read(self, tables: Mapping[str, Any]) -> None:
        """Resolve every table, and look at what lies between the bots."""
        for name, raw in tables.items():
            template, findings = template_of(name, raw)
            for finding in findings:
                self.found.add(finding, finding.path, name)
            if template is not None:
                self._spread(template)
            elif findings:
                self.specs[name] = self._broken(name, raw, None)
            elif self._is_free(name, ("bots", name), None):
                self._bot(name, raw, None, 0)
        self._between()

    def _spread(self, template: Template) -> None:
        self._made += template.count
        if self._made > MOST_BOTS:
            text = f"the templates make {self._made} bots up to here, expected at most {MOST_BOTS} in one fleet"
            self.found.add(Finding((), "too-many-bots", text, "make it two fleets"), (*template.at, "count"))
            return
        for bot, n in template.bots():
            if self._is_free(bot, template.at, template):
                self._bot(bot, template.raw, template, n)

    def _is_free(self, bot: str, at: KeyPath, template: Template | None) -> bool:
        """Tell whether nothing else makes a bot of that name; else it is left out."""
        first = self._homes.setdefault(bot, at)
        if first == at:
            return True
        file, line, _ = self.found.files.find(first)
        text = f"[{table_name(at)}] makes the bot {quoted(bot)}, which [{table_name(first)}] makes too"
        finding = Finding((), "bot-twice", text, f"the first is in {printable(file.name)}:{line}; rename one, or change count or first")
        self.found.add(finding, at, bot, template.name if template else None)
        self.specs[bot] = self._broken(bot, {}, None)
        self.resolved.pop(bot, None)
        return False

    def _bot(self, name: str, raw: Any, template: Template | None, n: int) -> None:
        at: KeyPath = ("bots", name) if template is None else template.at
        made_by = template.name if template is not None else None
        if not NAME.fullmatch(name):
            made = f", made by [{table_name(at)}]" if template is not None else ""
            self.found.add(Finding((), "bot-name", f"found the bot name {quoted(name)}{made}, expected {NAME_WORDS}"), at, name, made_by)
        type_name = self._type_of(name, raw, template, n)
        outer, over = self.scopes.outer(type_name), self.scopes.over(name, type_name)
        if template is None:
            own, findings = read_scope(BotTable, raw, at)
        else:
            own, findings = template.read(name, n, type_name, outer or [], over or [])
        for finding in findings:
            self.found.add(finding, finding.path, name, made_by)
        if own is None or outer is None or over is None:
            self.specs[name] = self._broken(name, raw, type_name)
            return
        merged = merge([*outer, own, *over], at)
        used = dict(merged.values)
        spec, findings = bot_spec(name, merged, used, self.folder)
        spec["template"] = made_by
        findings += point_at_release(spec, self.folder, self.release)
        for key in ("depends_on", "restart_with"):
            if name in companions(spec, key) and merged.scope_of(key) != "bots":
                leave_out_itself(spec, key)
        if merged.scope_of("login_budget") is None:
            spec["login_budget"] = self._logins.default_budget(spec)
        self.specs[name] = spec
        self.resolved[name] = Resolved(merged, used, spec, made_by)
        for finding in findings or ([] if self.found.files.has_gaps else check_bot(spec, self._site)):
            self._tell(name, finding)

    def _type_of(self, name: str, raw: Any, template: Template | None, n: int) -> str | None:
        type_name = raw.get("type") if isinstance(raw, dict) and isinstance(raw.get("type"), str) else None
        if template is not None:
            try:
                type_name = template.type_of(name, n)
            except UnknownVariable as err:
                path: KeyPath = (*template.at, "type")
                self.found.add(Finding(path, "unknown-variable", f"{err.message} for type", err.hint), path, name, template.name)
                return None
        if type_name is not None and type_name not in self.scopes.types:
            text = f"found the unknown type {quoted(type_name)} of bot {quoted(name)}"
            finding = Finding((), "unknown-type", text, did_you_mean(type_name, self.scopes.types, "types"))
            self.found.add(finding, (*(template.at if template else ("bots", name)), "type"), name, template.name if template else None)
        return type_name

    def _between(self) -> None:
        specs = {name: bot.spec for name, bot in self.resolved.items()}
        for name, finding in shared_lock_files({n: spec for n, spec in specs.items() if n not in self.found.of_bots}):
            self._tell(name, finding)
        for name, finding in shared_proxy_tokens(specs):
            self._tell(name, finding)
        for name, finding in zone_warnings(specs):
            self._tell(name, finding)
        for name, where, finding in check_order(specs, self.specs):
            bot = self.resolved[where]
            self.found.add(finding, bot.merged.place(finding.path), name, bot.template)
        for name, finding in dangers({n: bot for n, bot in self.resolved.items() if n not in self.found.of_bots}, self._logins, self._site):
            self._tell(name, finding)

    def _tell(self, name: str, finding: Finding) -> None:
        bot = self.resolved[name]
        self.found.add(finding, bot.merged.place(finding.path), name, bot.template)

    def _broken(self, name: str, raw: Any, type_name: str | None) -> BotSpec:
        types = self.raw_scopes.get("types")
        tables = types if isinstance(types, dict) else {}
        layers = [raw, *(tables.get(each) for each in reversed(self.scopes.lines.get(type_name or "", []))), self.raw_scopes.get("global")]
        return broken_spec(name, layers, type_name, self.folder)
