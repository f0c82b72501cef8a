"""Reading logs: merged by time, framed with bounded memory, safe to show, followed through everything logd does."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.logfleet import wait_for

from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process import compact, logindex, logview
from processsupervisor.process.logframe import LONGEST_LINE, Framer, make_safe, show
from processsupervisor.process.logindex import Gap
from processsupervisor.process.segments import Stream


class Writer:
    """Writes as logd does, with a clock that the test sets."""

    def __init__(self, paths: FleetPaths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = paths
        self.now = 1_000_000.0
        self.streams: dict[tuple[str, str], Stream] = {}
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        monkeypatch.setattr("time.time", lambda: self.now)

    def put(self, bot: str, data: bytes, *, stream: str = "stdout", generation: int = 1, max_bytes: int = 1 << 30) -> None:
        """Store `data` one second after what was stored before."""
        self.now += 1.0
        target = self.stream(bot, stream)
        target.max_bytes = max_bytes
        for at in range(0, len(data), 4096):  # as much as any pipe holds, also that of a user with many pipes
            piece = data[at : at + 4096]
            os.write(self.writing, piece)
            left = len(piece)
            while left:
                left -= target.take(self.reading, left, generation)
        target.close()  # so that the next record is not saved for being too young

    def stream(self, bot: str, stream: str = "stdout") -> Stream:
        """Return the stream of a bot."""
        key = bot, stream
        if key not in self.streams:
            self.streams[key] = Stream(str(self.paths.bot_logs(bot)), stream, 1 << 30, 10_000)
        return self.streams[key]

    def rotate(self, bot: str, stream: str = "stdout", *, compacted: bool = False) -> None:
        """Close the active segment."""
        target = self.stream(bot, stream)
        target.rotate()
        if compacted:
            assert compact.compact(logindex.closed_log(target.folder, stream, target.number - 1)) == 0


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Logs in an empty fleet folder."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    writer = Writer(paths, monkeypatch)
    yield writer
    os.close(writer.reading)
    os.close(writer.writing)


def _texts(writer: Writer, *bots: str, **options: object) -> list[str]:
    return [line.text for line in logview.read(writer.paths, bots or ["a"], **options)]  # type: ignore[arg-type]


class Follower:
    """A follower in a thread of its own."""

    def __init__(self, writer: Writer, *bots: str, **options: object) -> None:
        self.texts: list[str] = []
        self._lines = logview.read(writer.paths, bots, follow=True, **options)  # type: ignore[arg-type]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for line in self._lines:
            self.texts.append(line.text)

    def expect(self, *texts: str) -> None:
        """Wait until exactly these lines came."""
        wait_for(lambda: len(self.texts) >= len(texts), f"{len(texts)} lines, have {self.texts[-5:]}")
        assert self.texts == list(texts)


def test_bots_and_streams_are_merged_by_time(writer: Writer) -> None:
    """The order is that of coming in, over segments, forms and bots."""
    for number in range(0, 40, 4):
        writer.put("a", b"%d\n" % number)
        writer.put("b", b"%d\n" % (number + 1))
        writer.put("a", b"%d\n" % (number + 2), stream="stderr")
        writer.put("b", b"%d\n" % (number + 3), stream="stderr")
        if number % 12 == 0:
            writer.rotate("a", compacted=True)
            writer.rotate("b", "stderr")
    lines = list(logview.read(writer.paths, ["a", "b", "a"]))
    assert [line.text for line in lines] == [str(n) for n in range(40)]
    assert [(line.bot, line.stream) for line in lines[:4]] == [("a", "stdout"), ("b", "stdout"), ("a", "stderr"), ("b", "stderr")]
    assert lines[1].time - lines[0].time == pytest.approx(1.0)


def test_a_bot_without_a_log_has_no_lines(writer: Writer) -> None:
    """Nothing is made, nothing is raised."""
    assert _texts(writer, "none") == []
    assert logview.tail_lines(writer.paths, "none", 1, 20) == []
    assert not writer.paths.bot_logs("none").exists()


def test_a_line_goes_on_over_segments(writer: Writer) -> None:
    """A line that was too long to be moved at a rotation is shown as one."""
    writer.put("a", b"x" * 5000)
    writer.rotate("a")
    writer.put("a", b"y" * 10 + b"\nnext\n")
    assert _texts(writer) == ["x" * 5000 + "y" * 10, "next"]


@pytest.mark.parametrize("tail", [0, 1, 2, 5, 11, 12, 13, 1000])
def test_tail_shows_the_newest_lines_of_each_bot(writer: Writer, tail: int) -> None:
    """`tail` counts a bot's lines over its streams, segments and forms; a line without an end counts too."""
    for number in range(12):
        writer.put("a", b"%d\n" % number, stream="stdout" if number % 3 else "stderr")
        if number in (3, 7):
            writer.rotate("a", compacted=number == 3)
    writer.put("a", b"open end")
    writer.put("b", b"b\n")
    everything = [*(str(n) for n in range(12)), "open end"]
    expected = everything[len(everything) - min(tail, 13) :] + (["b"] if tail else [])
    assert _texts(writer, "a", "b", tail=tail) == expected


def test_since_leaves_out_what_is_older(writer: Writer) -> None:
    """A line counts by when it began to come in; whole segments are passed over."""
    for number in range(10):
        writer.put("a", b"%d\n" % number)
        if number in (2, 5):
            writer.rotate("a", compacted=number == 2)
    now = writer.now
    for age, first in ((0.5, 9), (3.5, 6), (4.5, 5), (8.5, 1), (100.0, 0)):
        assert _texts(writer, since_s=age) == [str(n) for n in range(first, 10)]
    writer.now = now + 100
    assert _texts(writer, since_s=50.0) == []
    assert _texts(writer, since_s=1000.0, tail=2) == ["8", "9"]


def test_grep_chooses_and_counts_before_tail(writer: Writer) -> None:
    """The pattern sees redacted text; `tail` takes the last of what matches; a bad pattern is a usage error at once."""
    writer.put("a", b"apple\npear\napple pie token=hunter2\npear\nplum\n")
    assert _texts(writer, grep="^apple") == ["apple", "apple pie token=[redacted]"]
    assert _texts(writer, grep="apple|plum", tail=2) == ["apple pie token=[redacted]", "plum"]
    assert _texts(writer, grep="hunter2") == []
    assert _texts(writer, generation=1, grep="plum") == ["plum"] and _texts(writer, generation=2) == []
    with pytest.raises(UsageError, match="regular expression"):
        logview.read(writer.paths, ["a"], grep="(")


def test_a_line_of_ten_megabytes_is_shown_cut_with_bounded_memory(writer: Writer) -> None:
    """64 KiB of it and the number of bytes that are left out."""
    size = 10_000_000
    writer.put("a", b"z" * size + b"\nafter\n")
    tracemalloc.start()
    long, after = _texts(writer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert long == "z" * LONGEST_LINE + f" [{size - LONGEST_LINE} bytes cut]"
    assert after == "after"
    assert peak < 4_000_000


def test_bytes_that_are_not_text_are_shown_as_such(writer: Writer) -> None:
    """Invalid UTF-8 becomes \\xNN, valid stays."""
    writer.put("a", b"caf\xc3\xa9 \xff\xfe \xc3(\n")
    assert _texts(writer) == ["caf\u00e9 \\xff\\xfe \\xc3("]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain\ttab", "plain\ttab"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J\x1b[1;1H", "\\x1b[2J\\x1b[1;1H"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\rb\x08\x7f", "a\\x0db\\x08\\x7f"),
        ("\x9b31m \u202eevil\u2066", "\\x9b31m \\u202eevil\\u2066"),
        ("\u2028", "\\u2028"),
        ("\u00e9\u4e2d\U0001f600", "\u00e9\u4e2d\U0001f600"),
    ],
)
def test_nothing_reaches_the_terminal_that_could_steer_it(text: str, safe: str) -> None:
    """Control characters and directional overrides are made visible."""
    assert make_safe(text) == safe


def test_colours_are_kept_only_when_asked_for() -> None:
    """SGR sequences stay, all else is made visible, and the line ends reset."""
    text = "\x1b[1;31mred\x1b[0m \x1b[2J\x1b]0;t\x07"
    assert make_safe(text, colour=True) == "\x1b[1;31mred\x1b[0m \\x1b[2J\\x1b]0;t\\x07\x1b[0m"
    assert make_safe("plain", colour=True) == "plain"


def test_secrets_of_the_caller_and_over_the_cut_are_redacted(writer: Writer) -> None:
    """Known values go; a secret that the cut would halve is recognised whole."""
    writer.put("a", b"value correct-horse here\n")
    assert _texts(writer, secrets=["correct-horse"]) == ["value [redacted] here"]
    key = b"sk-" + b"abcdefgh" * 20
    shown = show(b"x " * (LONGEST_LINE // 2 - 10) + key + b" end")
    assert "sk-" not in shown


def test_gaps_are_lines_in_their_place(writer: Writer) -> None:
    """What was lost is shown where it is missing, with how much and why, also under grep."""
    writer.put("a", b"before\npart")
    for reason in Gap:
        writer.stream("a").lose(1234, reason, 1)
    writer.put("a", b"after\n")
    expected = [
        "before",
        "part",
        "-- 1234 bytes dropped (disk full) --",
        "-- 1234 bytes dropped (nothing read the output) --",
        "-- 1234 bytes of older output dropped (log limits) --",
        "after",
    ]
    assert _texts(writer) == expected
    writer.rotate("a", compacted=True)
    assert _texts(writer) == expected
    assert _texts(writer, grep="nothing at all") == expected[2:5]


def test_without_an_index_every_line_is_shown_all_the_same(writer: Writer) -> None:
    """Times are lost with the index, text is not."""
    writer.put("a", b"one\n")
    writer.rotate("a")
    writer.put("a", b"two\n")
    for path in writer.paths.bot_logs("a").glob("*.idx"):
        path.unlink()
    assert sorted(_texts(writer)) == ["one", "two"]


def test_tail_lines_are_those_of_one_generation(writer: Writer) -> None:
    """The last lines of both streams, out of the last 64 KiB, in the order of time."""
    writer.put("a", b"old\n" * 30, generation=1)
    writer.put("a", b"x\n" * 100_000 + b"out 1\n", generation=2)
    writer.put("a", b"err 1\npassword=hunter2\n", generation=2, stream="stderr")
    writer.put("a", b"out 2", generation=2)
    writer.put("a", b"young\n", generation=3)
    assert logview.tail_lines(writer.paths, "a", 2, 5) == ["x", "out 1", "err 1", "password=[redacted]", "out 2"]
    assert logview.tail_lines(writer.paths, "a", 3, 5) == ["young"]
    assert logview.tail_lines(writer.paths, "a", 9, 5) == []


def test_tail_lines_reach_back_over_a_rotation(writer: Writer) -> None:
    """The end of a generation just before a rotation is found."""
    writer.put("a", b"one\ntwo\n")
    writer.rotate("a")
    writer.put("a", b"three\n")
    assert logview.tail_lines(writer.paths, "a", 1, 2) == ["two", "three"]


def test_following_goes_through_rotation_and_compaction(writer: Writer) -> None:
    """Every line once, also when a part of a line was read before it moved to the next segment."""
    writer.put("a", b"0\n1\npa")
    follower = Follower(writer, "a")
    follower.expect("0", "1")
    writer.put("a", b"rt")
    writer.rotate("a")
    writer.put("a", b" one\n2\n")
    follower.expect("0", "1", "part one", "2")
    writer.rotate("a", compacted=True)
    writer.put("a", b"3\n")
    writer.rotate("a", compacted=True)
    writer.rotate("a", compacted=True)
    writer.put("a", b"4\n")
    follower.expect("0", "1", "part one", "2", "3", "4")


def test_following_picks_up_bots_that_come_later(writer: Writer) -> None:
    """A bot without a log is followed from its first line."""
    writer.put("a", b"a\n")
    follower = Follower(writer, "a", "later")
    follower.expect("a")
    writer.put("later", b"hello\n", stream="stderr")
    follower.expect("a", "hello")


@pytest.mark.parametrize("options", [{"tail": 0}, {"since_s": 0.5}])
def test_following_can_begin_with_what_comes(writer: Writer, options: dict[str, object]) -> None:
    """Nothing old, everything new, though the old segment goes on being written."""
    writer.put("a", b"old\n")
    writer.now += 100
    follower = Follower(writer, "a", "b", **options)
    deadline_line = 0

    def is_following() -> bool:
        nonlocal deadline_line
        deadline_line += 1
        writer.put("b", b"%d\n" % deadline_line)
        return bool(follower.texts)

    wait_for(is_following, "the follower to begin")
    writer.put("a", b"new\n")
    wait_for(lambda: "new" in follower.texts, "the new line")
    assert "old" not in follower.texts


@pytest.mark.parametrize("deed", ["truncate", "delete"])
def test_following_survives_a_log_that_somebody_cut(writer: Writer, deed: str) -> None:
    """After the file was emptied or deleted, what comes next is shown once."""
    writer.put("a", b"one\ntwo\nthree\n")
    follower = Follower(writer, "a")
    follower.expect("one", "two", "three")
    log = writer.paths.bot_logs("a") / "stdout.log"
    if deed == "truncate":
        os.truncate(log, 0)
    else:
        log.unlink()
    writer.put("a", b"x\n")
    follower.expect("one", "two", "three", "x")


def test_following_shows_a_growing_gap_as_it_grows(writer: Writer) -> None:
    """A gap is counted on in one record; the follower shows what came to it, and no byte twice."""
    writer.put("a", b"one\n")
    follower = Follower(writer, "a")
    writer.stream("a").lose(10, Gap.DISK, 1)
    follower.expect("one", "-- 10 bytes dropped (disk full) --")
    writer.stream("a").lose(5, Gap.DISK, 1)
    follower.expect("one", "-- 10 bytes dropped (disk full) --", "-- 5 bytes dropped (disk full) --")


def test_reading_ends_while_the_bot_goes_on_writing(writer: Writer) -> None:
    """Without follow, what was stored at the call is all there is."""
    writer.put("a", b"one\ntwo\n")
    lines = logview.read(writer.paths, ["a"])
    assert next(lines).text == "one"
    writer.put("a", b"three\n")
    assert [line.text for line in lines] == ["two"]


def test_the_framer_joins_any_pieces() -> None:
    """However the text is cut, the lines are the same."""
    text = b"".join(b"line %d\n" % n for n in range(50)) + b"rest"
    for size in (1, 2, 7, 1000):
        framer = Framer()
        found = [line for at in range(0, len(text), size) for line, _, _ in framer.feed(text[at : at + size])]
        assert found == text.split(b"\n")[:-1]
        assert framer.flush() == (b"rest", 0)
