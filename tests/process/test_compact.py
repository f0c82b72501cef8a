"""Compaction of a closed segment: redacted, nothing else changed, whole in one form whatever is killed when."""

from __future__ import annotations

import fcntl
import gzip
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from processsupervisor.process import compact, logview
from processsupervisor.process.logindex import RECORD, Kind, closed_log, list_closed
from processsupervisor.process.segments import Stream

LINES = [b"plain line %d" % n if n % 50 else b"BOT_TOKEN=hunter2-%d and more" % n for n in range(5000)]
EXPECTED = [line.decode() if n % 50 else "BOT_TOKEN=[redacted] and more" for n, line in enumerate(LINES)]


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A closed raw segment with its index, in the place where logd has it."""
    folder = tmp_path / ".psv" / "logs" / "bots" / "a"
    stream = Stream(str(folder), "stdout", 1 << 30, 9)
    reading, writing = os.pipe()
    for at in range(0, len(LINES), 100):
        data = b"".join(line + b"\n" for line in LINES[at : at + 100])
        os.write(writing, data)
        left = len(data)
        while left:
            left -= stream.take(reading, left, 1 + at // 2500)
    stream.end(2)
    stream.rotate()
    stream.close()
    os.close(reading)
    os.close(writing)
    return Path(closed_log(str(folder), "stdout", 1))


def _shown(segment: Path) -> list[str]:
    from processsupervisor.kernel.paths import FleetPaths

    return [line.text for line in logview.read(FleetPaths(segment.parents[4]), ["a"])]


def test_the_compacted_segment_says_the_same_without_secrets(segment: Path) -> None:
    """As a program of its own: the raw form is gone, lines, times and generations are as before."""
    from processsupervisor.kernel.paths import FleetPaths

    paths = FleetPaths(segment.parents[4])
    before = list(logview.read(paths, ["a"]))
    argv = [sys.executable, "-P", "-m", "processsupervisor.process.compact", str(segment)]
    assert subprocess.run(argv, timeout=60, check=False).returncode == 0
    assert not segment.exists()
    assert b"hunter2" not in gzip.decompress(segment.with_name(segment.name + ".gz").read_bytes())
    after = list(logview.read(paths, ["a"]))
    assert after == before
    assert [line.text for line in after] == EXPECTED
    assert sorted(p.name for p in segment.parent.iterdir()) == ["stdout.000001.gz.idx", "stdout.000001.log.gz"]


def test_compacting_again_or_what_is_gone_does_nothing(segment: Path) -> None:
    """A segment that a limit dropped, or that another run did, is no failure."""
    assert compact.compact(str(segment)) == 0
    assert compact.compact(str(segment)) == 0
    assert compact.compact(str(segment.with_name("other.txt"))) != 0
    assert _shown(segment) == EXPECTED


def test_two_runs_exclude_each_other(segment: Path) -> None:
    """While one run holds the raw file the other leaves it alone."""
    with segment.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert compact.compact(str(segment)) == 0
        assert list_closed(str(segment.parent))["stdout"] == {1: True}


def _die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = itertools.count()

    def dying(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(counter) == step:
                os._exit(0)
            return original(*args, **kwargs)

        return call

    for name in ("rename", "unlink", "fsync", "utime"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    monkeypatch.setattr(compact, "redact_bytes", dying(compact.redact_bytes))


@pytest.mark.parametrize("step", [0, 1, 50, *range(100, 116)])
def test_a_kill_at_any_point_leaves_one_whole_form(segment: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A reader sees every line once after the kill, and the next run finishes the work."""
    child = os.fork()
    if child == 0:
        try:
            _die_at(step, monkeypatch)
            compact.compact(str(segment))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert _shown(segment) == EXPECTED
    assert compact.compact(str(segment)) == 0
    assert _shown(segment) == EXPECTED
    assert not segment.exists()


def test_kills_at_random_instants_leave_one_whole_form(segment: Path) -> None:
    """The real child, SIGKILLed ever later, until one run is left to finish."""
    argv = [sys.executable, "-P", "-m", "processsupervisor.process.compact", str(segment)]
    for number in range(12):
        with subprocess.Popen(argv) as child:
            try:
                child.wait(0.05 + number * 0.02)
            except subprocess.TimeoutExpired:
                child.kill()
        assert _shown(segment) == EXPECTED
    assert subprocess.run(argv, timeout=60, check=False).returncode == 0
    assert _shown(segment) == EXPECTED


def test_a_segment_dropped_meanwhile_does_not_come_back(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention removes the raw form while it is being compacted: nothing of it is left."""
    original = os.utime

    def drop(*args: object, **kwargs: object) -> None:
        original(*args, **kwargs)  # type: ignore[arg-type]
        segment.unlink()

    monkeypatch.setattr(os, "utime", drop)
    assert compact.compact(str(segment)) == 0
    assert list(segment.parent.iterdir()) == []


def test_without_room_the_raw_segment_stays(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the run ends with "later" and cleans up after itself."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(segment.parent.iterdir())
    assert compact.compact(str(segment)) == os.EX_TEMPFAIL
    assert sorted(segment.parent.iterdir()) == before


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"no end", b"\xff\xfe bytes \x80\r\nmore\r", b"x" * 3_000_000 + b"\ny", b"a b " * 700_000 + b"password=hunter2\nend"],
)
def test_bytes_that_are_no_secret_are_kept_exactly(data: bytes) -> None:
    """Invalid UTF-8, carriage returns and lines of megabytes come out as they went in."""
    target = io.BytesIO()
    compact.rewrite(io.BytesIO(data), target)
    assert target.getvalue() == data.replace(b"hunter2", b"[redacted]")


def test_offsets_follow_the_text() -> None:
    """The index of the redacted text points to the same lines as that of the raw one."""
    data = b"".join(b"%d " % n + (b"password=%s\n" % (b"x" * (n % 40 + 1)) if n % 3 else b"fine\n") for n in range(500))
    target = io.BytesIO()
    offsets = compact.rewrite(io.BytesIO(data), target)
    raw_lines, new_lines = data.splitlines(keepends=True), target.getvalue().splitlines(keepends=True)
    raw = written = 0
    for old, new in zip(raw_lines, new_lines, strict=True):
        assert offsets.translate(raw) == written
        assert written <= offsets.translate(raw + len(old) // 2) <= written + len(new)
        raw, written = raw + len(old), written + len(new)
    assert offsets.translate(raw) == written
    assert RECORD.size == 32
    assert Kind.SEGMENT == 4
