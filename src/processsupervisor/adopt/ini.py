"""Files of sections and keys with the line of each: as supervisord reads them, and as systemd does.

The two differ in comments, continued lines and repeated keys, so each has a reader of its own; neither expands anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.adopt.program import CannotRead, Place

_SECTION = re.compile(r"\[([^\]]+)\]\s*(?:[;#].*)?")
_INLINE_COMMENT = re.compile(r"\s[;#].*$")
_KEY = re.compile(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)")


@dataclass(slots=True)
class Entry:
    """One key with its value."""

    key: str
    value: str
    place: Place


@dataclass(slots=True)
class Section:
    """One section; of a key given twice both entries are there, in their order."""

    name: str
    place: Place
    entries: list[Entry] = field(default_factory=list)

    def get(self, key: str) -> Entry | None:
        """Return the last entry of a key."""
        return next((entry for entry in reversed(self.entries) if entry.key == key), None)

    def text(self, key: str, default: str = "") -> str:
        """Return the last value of a key."""
        entry = self.get(key)
        return default if entry is None else entry.value


def read_supervisord_ini(text: str, path: Path) -> list[Section]:
    """Read supervisord's dialect: `;` and `#` behind a space begin a comment, an indented line goes on with the one before."""
    sections: list[Section] = []
    entry: Entry | None = None
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or raw.lstrip().startswith((";", "#")):
            continue
        line = _INLINE_COMMENT.sub("", raw).rstrip()
        if raw[0].isspace() and entry is not None:
            entry.value = f"{entry.value}\n{line.strip()}" if entry.value else line.strip()
            continue
        entry = _section_or_entry(line.strip(), Place(path, number), sections, lower=True)
    return sections


def read_systemd_ini(text: str, path: Path) -> list[Section]:
    """Read systemd's dialect: a backslash at the end joins the next line, comments stand on lines of their own."""
    sections: list[Section] = []
    joined, began = "", 0
    for number, raw in enumerate([*text.split("\n"), ""], 1):
        line = raw.strip()
        if joined and line.startswith(("#", ";")):
            continue
        began = began or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        whole, place = (joined + line).strip(), Place(path, began)
        joined, began = "", 0
        if whole and not whole.startswith(("#", ";")):
            _section_or_entry(whole, place, sections, lower=False)
    return sections


def _section_or_entry(line: str, place: Place, sections: list[Section], *, lower: bool) -> Entry | None:
    if match := _SECTION.fullmatch(line):
        same = next((section for section in sections if section.name == match[1]), None)
        if same is None:
            sections.append(Section(match[1], place))
        else:
            sections.remove(same)
            sections.append(same)
        return None
    match = _KEY.fullmatch(line)
    if match is None:
        raise CannotRead(f"{place}: found neither [section] nor key=value", hint="correct the line; nothing was written")
    if not sections:
        raise CannotRead(f"{place}: found a key before the first [section]", hint="correct the file; nothing was written")
    entry = Entry(match[1].lower() if lower else match[1], match[2].strip(), place)
    sections[-1].entries.append(entry)
    return entry


def add_sections(sections: list[Section], more: Sequence[Section]) -> None:
    """Add the sections of a further file: one that is there already gets the entries of both, the later ones behind."""
    for section in more:
        same = next((known for known in sections if known.name == section.name), None)
        if same is None:
            sections.append(section)
        else:
            same.entries += section.entries
