"""Cuts a reply that is too long for its network into messages that are not: at a paragraph, else a line, else a word.

Lengths are UTF-16 units, as networks count them. Markup is not torn: what is open at a cut (a fenced block, bold text, an
HTML tag) is closed there and opened again behind it. Nothing is lost but the white space at a cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from processsupervisor.storage.records import Markup

_MARKS = re.compile(r"\\.|```[^\n`]*\n?|`|\*\*|__|~~|\|\||\*|_", re.DOTALL)
_TAGS = re.compile(r"<(/?)([a-zA-Z][\w-]*)[^<>]*>")
_ENTITY = re.compile(r"&[#\w]{1,31}$")
_MOST_OPEN = 16


def units(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) if text.isascii() else len(text) + sum(1 for char in text if char > "\uffff")


def split_text(text: str, most: int, markup: Markup = Markup.PLAIN) -> list[str]:
    """Return the text in pieces of at most `most` units (16 or more), in order; a text that fits is one piece, unchanged."""
    if len(text) * 2 <= most or units(text) <= most:
        return [text]
    return list(_pieces(text, most, markup))


def _pieces(text: str, most: int, markup: Markup) -> Iterator[str]:
    rest, opening = text, ""
    while True:
        if units(rest) <= most:
            if rest.strip() and rest != opening:
                yield rest
            return
        head, tail, opened, closing = _piece(rest, most, len(opening), markup)
        if head[len(opening) :].strip():
            yield head + closing
        opening = "".join(opened)
        if units(opening) > most // 4:
            opening = ""
        rest = opening + tail


def _piece(text: str, most: int, after: int, markup: Markup) -> tuple[str, str, list[str], str]:
    """Return the next piece, the rest, what the piece left open and what closes that: piece and closing fit together."""
    reserve = 0
    for _ in range(4):
        head, tail = _cut(text, most - reserve, after)
        opened = _open_at_end(head, markup)
        closing = "".join(_closer(mark, markup) for mark in reversed(opened))
        if units(head) + units(closing) <= most:
            return head, tail, opened, closing
        reserve += units(closing)
        if reserve > most // 3:
            break
    head, tail = _cut(text, most, after)  # markup nested beyond reason: torn rather than shown in shreds
    return head, tail, [], ""


def _cut(text: str, most: int, after: int) -> tuple[str, str]:
    """Return what of a text fits and the rest; the first `after` characters (markup opened again) are not cut."""
    end = _fit(text, most)
    least = max(after + 1, end // 3)
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, least, end + 1)
        if at > 0:
            return text[:at].rstrip(), text[at:].lstrip("\n" if mark != " " else " \n")
    entity = _ENTITY.search(text, max(0, end - 33), end)
    if entity is not None and entity.start() > least:
        end = entity.start()
    elif text[end - 1] == "\\" and end - 1 > least:
        end -= 1
    return text[:end], text[end:]


def _fit(text: str, most: int) -> int:
    """Return how many characters from the start have at most `most` units together."""
    if text[:most].isascii():
        return min(most, len(text))
    count = 0
    for index, char in enumerate(text):
        count += 2 if char > "\uffff" else 1
        if count > most:
            return index
    return len(text)


def _open_at_end(text: str, markup: Markup) -> list[str]:
    """Return what a piece has opened and not closed, outermost first, as it must be written to open it again."""
    if markup is Markup.PLAIN:
        return []
    opened = _open_tags(text) if markup is Markup.HTML else _open_marks(text)
    return opened if len(opened) <= _MOST_OPEN else []


def _open_tags(text: str) -> list[str]:
    opened: list[tuple[str, str]] = []
    for match in _TAGS.finditer(text):
        closes, name = match.group(1), match.group(2).lower()
        if not closes:
            opened.append((name, match.group(0)))
        elif any(name == known for known, _ in opened):
            while opened.pop()[0] != name:
                pass
    return [whole for _, whole in opened]


def _open_marks(text: str) -> list[str]:
    opened: list[str] = []
    for match in _MARKS.finditer(text):
        mark = match.group(0)
        if mark.startswith("\\"):
            continue
        fence = opened[-1] if opened and opened[-1].startswith("`") else ""
        if fence:
            if mark.startswith("```") == fence.startswith("```") and mark.startswith("`"):
                opened.pop()
        elif mark.startswith("`") or _may_open(text, match):
            if mark in opened:
                while opened.pop() != mark:
                    pass
            else:
                opened.append(mark if not mark.startswith("```") or mark.endswith("\n") else f"{mark}\n")
        elif mark in opened:
            while opened.pop() != mark:
                pass
    return opened


def _may_open(text: str, match: re.Match[str]) -> bool:
    """Tell whether a mark stands before a word and not inside one: snake_case and "2 * 3" open nothing."""
    before = text[match.start() - 1] if match.start() else " "
    behind = text[match.end()] if match.end() < len(text) else " "
    return not behind.isspace() and not before.isalnum()


def _closer(mark: str, markup: Markup) -> str:
    if markup is Markup.HTML:
        match = _TAGS.match(mark)
        return f"</{match.group(2)}>" if match is not None else ""
    return "\n```" if mark.startswith("```") else mark
