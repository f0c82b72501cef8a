"""Read one stream of one bot, segment after segment, as lines with their time and generation. Used by logview.

Goes on where it stands whatever logd does meanwhile (rotation, compaction, retention), so that a follower neither loses
nor repeats a line. Merging several streams and choosing lines is logview's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from processsupervisor.launch.known import known_by_logs
from processsupervisor.process.logframe import Framer, show
from processsupervisor.process.logindex import Kind, Record, active_log, gap_bytes, gap_words, list_closed
from processsupervisor.process.logsegment import Segment, is_same_file, newest_number, open_segment


class LogLine(NamedTuple):
    """One line as shown; `time` is epoch seconds, `stream` "stdout" or "stderr". A gap is a line of its own."""

    time: float
    bot: str
    stream: str
    pid: int | None
    generation: int
    text: str
    is_gap: bool = False


class Style(NamedTuple):
    """How lines are shown."""

    colour: bool = False
    secrets: Sequence[str] = ()
    chunk_bytes: int = 256 * 1024


class StreamReader:
    """A position in one stream. `read_batch` returns what comes next, nothing when that is all for now."""

    def __init__(self, folder: str, bot: str, stream: str, style: Style) -> None:
        self._folder, self._bot, self._stream, self._style = folder, bot, stream, style
        self._framer = Framer()
        self._segment: Segment | None = None
        self._number = 0
        self._next_record = 0
        self._at: float | None = None
        self._generation = 0
        self._pid: int | None = None
        self._start_record = self._gap_record = -1
        self._gap_shown = 0
        self._line_start: tuple[float, int, int | None] | None = None
        self._skips_part = False
        self._limit: tuple[int, int] | None = None
        self._secrets: Sequence[str] = style.secrets

    # -- where to begin and to end

    def stop_at_present_end(self) -> None:
        """Read up to what is stored now, however fast the bot writes."""
        number = newest_number(self._folder, self._stream)
        segment = open_segment(self._folder, self._stream, number - 1) if number else None
        self._limit = (segment.number, segment.size()) if segment is not None else (0, 0)
        if segment is not None:
            segment.close()

    def go_on(self) -> None:
        """Lift the end set by `stop_at_present_end`."""
        self._limit = None

    def begin_lines_back(self, wanted: int) -> None:
        """Begin `wanted` lines before the present end (0: at the end)."""
        left = wanted
        for segment in self._backwards():
            position, found = (segment.size(), 0) if not left else segment.count_lines_back(left)
            left -= found
            if left <= 0:
                self._begin_in(segment, position)
                return
            segment.close()

    def begin_bytes_back(self, wanted: int) -> None:
        """Begin about `wanted` bytes before the present end."""
        left = wanted
        for segment in self._backwards():
            size = segment.size()
            if size >= left:
                self._begin_in(segment, size - left)
                self._skips_part = size > left
                return
            left -= size
            segment.close()

    def begin_since(self, at: float) -> None:
        """Begin with the first line that came at or after `at`."""
        while (segment := open_segment(self._folder, self._stream, self._number)) is not None:
            segment.refresh()
            last = segment.last_record()
            if segment.is_active or max(segment.modified_at, last.at if last is not None else 0.0) >= at:
                break
            self._number = segment.number
            segment.close()
        if segment is None:
            return
        number = 0
        while (record := segment.record(number)) is not None:
            if record.kind in (Kind.DATA, Kind.START) and record.at >= at:
                self._begin_in(segment, record.offset)
                self._skips_part = record.kind == Kind.DATA and not segment.is_line_start(record.offset)
                return
            number += 1
        if number:  # every record is older
            self._begin_in(segment, segment.size())
        else:
            self._begin_in(segment, 0)

    def _backwards(self) -> Iterator[Segment]:
        number = newest_number(self._folder, self._stream)
        while number > 0:
            segment = open_segment(self._folder, self._stream, number - 1)
            if segment is None:
                return
            yield segment
            number = max((n for n in list_closed(self._folder)[self._stream] if n < number), default=0)

    def _begin_in(self, segment: Segment, position: int) -> None:
        segment.refresh()
        segment.seek(position)
        self._segment, self._number = segment, segment.number
        while (record := segment.record(self._next_record)) is not None and record.offset <= position:
            if record.kind == Kind.GAP and record.offset == position:
                break
            self._apply(record, [])
            self._next_record += 1
        self._framer.flush()

    # -- reading

    def read_batch(self) -> list[LogLine]:
        """Return the next lines; empty when there is nothing more now, or not before the end that was set."""
        while True:
            if self._segment is None:
                if self._limit is not None and self._number >= self._limit[0]:
                    return []
                if not self._open_next(self._number):
                    return []
            segment = self._segment
            assert segment is not None
            most = self._style.chunk_bytes
            if self._limit is not None:
                if segment.number > self._limit[0]:
                    return []
                if segment.number == self._limit[0]:
                    most = min(most, self._limit[1] - segment.position)
            data = segment.read(most) if most > 0 else b""
            if segment.was_active or not self._next_record:
                segment.refresh()
            lines = self._frame(segment, data)
            if lines:
                return lines
            if not data and ((self._limit is not None and segment.number >= self._limit[0]) or not self._advance(segment)):
                return []

    def flush(self) -> list[LogLine]:
        """Return the line that has begun and has no end yet."""
        lines: list[LogLine] = []
        self._flush_part(lines)
        return lines

    def close(self) -> None:
        """Close the files; the reader is done."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _frame(self, segment: Segment, data: bytes) -> list[LogLine]:
        """Cut `data`, which ends at the segment's position, into lines; applies the index records up to there."""
        if data:  # a start may have added some since
            self._secrets = (*known_by_logs(self._folder), *self._style.secrets)
        lines: list[LogLine] = []
        end = segment.position
        at = base = end - len(data)
        if self._pid is None and self._start_record >= 0:
            self._pid = segment.fresh_count(self._start_record) or None
        while True:
            record = segment.record(self._next_record)
            stop = end if record is None else min(max(record.offset, at), end)
            if stop > at:
                self._add(data[at - base : stop - base], lines)
                at = stop
            # Past the end of a segment that is closed there are records of bytes that moved to the next one.
            if record is None or (record.offset > end and segment.is_active) or (data and record.offset >= end):
                break
            self._apply(record, lines)
            self._next_record += 1
        self._show_grown_gap(lines)
        return lines

    def _add(self, piece: bytes, lines: list[LogLine]) -> None:
        now = self._now()
        if not self._framer.has_part:
            self._line_start = now
        for line, left_out, _ in self._framer.feed(piece):
            if self._skips_part:
                self._skips_part = False
            else:
                self._emit(line, left_out, lines)
            self._line_start = now

    def _now(self) -> tuple[float, int, int | None]:
        """Return time, generation and pid of what is read now; before the first record those of the next one."""
        if self._at is not None:
            return self._at, self._generation, self._pid
        segment = self._segment
        assert segment is not None
        number = self._next_record
        while (record := segment.record(number)) is not None:
            if record.kind in (Kind.DATA, Kind.START):
                return record.at, record.generation, None
            number += 1
        return segment.modified_at, 0, None

    def _apply(self, record: Record, lines: list[LogLine]) -> None:
        match record.kind:
            case Kind.DATA | Kind.START:
                if self._at is not None and record.generation != self._generation:
                    self._flush_part(lines)
                    self._pid, self._start_record = None, -1
                if record.kind == Kind.START:
                    self._pid, self._start_record = record.amount or None, self._next_record
                self._at, self._generation = record.at, record.generation
            case Kind.GAP:
                self._flush_part(lines)
                self._gap_record, self._gap_shown = self._next_record, 0
                self._show_grown_gap(lines)
            case Kind.END:
                self._flush_part(lines)

    def _show_grown_gap(self, lines: list[LogLine]) -> None:
        """Show a gap, and what came to it since it was shown: logd counts on in the same record."""
        segment = self._segment
        if self._gap_record < 0 or segment is None:
            return
        count = segment.fresh_count(self._gap_record)
        more = gap_bytes(count) - self._gap_shown
        if more > 0:
            record = segment.record(self._gap_record)
            at, generation, _ = self._now()
            at = record.at if record is not None and not self._gap_shown else at
            self._gap_shown = gap_bytes(count)
            words = gap_words(count - gap_bytes(count) + more)
            lines.append(LogLine(at, self._bot, self._stream, self._pid, generation, f"-- {words} --", True))

    def _flush_part(self, lines: list[LogLine]) -> None:
        if self._framer.has_part:
            line, left_out = self._framer.flush()
            if not self._skips_part:
                self._emit(line, left_out, lines)
        self._skips_part = False

    def _emit(self, line: bytes, left_out: int, lines: list[LogLine]) -> None:
        at, generation, pid = self._line_start or self._now()
        text = show(line, left_out, colour=self._style.colour, secrets=self._secrets)
        lines.append(LogLine(at, self._bot, self._stream, pid, generation, text))

    # -- from segment to segment

    def _advance(self, segment: Segment) -> bool:
        """Go on past the segment's present end; False when there is nothing more for now."""
        if not segment.is_active:
            is_replaced = segment.was_active and segment.number not in list_closed(self._folder)[self._stream]
            return self._open_next(segment.number - 1 if is_replaced else segment.number)
        is_same = is_same_file(active_log(self._folder, self._stream), segment)
        if is_same is None:  # between two steps of a rotation, or deleted and not written since
            return False
        if is_same:
            if segment.size() >= segment.position:
                return False
            segment.restart()
            self._next_record = 0
            self._framer.flush()
            return True
        # Another file has the name, so nothing is added to this one any more: what was added before is read first.
        segment.is_active = False
        return True

    def _open_next(self, after: int) -> bool:
        following = open_segment(self._folder, self._stream, after)
        if following is None:
            return False
        if self._segment is not None:
            if self._segment.has_shrunk():
                # The part of a line that was read here moved to the next segment when this one was closed.
                self._framer.flush()
            self._segment.close()
        following.refresh()
        self._segment, self._number = following, following.number
        self._next_record = 0
        self._start_record = self._gap_record = -1
        return True
