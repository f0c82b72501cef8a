"""Markdown cut into sections: a heading with the headings above it, its anchor, and the text up to the next heading.

Reads ATX (`## x`) and setext (underlined) headings outside fenced code; anchors are those that GitHub gives. Nothing here opens
a file or renders Markdown. No input makes it fail: what is no heading is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SECTION_CHARS = 20_000
"""A longer section is cut into parts of this size under the same heading, so that one file cannot fill a query's answer."""

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Section:
    """One heading and its text. `path` is the headings from the outermost to its own, `anchor` is empty above the first."""

    path: tuple[str, ...]
    anchor: str
    text: str


def plain(markdown: str) -> str:
    """Return a line of Markdown without link targets, emphasis and code marks."""
    return _LINK.sub(r"\1", markdown).replace("`", "").replace("**", "").strip()


def anchor_of(heading: str, taken: dict[str, int]) -> str:
    """Return GitHub's anchor for `heading`; `taken` counts those of the same file and is updated."""
    base = _NOT_IN_ANCHOR.sub("", plain(heading).lower()).replace(" ", "-")
    seen = taken.get(base, 0)
    taken[base] = seen + 1
    return f"{base}-{seen}" if seen else base


def split(markdown: str) -> list[Section]:
    """Return the sections of a document in order; a section without text of its own is kept, since its heading is searched."""
    builder = _Builder()
    fence = ""
    previous = ""
    for line in _COMMENT.sub("", markdown).splitlines():
        mark = _FENCE.match(line)
        if fence:
            builder.add(line)
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            previous = ""
        elif mark:
            fence = mark[1]
            builder.add(line)
        elif atx := _ATX.match(line):
            builder.open(len(atx[1]), atx[2] or "")
            previous = ""
        elif previous.strip() and (under := _SETEXT.match(line)) and not previous.lstrip().startswith(("|", "-", "*", ">")):
            builder.drop_last()
            builder.open(1 if under[1][0] == "=" else 2, previous)
            previous = ""
        else:
            builder.add(line)
            previous = line
    return builder.close()


class _Builder:
    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._open: list[tuple[int, str]] = []
        self._anchor = ""
        self._lines: list[str] = []
        self._taken: dict[str, int] = {}

    def add(self, line: str) -> None:
        self._lines.append(line)

    def drop_last(self) -> None:
        self._lines.pop()

    def open(self, level: int, heading: str) -> None:
        self._flush()
        self._open = [outer for outer in self._open if outer[0] < level]
        self._open.append((level, plain(heading)))
        self._anchor = anchor_of(heading, self._taken)

    def close(self) -> list[Section]:
        self._flush()
        return self._sections

    def _flush(self) -> None:
        text = "\n".join(self._lines).strip("\n")
        self._lines = []
        path = tuple(heading for _, heading in self._open)
        if not path and not text:
            return
        for start in range(0, max(len(text), 1), MAX_SECTION_CHARS):
            self._sections.append(Section(path, self._anchor, text[start : start + MAX_SECTION_CHARS]))
