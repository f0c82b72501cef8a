"""Markdown as Telegram shows it: a plain text and the spans of it that look otherwise. Pure, and nothing in it can be broken.

Telegram's own Markdown refuses a whole message for one star too many, so it is not used: what forms no pair here is a star. Offsets
count UTF-16 units (core.telegram.org/bots/api#messageentity).
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)\n?^```[ \t]*$", re.S | re.M)
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.M)
_BULLET = re.compile(r"^([ \t]*)[-*+][ \t]+", re.M)
_TOKEN = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|\[(?P<label>[^\[\]\n]+)\]\((?P<url>[^\s()]+(?:\([^\s()]*\)[^\s()]*)?)\)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|(?P<mark>\*\*|__|~~|\*|_)"
)
_MARKS = {"**": "bold", "__": "bold", "~~": "strikethrough", "*": "italic", "_": "italic"}
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


class Span(NamedTuple):
    """A part of the text that is shown otherwise. `extra` is the address of a text_link, the language of a pre."""

    kind: str
    offset: int
    length: int
    extra: str = ""


class _Piece(NamedTuple):
    """A piece of the source: text to be shown, and the mark or span that it is."""

    text: str
    kind: str = ""
    extra: str = ""
    can_open: bool = False
    can_close: bool = False


def render(source: str) -> tuple[str, list[Span]]:
    """Return what `source` (Markdown) shows, and its spans."""
    pieces: list[_Piece] = []
    at = 0
    for fence in _FENCE.finditer(source):
        pieces += _inline(source[at : fence.start()])
        pieces.append(_Piece(fence[2], "pre", fence[1].strip()))
        at = fence.end()
    pieces += _inline(source[at:])
    return _lay(pieces, _pairs(pieces))


def strip_html(source: str) -> str:
    """Return a text in HTML without its tags; what only looks like one stays."""
    return html.unescape(_TAG.sub("", source)).strip() or source


def units(text: str) -> int:
    """Return the length of a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _inline(source: str) -> list[_Piece]:
    source = _BULLET.sub(r"\1• ", _HEADING.sub(lambda match: f"**{match[1].replace('**', '')}**", source))
    pieces: list[_Piece] = []
    at = 0
    for token in _TOKEN.finditer(source):
        pieces.append(_Piece(source[at : token.start()]))
        at = token.end()
        match token.lastgroup:
            case "code":
                pieces.append(_Piece(token["code"], "code"))
            case "url":
                pieces.append(_Piece(token["label"], "text_link", token["url"]))
            case "escaped":
                pieces.append(_Piece(token["escaped"]))
            case _:
                pieces.append(_mark(source, token))
    pieces.append(_Piece(source[at:]))
    return pieces


def _mark(source: str, token: re.Match[str]) -> _Piece:
    """Return a mark with where it may stand: not beside a blank, and an underscore not inside of a word."""
    mark = token["mark"]
    before, behind = source[token.start() - 1 : token.start()], source[token.end() : token.end() + 1]
    can_open, can_close = bool(behind.strip()), bool(before.strip())
    if "_" in mark:
        can_open, can_close = can_open and not before.isalnum(), can_close and not behind.isalnum()
    return _Piece(mark, "mark", _MARKS[mark], can_open, can_close)


def _pairs(pieces: list[_Piece]) -> dict[int, int]:
    """Return {opening piece: closing piece}; what lies between a pair and found no partner there stays what it is."""
    pairs: dict[int, int] = {}
    waiting: list[int] = []
    for index, piece in enumerate(pieces):
        if piece.kind != "mark":
            continue
        opener = next((at for at in reversed(waiting) if pieces[at].text == piece.text), None)
        if piece.can_close and opener is not None and any(between.text for between in pieces[opener + 1 : index]):
            pairs[opener] = index
            del waiting[waiting.index(opener) :]
        elif piece.can_open:
            waiting.append(index)
    return pairs


def _lay(pieces: list[_Piece], pairs: dict[int, int]) -> tuple[str, list[Span]]:
    closers = {closing: opening for opening, closing in pairs.items()}
    begun: dict[int, int] = {}
    parts: list[str] = []
    spans: list[Span] = []
    at = 0
    for index, piece in enumerate(pieces):
        if index in pairs:
            begun[index] = at
        elif index in closers:
            offset = begun[closers[index]]
            if at > offset:
                spans.append(Span(piece.extra, offset, at - offset))
        else:
            length = units(piece.text)
            if piece.kind and piece.kind != "mark" and length:
                spans.append(Span(piece.kind, at, length, piece.extra))
            parts.append(piece.text)
            at += length
    return "".join(parts), sorted(spans, key=lambda span: (span.offset, -span.length))
