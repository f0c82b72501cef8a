"""Find the line that says "ready" in the output of one generation, while it streams through logd.

Lines are framed over any cuts, each judged by its first LONGEST_LINE bytes. A pattern gets LINE_TIMEOUT_S a line and
BUDGET_S in all, so that no pattern can hold up the other bots. A pattern without special characters is a plain search and
needs no regex engine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

    from processsupervisor.kernel.paths import FleetPaths

LONGEST_LINE = 4096
LINE_TIMEOUT_S = 0.1
BUDGET_S = 2.0
_LONGEST_SHOWN = 200
_SPECIAL = frozenset("\\^$.|?*+()[]{}")


class MatchFailed(Exception):
    """The pattern cannot be used, or not any longer; the text says why."""


def shown_match(paths: FleetPaths, bot: str, line: str) -> str:
    """Return how a line that matched is told: redacted, and no longer than a person reads."""
    from processsupervisor.launch.known import known_values
    from processsupervisor.observe.redact import redact

    return redact(line, known_values(paths, bot))[:_LONGEST_SHOWN]


class LineMatcher:
    """One pattern over the two streams of one generation; `feed` returns the first line that matches."""

    __slots__ = ("_carry", "_is_skipping", "_literal", "_pattern", "_spent_s", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._literal = text.encode() if not _SPECIAL & set(text) else None
        self._pattern: regex.Pattern[str] | None = None
        self._carry = [b"", b""]
        self._is_skipping = [False, False]
        self._spent_s = 0.0

    def feed(self, which: int, data: bytes) -> str | None:
        """Judge the lines that `data` completes on stream 0 or 1; raises MatchFailed once the pattern proved unusable."""
        *whole, rest = data.split(b"\n")
        for position, piece in enumerate(whole):
            if position == 0:
                piece = self._carry[which] + piece
                is_skipped, self._is_skipping[which] = self._is_skipping[which], False
                self._carry[which] = b""
                if is_skipped:
                    continue
            found = self._judge(piece[:LONGEST_LINE])
            if found is not None:
                return found
        if not self._is_skipping[which]:
            rest = self._carry[which] + rest if not whole else rest
            if len(rest) >= LONGEST_LINE:
                self._is_skipping[which], self._carry[which] = True, b""
                return self._judge(rest[:LONGEST_LINE])
            self._carry[which] = rest
        return None

    def _judge(self, line: bytes) -> str | None:
        line = line.removesuffix(b"\r")
        if self._literal is not None:
            return line.decode("utf-8", "replace") if self._literal in line else None
        text = line.decode("utf-8", "replace")
        started = time.perf_counter()
        try:
            is_found = self._compiled().search(text, timeout=LINE_TIMEOUT_S) is not None
        except TimeoutError:
            raise MatchFailed(f"the ready pattern took longer than {LINE_TIMEOUT_S:g} s on one line") from None
        self._spent_s += time.perf_counter() - started
        if self._spent_s > BUDGET_S:
            raise MatchFailed(f"the ready pattern took longer than {BUDGET_S:g} s in all")
        return text if is_found else None

    def _compiled(self) -> regex.Pattern[str]:
        if self._pattern is None:
            import regex

            try:
                self._pattern = regex.compile(self._text)
            except (regex.error, RecursionError, OverflowError, MemoryError) as err:
                raise MatchFailed(f"the ready pattern is not a regular expression: {err}") from err
        return self._pattern

    def check(self) -> None:
        """Compile the pattern now; raises MatchFailed when it is not a regular expression."""
        if self._literal is None:
            self._compiled()
