"""Bytes of a log to lines that are safe to show: framing with bounded memory, escapes made visible, secrets redacted.

A line longer than LONGEST_LINE is shown cut, with the number of bytes that are left out; the file has them all. Nothing a
bot writes can move a cursor, set a title or reorder text on the terminal of whoever reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from processsupervisor.observe.redact import redact

LONGEST_LINE = 64 * 1024
_KEPT_BYTES = LONGEST_LINE + 4096
"""Kept of a long line: the excess lets a secret that stands across the cut be recognised."""

# C0 without tab, DEL, C1, line and paragraph separators, directional marks, embeddings, overrides and isolates.
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile("(\x1b\\[[0-9;:]{0,40}m)")
_RESET = "\x1b[0m"


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group(0))
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def make_safe(text: str, *, colour: bool = False) -> str:
    """Make control characters visible; with `colour` SGR sequences stay and the line ends reset."""
    if _UNSAFE.search(text) is None:
        return text
    if not colour or "\x1b[" not in text:
        return _UNSAFE.sub(_visible, text)
    parts = _COLOUR.split(text)
    shown = "".join(part if at % 2 else _UNSAFE.sub(_visible, part) for at, part in enumerate(parts))
    return shown + _RESET if len(parts) > 1 else shown


def show(line: bytes, cut_bytes: int = 0, *, colour: bool = False, secrets: Sequence[str] = ()) -> str:
    """Return what a reader sees of a line without its end; `cut_bytes` were left out of `line` already."""
    # Redacted first: an escape made visible within a secret would hide it from the rules.
    text = redact(line.removesuffix(b"\r").decode("utf-8", "backslashreplace"), secrets)
    if len(line) > LONGEST_LINE:
        kept = text[:LONGEST_LINE]
        cut_bytes += max(0, len(line) - LONGEST_LINE)
        text = kept
    text = make_safe(text, colour=colour)
    return f"{text} [{cut_bytes} bytes cut]" if cut_bytes else text


class Framer:
    """Joins pieces to lines; holds at most _KEPT_BYTES of the line that is not yet whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._kept = 0
        self._left_out = 0

    @property
    def has_part(self) -> bool:
        """Tell whether a line has begun."""
        return bool(self._parts)

    def feed(self, data: bytes) -> list[tuple[bytes, int, int]]:
        """Return the lines that `data` completes: (bytes, bytes left out, end of the line within `data`)."""
        lines = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data[start:end])
            line, left_out = self.flush()
            lines.append((line, left_out, end + 1))
            start = end + 1
        if start < len(data):
            self._add(data[start:])
        return lines

    def flush(self) -> tuple[bytes, int]:
        """Return and forget what there is of the present line, and how many bytes were left out."""
        line, left_out = b"".join(self._parts), self._left_out
        self._parts, self._kept, self._left_out = [], 0, 0
        return line, left_out

    def _add(self, piece: bytes) -> None:
        room = _KEPT_BYTES - self._kept
        self._left_out += max(0, len(piece) - room)
        if room > 0 or not self._parts:
            self._parts.append(piece[:room])
            self._kept += min(len(piece), room)
