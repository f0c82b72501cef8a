"""Templates of bots: a table `[bots."shop-{n}"]` with `count = 40` stands for forty bots, each with its number put into its texts.

Only the texts of that table are touched, values and elements of lists, never keys; what a type or [global] says stays as it is, but for
`vars`, whose values may be named in the table. A text that is nothing but `{n+8080}` becomes a number where one is expected. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from processsupervisor.config.problem import Finding, KeyPath, quoted, table_name
from processsupervisor.config.schema import BotTable
from processsupervisor.config.scopes import Layer, merge
from processsupervisor.config.shape import read_scope
from processsupervisor.config.variables import UnknownVariable, fill, number

MOST_BOTS = 20_000
"""In one fleet, made by templates."""
_NAME = re.compile(r"\{n(?::0([0-9]{1,2}))?\}")
_WIDEST = 20
_UNTOUCHED = frozenset({"count", "first"})
_DEEPEST = 40


@dataclass
class Template:
    """One table under [bots] of which bots are made."""

    name: str
    raw: dict[str, Any]
    count: int
    first: int
    numbers: set[KeyPath] = field(default_factory=set)
    """Where a text that is nothing but a number stands for one; found out by the first bot."""

    @property
    def at(self) -> KeyPath:
        """Return its place in the files."""
        return ("bots", self.name)

    def bots(self) -> Iterator[tuple[str, int]]:
        """Yield the name and number of each bot."""
        for n in range(self.first, self.first + self.count):
            yield _named(self.name, n), n

    def type_of(self, bot: str, n: int) -> str | None:
        """Return the type of one bot. Raises UnknownVariable."""
        name = self.raw.get("type")
        return fill(name, n, {"name": bot}) if isinstance(name, str) else None

    def read(
        self, bot: str, n: int, type_name: str | None, outer: Sequence[Layer], over: Sequence[Layer]
    ) -> tuple[Layer | None, list[Finding]]:
        """Return what the table gives to one bot; `outer` are the scopes around it, `over` those of values set by command."""
        words = {"name": bot} | ({"type": type_name} if type_name is not None else {})
        findings: list[Finding] = []
        own = self._own_vars(n, _vars(outer) | words, findings)
        words = _vars(outer) | own | _vars(over) | words
        raw = {key: self._filled(value, (key,), n, words, findings) for key, value in self.raw.items() if key not in ("vars", "type")}
        if "vars" in self.raw:
            raw["vars"] = own if isinstance(self.raw["vars"], dict) else self.raw["vars"]
        if "type" in self.raw:
            raw["type"] = type_name if type_name is not None else self.raw["type"]
        if findings:
            return None, findings
        layer, findings = read_scope(BotTable, raw, self.at)
        if findings and (wanted := self._wanted_numbers(findings)):
            self.numbers |= wanted
            return self.read(bot, n, type_name, outer, over)
        return layer, findings

    def _own_vars(self, n: int, words: Mapping[str, str], findings: list[Finding]) -> dict[str, str]:
        own = self.raw.get("vars")
        items = own.items() if isinstance(own, dict) else ()
        return {str(key): str(self._filled(value, ("vars", key), n, words, findings)) for key, value in items}

    def _filled(self, value: Any, path: KeyPath, n: int, words: Mapping[str, str], findings: list[Finding]) -> Any:
        match value:
            case str() if path[0] not in _UNTOUCHED:
                if path in self.numbers and (whole := number(value, n)) is not None:
                    return whole
                try:
                    return fill(value, n, words)
                except UnknownVariable as err:
                    text = f"{err.message} for {table_name(path)} in [{table_name(self.at)}]"
                    findings.append(Finding((*self.at, *path), "unknown-variable", text, err.hint))
            case list() | dict() if len(path) > _DEEPEST:
                return value  # no table may be that deep
            case list():
                return [self._filled(item, (*path, index), n, words, findings) for index, item in enumerate(value)]
            case dict():
                return {key: self._filled(item, (*path, key), n, words, findings) for key, item in value.items()}
        return value

    def _wanted_numbers(self, findings: list[Finding]) -> set[KeyPath]:
        """Return where a number was expected and the table has a text that is nothing but one."""
        wanted = set()
        for finding in findings:
            path = finding.path[len(self.at) :]
            text = _at(self.raw, path)
            if finding.code == "bad-value" and path not in self.numbers and isinstance(text, str) and number(text, 1) is not None:
                wanted.add(path)
        return wanted


def template_of(name: str, raw: Any) -> tuple[Template | None, list[Finding]]:
    """Return the template that a table under [bots] is, None when it is a plain bot; or what is wrong with it as a template."""
    at: KeyPath = ("bots", name)
    holds_n, table = _NAME.search(name) is not None, raw if isinstance(raw, dict) else {}
    keys = [key for key in ("count", "first") if key in table]
    if not holds_n:
        if not keys:
            return None, []
        text = f"found {keys[0]} in [{table_name(at)}], whose name has no {{n}}"
        return None, [Finding((*at, keys[0]), "template-name", text, f'write [bots."{name}-{{n}}"], or take {keys[0]} out')]
    if any(int(match[1] or 0) > _WIDEST for match in _NAME.finditer(name)):
        return None, [Finding(at, "template-name", f"found {quoted(name)}, expected at most {_WIDEST} digits", "as in {n:03}")]
    if "count" not in table:
        text = f"found {{n}} in the name {quoted(name)} without count"
        return None, [Finding(at, "template-count", text, "give count = 40 for bots 1 to 40, or the bot a plain name")]
    numbers = {key: table[key] for key in keys}
    layer, findings = read_scope(BotTable, numbers, at)
    if layer is None:
        return None, findings
    return Template(name, table, table["count"], table.get("first", 1)), []


def _named(name: str, n: int) -> str:
    return _NAME.sub(lambda match: f"{n:0{int(match[1] or 0)}d}", name)


def _vars(layers: Sequence[Layer]) -> dict[str, str]:
    given = [Layer(layer.at, {"vars": layer.given["vars"]}) for layer in layers if "vars" in layer.given]
    return merge(given).values.get("vars", {}) if given else {}


def _at(value: Any, path: KeyPath) -> object:
    for part in path:
        try:
            value = value[part]
        except (TypeError, LookupError):
            return None
    return value
