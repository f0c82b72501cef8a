"""Where each table and key of a TOML text stands: line and column, both from 1.

A line scanner of our own, used only when something is wrong; values come from tomllib. It never fails: text that is not
TOML is skipped to the next line, and asking for an unknown key gives the place of the nearest table around it.
"""

from __future__ import annotations

import bisect
import tomllib
from dataclasses import dataclass

from processsupervisor.config.problem import KeyPath

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Header:
    """A line `[path]` or `[[path]]`: its keys, and the offsets of its first bracket and behind its last."""

    keys: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A key or table given twice: where first and where again, as (line, column)."""

    path: KeyPath
    first: tuple[int, int]
    again: tuple[int, int]


class Places:
    """The places of one text (line ends may be LF or CRLF)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
        self._at: dict[KeyPath, int] = {}
        self._explicit: dict[KeyPath, int] = {}
        self._arrays: dict[KeyPath, int] = {}
        self.repeats: list[Repeat] = []
        self.headers: list[Header] = []
        self._scan()

    def find(self, path: KeyPath) -> tuple[int, int]:
        """Return line and column of `path`, or of the longest part of it that is known; (1, 1) when none is."""
        for length in range(len(path), 0, -1):
            offset = self._at.get(path[:length])
            if offset is not None:
                return self.place(offset)
        return 1, 1

    def knows(self, path: KeyPath) -> bool:
        """Tell whether exactly this key or table is written in the text."""
        return path in self._at

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character offset."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def end(self) -> tuple[int, int]:
        """Return the place behind the last character that is not white space."""
        return self.place(len(self._text.rstrip()))

    def _scan(self) -> None:
        position, table = 0, ()  # type: int, KeyPath
        while (position := self._skip_space(position)) < len(self._text):
            if self._text[position] == "[":
                table, position = self._header(position, table)
            else:
                position = self._pair(position, table, 0)
            position = self._line_end(position)

    def _header(self, start: int, outer: KeyPath) -> tuple[KeyPath, int]:
        is_array = self._text.startswith("[[", start)
        keys, position = self._keys(start + (2 if is_array else 1))
        if not keys:
            return outer, position
        self.headers.append(Header(tuple(keys), start, position + (2 if is_array else 1)))
        path: KeyPath = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            self._at.setdefault(path, start)
            is_last = index == len(keys) - 1
            if path in self._arrays and not (is_last and is_array):
                path = (*path, self._arrays[path])
        if is_array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, self._arrays[path])
            self._at.setdefault(path, start)
        else:
            self._note(path, start)
        return path, position

    def _note(self, path: KeyPath, offset: int) -> None:
        if path in self._explicit:
            self.repeats.append(Repeat(path, self.place(self._explicit[path]), self.place(offset)))
        else:
            self._explicit[path] = offset
            self._at[path] = offset

    def _pair(self, start: int, table: KeyPath, depth: int) -> int:
        keys, position = self._keys(start)
        if not keys:
            return max(position, start)
        for length in range(1, len(keys)):
            self._at.setdefault((*table, *keys[:length]), start)
        path: KeyPath = (*table, *keys)
        self._note(path, start)
        if position >= len(self._text) or self._text[position] != "=":
            return position
        return self._value(self._skip_blank(position + 1), path, depth)

    def _keys(self, position: int) -> tuple[list[str], int]:
        keys: list[str] = []
        while True:
            position = self._skip_blank(position)
            key, position = self._key(position)
            if key is None:
                return [], position
            keys.append(key)
            position = self._skip_blank(position)
            if position >= len(self._text) or self._text[position] != ".":
                return keys, position
            position += 1

    def _key(self, start: int) -> tuple[str | None, int]:
        text = self._text
        if start < len(text) and text[start] in "\"'":
            end = self._string_end(start)
            try:
                return str(tomllib.loads("k=" + text[start:end])["k"]), end
            except (ValueError, KeyError):
                return None, end
        end = start
        while end < len(text) and text[end] in _BARE:
            end += 1
        return (text[start:end] or None), end

    def _value(self, start: int, path: KeyPath, depth: int) -> int:
        first = self._text[start : start + 1]
        if first and first in "\"'":
            return self._string_end(start)
        if first == "[" and depth < _DEEPEST:
            return self._array(start + 1, path, depth + 1)
        if first == "{" and depth < _DEEPEST:
            return self._inline(start + 1, path, depth + 1)
        end = start
        while end < len(self._text) and self._text[end] not in ",]}\n#":
            end += 1
        return end

    def _array(self, position: int, path: KeyPath, depth: int) -> int:
        index = 0
        while (position := self._skip_space(position)) < len(self._text):
            match self._text[position]:
                case "]":
                    return position + 1
                case ",":
                    position += 1
                    index += 1
                case _:
                    self._at.setdefault((*path, index), position)
                    position = max(self._value(position, (*path, index), depth), position + 1)
        return position

    def _inline(self, position: int, path: KeyPath, depth: int) -> int:
        while (position := self._skip_space(position)) < len(self._text):
            match self._text[position]:
                case "}":
                    return position + 1
                case ",":
                    position += 1
                case _:
                    position = max(self._pair(position, path, depth), position + 1)
        return position

    def _string_end(self, start: int) -> int:
        text, quote = self._text, self._text[start]
        is_long = text.startswith(quote * 3, start)
        mark = quote * 3 if is_long else quote
        position = start + len(mark)
        while position < len(text):
            if text[position] == "\\" and quote == '"':
                position += 2
            elif text.startswith(mark, position):
                position += len(mark)
                while is_long and position < len(text) and text[position] == quote:
                    position += 1
                return position
            elif text[position] == "\n" and not is_long:
                return position
            else:
                position += 1
        return len(text)

    def _skip_blank(self, position: int) -> int:
        while position < len(self._text) and self._text[position] in " \t":
            position += 1
        return position

    def _skip_space(self, position: int) -> int:
        while position < len(self._text):
            if self._text[position] == "#":
                position = self._line_end(position)
            elif self._text[position] in " \t\r\n":
                position += 1
            else:
                break
        return position

    def _line_end(self, position: int) -> int:
        end = self._text.find("\n", position)
        return len(self._text) if end < 0 else end + 1
