"""Find tracebacks in the lines of one stream: Python's (chained ones and exception groups too) and the stacks of Node.js.

Lines go in one by one, errors come out; no more than one unfinished traceback is held, whatever comes in. Of a chain the last
exception counts, the one that was not handled. What a logger puts before each line, colours, and some lines of other threads in between
are passed over. Grouping is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from processsupervisor.process.frames import is_better_place
from processsupervisor.process.logreader import LogLine

LONGEST_MESSAGE = 500
MOST_BETWEEN = 20
"""So many lines of others are passed over in the middle of a traceback."""

_HEADER_WORDS = "Traceback (most recent call last):"
_HEADER = re.compile(rf"(?:Exception Group )?{re.escape(_HEADER_WORDS)}$")
_MARGIN = re.compile(r" *[|+](?: |(?=-)|$)")
_FRAME = re.compile(r' +File "(?P<file>.{1,4096}?)", line (?P<line>\d{1,9})(?:, in (?P<function>.{1,500}))?$')
_RAISED = re.compile(r"(?P<type>[A-Za-z_](?:[\w.]|<locals>){0,300})(?:: ?(?P<message>.*))?$")
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_LEVELS = frozenset({"DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL", "TRACE", "NOTICE"})
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}m")
_DIGIT = re.compile(r"\d")
_OF_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_SCRIPT_ERROR = re.compile(r"(?:Uncaught )?(?P<type>(?:[A-Z]\w{0,100})?(?:Error|Exception))(?: \[\w{1,100}\])?(?:: (?P<message>.*))?$")
_SCRIPT_FRAME = re.compile(r"\s+at (?:(?P<function>[^()]{1,500}) \()?(?P<file>[^()\s][^()]{0,4096}?):(?P<line>\d{1,9}):\d{1,9}\)?$")


class Place(NamedTuple):
    """Where something was raised: the innermost frame of the author's files; of a library when there is no other."""

    file: str
    line: int
    function: str


class Raised(NamedTuple):
    """One error as it was printed; `at` is epoch seconds, `message` its first line."""

    at: float
    bot: str
    generation: int
    type: str
    message: str
    place: Place


def find_all(lines: Iterable[LogLine]) -> Iterator[Raised]:
    """Yield the errors in the lines of one bot, whose two streams may be mixed."""
    streams: dict[str, Finder] = {}
    for line in lines:
        finder = streams.get(line.stream)
        if finder is None:
            finder = streams[line.stream] = Finder()
        yield from finder.feed(line)
    for finder in streams.values():
        yield from finder.flush()


class Finder:
    """Finds the errors of one stream; `feed` returns those that a line completes."""

    def __init__(self) -> None:
        self._generation = 0
        self._begin_anew()
        self._pending: Raised | None = None
        self._is_chained = False

    def feed(self, line: LogLine) -> list[Raised]:
        """Take the next line and return what ended before it: an error is known to be the last of its chain only then."""
        done: list[Raised] = []
        if line.is_gap or line.generation != self._generation:
            done += self.flush()
            self._generation = line.generation
            if line.is_gap:
                return done
        text = line.text if "\x1b" not in line.text else _COLOUR.sub("", line.text)
        if _HEADER_WORDS in text and (header := _HEADER.search(text)) is not None:  # most lines cost no pattern
            if self._pending is not None and not self._is_chained:
                done.append(self._pending)
            self._pending, self._is_chained = None, False
            self._begin_anew()
            before = text[: header.start()]
            self._is_inside, self._has_margin = True, _MARGIN.match(before + " ") is not None
            self._prefix = "" if self._has_margin else _shape(before)
            return done
        if self._prefix and (self._is_inside or self._pending is not None):
            text = self._without_prefix(text)
        if self._has_margin and (margin := _MARGIN.match(text)) is not None:
            text = text[margin.end() :]
        if self._is_inside:
            self._inside(line, text)
        else:
            done += self._outside(line, text)
        return done

    def flush(self) -> list[Raised]:
        """Return the last error, when nothing follows any more."""
        done = [self._pending] if self._pending is not None else []
        self._pending, self._is_chained = None, False
        self._begin_anew()
        return done

    def _without_prefix(self, text: str) -> str:
        """Return the line without what stood before the header, when it has that too, other numbers and times aside."""
        length = len(self._prefix)
        return text[length:] if _shape(text[:length]).rstrip() == self._prefix.rstrip() else text

    def _begin_anew(self) -> None:
        self._prefix, self._between = "", 0
        self._is_inside = self._has_margin = self._is_bare = False
        self._place: Place | None = None
        self._script: tuple[str, str] | None = None

    def _inside(self, line: LogLine, text: str) -> None:
        """Take a line of a traceback: frames and source are indented, the exception is not."""
        if (frame := _FRAME.match(text)) is not None:
            if is_better_place(frame["file"], self._place.file if self._place is not None else None):
                self._place = _place(frame)
        elif text and not text.startswith((" ", "\t")):
            raised = _RAISED.match(text)
            is_other = raised is None or raised["type"] in _LEVELS
            if is_other and not self._is_bare and self._between < MOST_BETWEEN:
                self._between += 1
                return
            if raised is not None and self._place is not None and (not self._is_bare or raised["type"] in _OF_SYNTAX):
                self._pending = self._error(line, raised["type"], raised["message"], self._place)
            self._is_inside, self._place = False, None

    def _outside(self, line: LogLine, text: str) -> list[Raised]:
        if self._pending is not None:
            if text in _CHAINED:
                self._is_chained = True
            if not text or text in _CHAINED:
                return []
        done = [self._pending] if self._pending is not None else []
        self._pending, self._is_chained = None, False
        if self._script is not None and (frame := _SCRIPT_FRAME.match(text)) is not None:
            done.append(self._error(line, *self._script, _place(frame)))
        self._script = None
        if text.startswith("  File ") and (frame := _FRAME.match(text)) is not None and not frame["function"]:
            self._is_inside, self._is_bare, self._place = True, True, _place(frame)  # a script that cannot be compiled has no header
        elif ("Error" in text or "Exception" in text) and (script := _SCRIPT_ERROR.match(text)) is not None:
            self._script = script["type"], script["message"] or ""
        return done

    def _error(self, line: LogLine, type_name: str, message: str | None, place: Place) -> Raised:
        return Raised(line.time, line.bot, line.generation, type_name, (message or "")[:LONGEST_MESSAGE], place)


def _shape(text: str) -> str:
    return _DIGIT.sub("0", text)


def _place(frame: re.Match[str]) -> Place:
    return Place(frame["file"], int(frame["line"]), frame["function"] or "")
