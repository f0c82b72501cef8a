"""Writes the measured tables of docs/reference/unchanged.md, between its two markers; the rest of the page is by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "unchanged.md"
_BEGIN, _END = "<!-- measured: begin (benchmarks/bench_unchanged.py) -->", "<!-- measured: end -->"


def write_page(result: Mapping[str, Any], page: Path = PAGE) -> None:
    """Replace what stands between the markers; ValueError when they are not there."""
    text = page.read_text(encoding="utf-8")
    if text.count(_BEGIN) != 1 or text.count(_END) != 1:
        raise ValueError(f"{page.name} has not exactly one of each marker: {_BEGIN} and {_END}")
    before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n\n{tables(result)}\n{_END}{after}", encoding="utf-8")


def tables(result: Mapping[str, Any]) -> str:
    """Return the facts of the run, then a table of memory for each number of copies, then one of times."""
    facts, versions, runs = result["machine"], result["versions"], result["runs"]
    noise = "" if facts["quiet"] else " (not quiet: the times say what held, not how fast it can be)"
    lines = [
        f"Made by `python benchmarks/bench_unchanged.py --runs {runs}` on {facts['date'][:10]}: {facts['cores']} cores ({facts['cpu']}), "
        f"Linux {_short(facts['kernel'])}, Python {facts['python']}, psv {versions['psv']}, supervisord {versions['supervisord']}.",
        f"{'One run' if runs == 1 else f'Medians of {runs} runs'}. Load before: {facts['load_before']:g}{noise}.",
        "",
    ]
    for copies, systems in result["copies"].items():
        lines += [f"### Memory, {_of_each(copies)}", "", *_memory(systems), ""]
    for copies, systems in result["copies"].items():
        lines += [f"### Ready and stop, {_of_each(copies)}", "", *_times(systems), ""]
    return "\n".join(lines)


def _of_each(copies: str) -> str:
    return "one bot of each" if copies == "1" else f"{copies} bots of each"


def _memory(systems: Mapping[str, Any]) -> list[str]:
    """Of psv: a bot's own PSS, and behind the plus its part of its zygote's."""
    lines = _head("MB a bot", systems)
    for bot in _bots(systems):
        lines.append(_row(bot, (_weight(system[bot]) for system in systems.values())))
    lines.append(_row("the supervisor itself", (f"{system['supervisor']['mb']:.1f}" for system in systems.values())))
    lines.append(_row("zygotes", (f"{system['supervisor']['zygotes']:.0f}" for system in systems.values())))
    lines.append(_row("**all processes**", (f"**{system['all']['mb']:.0f}**" for system in systems.values())))
    return lines


def _weight(figures: Mapping[str, float]) -> str:
    together = figures["bot_mb"] + figures["zygote_mb"]
    return f"{figures['bot_mb']:.1f} + {figures['zygote_mb']:.1f} = {together:.1f}" if figures["zygote_mb"] else f"{together:.1f}"


def _times(systems: Mapping[str, Any]) -> list[str]:
    lines = _head("ready, s / stop, ms", systems)
    for bot in _bots(systems):
        lines.append(_row(bot, (f"{system[bot]['ready_s']:.2f} / {system[bot]['stop_ms']:.0f}" for system in systems.values())))
    lines.append(_row("**all ready**", (f"**{system['all']['ready_s']:.2f}**" for system in systems.values())))
    return lines


def _bots(systems: Mapping[str, Any]) -> list[str]:
    return [name for name in next(iter(systems.values())) if name not in ("supervisor", "all")]


def _head(first: str, systems: Mapping[str, Any]) -> list[str]:
    return [_row(first, systems), "|" + "---|" * (1 + len(systems))]


def _row(first: str, cells: Iterable[str]) -> str:
    return f"| {first} | " + " | ".join(cells) + " |"


def _short(kernel: str) -> str:
    """The version without what a distribution or a host adds to it."""
    found = re.match(r"[\d.]+\d", kernel)
    return found[0] if found else ""
