"""Types that extend types: which of them hold for a type, the base first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from processsupervisor.config.problem import Finding, KeyPath, did_you_mean, quoted


def lineage(name: str, extends: Mapping[str, str]) -> list[str]:
    """Return the type and all that it extends, the base first; a circle is cut where it closes."""
    line = [name]
    while (base := extends.get(line[-1])) is not None and base not in line:
        line.append(base)
    return line[::-1]


def check_lineages(extends: Mapping[str, str], known: Collection[str]) -> Iterator[Finding]:
    """Find types that extend one that is not there, or in the end themselves; a circle is told once, at the first of its types."""
    told: set[str] = set()
    for name, base in extends.items():
        at: KeyPath = ("types", name, "extends")
        if base not in known:
            text = f"found the unknown type {quoted(base)} that type {quoted(name)} extends"
            yield Finding(at, "unknown-type", text, did_you_mean(base, known, "types"))
            continue
        line = [name]
        while (base_of := extends.get(line[-1])) is not None and base_of not in line:
            line.append(base_of)
        if base_of == name and name not in told:
            told.update(line)
            way = " -> ".join([*line, name])
            yield Finding(at, "circular-type", f"type {quoted(name)} extends itself: {way}", "take one of these out")
