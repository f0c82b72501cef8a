"""The writing side of a log stream: rotation, recovery from a kill at any step, retention, files that others touch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processsupervisor.process import logfiles, segments
from processsupervisor.process.logindex import RECORD_BYTES, Gap, Kind, Record, gap_bytes
from processsupervisor.process.segments import Stream


@pytest.fixture
def fifo() -> Iterator[tuple[int, int]]:
    """A pipe to write into and to take from."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def _put(stream: Stream, fifo: tuple[int, int], data: bytes, generation: int = 1) -> None:
    os.write(fifo[1], data)
    left = len(data)
    while left:
        left -= stream.take(fifo[0], left, generation)


def _records(path: Path) -> list[Record]:
    data = path.read_bytes()
    return [Record.unpack(data, at) for at in range(0, len(data), RECORD_BYTES)]


def _stored(folder: Path) -> bytes:
    closed = sorted(folder.glob("stdout.0*.log"))
    active = folder / "stdout.log"
    return b"".join(p.read_bytes() for p in closed) + (active.read_bytes() if active.exists() else b"")


def test_segments_end_at_line_ends_and_hold_every_byte_once(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """Whatever pieces come, a closed segment ends with a line end and all of them together are what was written."""
    stream = Stream(str(tmp_path), "stdout", 1000, 10_000)
    text = b"".join(b"line %d %s\n" % (n, b"x" * (n * 7 % 90)) for n in range(1500))
    for at in range(0, len(text), 137):
        _put(stream, fifo, text[at : at + 137])
    stream.close()
    closed = sorted(tmp_path.glob("stdout.0*.log"))
    assert len(closed) > 50
    assert all(p.read_bytes().endswith(b"\n") for p in closed)
    assert max(p.stat().st_size for p in closed) <= 1000 + 4096
    assert _stored(tmp_path) == text


def test_a_line_longer_than_a_segment_is_cut_but_kept(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """Where there is no line end to cut at, the line goes on in the next segment."""
    stream = Stream(str(tmp_path), "stdout", 1000, 100)
    for _ in range(20):
        _put(stream, fifo, b"y" * 300)
    _put(stream, fifo, b"\nend\n")
    stream.close()
    assert _stored(tmp_path) == b"y" * 6000 + b"\nend\n"


def test_old_segments_beyond_keep_are_removed_with_their_indexes(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """`keep` closed segments stay, the newest ones; numbers go on."""
    stream = Stream(str(tmp_path), "stdout", 100, 2)
    for number in range(40):
        _put(stream, fifo, b"line %02d %s\n" % (number, b"x" * 40))
    stream.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len([n for n in names if n.startswith("stdout.0")]) == 4
    assert _stored(tmp_path).endswith(b"line 39 " + b"x" * 40 + b"\n")
    again = Stream(str(tmp_path), "stdout", 100, 2)
    again.rotate()
    assert again.number > stream.number


def _die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process die before its `step`-th change of a file's name or size."""
    counter = itertools.count()

    def dying(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(counter) == step:
                os._exit(0)
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "rename", dying(os.rename))
    monkeypatch.setattr(os, "ftruncate", dying(os.ftruncate))
    monkeypatch.setattr(os, "unlink", dying(os.unlink))
    monkeypatch.setattr(segments, "write_file", dying(logfiles.write_file))
    monkeypatch.setattr(segments, "open_regular", dying(logfiles.open_regular))


@pytest.mark.parametrize("tail", [b"", b"part of a line"])
@pytest.mark.parametrize("step", range(9))
def test_a_kill_at_any_step_of_a_rotation_loses_and_repeats_nothing(
    tmp_path: Path, fifo: tuple[int, int], monkeypatch: pytest.MonkeyPatch, step: int, tail: bytes
) -> None:
    """The next writer finds the bytes as if the rotation had been done or not begun, and each line's number stays one."""
    first = b"one\ntwo\n" * 40 + tail
    stream = Stream(str(tmp_path), "stdout", 200, 1)
    _put(stream, fifo, b"older\n" * 40)
    _put(stream, fifo, first)
    os.write(fifo[1], b"after\n")
    child = os.fork()
    if child == 0:
        try:
            _die_at(step, monkeypatch)
            stream.take(fifo[0], 6, 1)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    stream.close()
    again = Stream(str(tmp_path), "stdout", 200, 1)
    os.write(fifo[1], b"last\n")
    while True:
        try:
            again.take(fifo[0], 100, 1)
        except BlockingIOError:
            break
    again.close()
    stored = _stored(tmp_path).removeprefix(b"older\n" * 40)
    assert stored == first + b"after\nlast\n"
    assert not (tmp_path / "stdout.next").exists()
    for log in tmp_path.glob("stdout.0*.log"):
        assert log.with_suffix(".idx").exists()


def test_the_index_tells_generation_and_segment(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """A generation's first bytes get a start record with its pid, its end an end record; a new segment says its number."""
    stream = Stream(str(tmp_path), "stdout", 10_000, 5)
    stream.set_pid(1, 4711)
    _put(stream, fifo, b"a\n", 1)
    _put(stream, fifo, b"b\n", 2)
    stream.set_pid(2, 4712)
    stream.end(2)
    stream.close()
    records = _records(tmp_path / "stdout.idx")
    assert [(r.kind, r.offset, r.amount) for r in records] == [
        (Kind.SEGMENT, 0, 1),
        (Kind.START, 0, 4711),
        (Kind.START, 2, 4712),
        (Kind.END, 4, 0),
    ]


def test_the_index_grows_by_time_not_by_lines(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """A burst shares one record per 10 ms."""
    stream = Stream(str(tmp_path), "stdout", 1 << 20, 5)
    for _ in range(2000):
        _put(stream, fifo, b"line\n")
    stream.close()
    assert len(_records(tmp_path / "stdout.idx")) < 500


def test_a_gap_that_goes_on_is_one_record(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """Bytes lost at one place are counted together, and again from anew after bytes were stored."""
    stream = Stream(str(tmp_path), "stdout", 1 << 20, 5)
    _put(stream, fifo, b"a\n")
    stream.lose(10, Gap.DISK, 1)
    stream.lose(5, Gap.DISK, 1)
    _put(stream, fifo, b"b\n")
    stream.lose(1, Gap.DISK, 1)
    stream.close()
    gaps = [(r.offset, gap_bytes(r.amount)) for r in _records(tmp_path / "stdout.idx") if r.kind == Kind.GAP]
    assert gaps == [(2, 15), (4, 1)]


@pytest.mark.parametrize("deed", ["delete", "rename", "delete both", "delete index", "truncate", "folder"])
def test_files_that_somebody_touched_are_made_anew(
    tmp_path: Path, fifo: tuple[int, int], monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    """Whoever deletes, moves or cuts a log while it is written loses what was in it, and nothing that comes after."""
    monkeypatch.setattr(segments, "_CHECK_EVERY_S", 0.0)
    folder = tmp_path / "bot"
    stream = Stream(str(folder), "stdout", 1 << 20, 5)
    _put(stream, fifo, b"before\n" * 100)
    log, index = folder / "stdout.log", folder / "stdout.idx"
    match deed:
        case "delete":
            log.unlink()
        case "rename":
            log.rename(folder / "mine")
        case "delete both":
            log.unlink()
            index.unlink()
        case "delete index":
            index.unlink()
        case "truncate":
            os.truncate(log, 0)
        case "folder":
            folder.rename(tmp_path / "elsewhere")
    _put(stream, fifo, b"after\n")
    stream.close()
    expected = b"before\n" * 100 + b"after\n" if deed == "delete index" else b"after\n"
    assert log.read_bytes() == expected
    records = _records(index)
    assert records[0].kind == Kind.SEGMENT
    assert records[-1].offset == len(expected) - len(b"after\n")


def test_what_cannot_be_written_stays_in_the_fifo(tmp_path: Path, fifo: tuple[int, int]) -> None:
    """A folder where the log should be: take raises, the bytes are still there when it is gone."""
    (tmp_path / "stdout.log").mkdir()
    stream = Stream(str(tmp_path), "stdout", 1 << 20, 5)
    os.write(fifo[1], b"patient\n")
    with pytest.raises(OSError, match=r"stdout\.log|irectory"):
        stream.take(fifo[0], 100, 1)
    (tmp_path / "stdout.log").rmdir()
    assert stream.take(fifo[0], 100, 1) == 8
    stream.close()
    assert _stored(tmp_path) == b"patient\n"


def test_a_file_system_without_splice_is_served_by_copying(
    tmp_path: Path, fifo: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """EINVAL of splice leads to read and write with the same result."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "splice", refuse)
    stream = Stream(str(tmp_path), "stdout", 100, 100)
    for number in range(50):
        _put(stream, fifo, b"line %d\n" % number)
    stream.close()
    assert _stored(tmp_path) == b"".join(b"line %d\n" % n for n in range(50))
