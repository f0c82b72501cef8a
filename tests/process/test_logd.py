"""The real logd over real FIFOs, with a stand-in for the keeper: nothing lost or repeated, nobody waits for anybody."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.logfleet import LogFleet, wait_for

from processsupervisor.process import logview
from processsupervisor.process.logindex import RECORD_BYTES, Gap, Kind, Record, gap_bytes


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LogFleet]:
    """A fleet folder with a running logd."""
    fleet = LogFleet(tmp_path)
    fleet.start()
    yield fleet
    fleet.close()


def _gaps(fleet: LogFleet, bot: str, stream: str = "stdout") -> dict[Gap, int]:
    found: dict[Gap, int] = {}
    for path in sorted(fleet.paths.bot_logs(bot).glob(f"{stream}*.idx")):
        data = path.read_bytes()
        for at in range(0, len(data) // RECORD_BYTES * RECORD_BYTES, RECORD_BYTES):
            record = Record.unpack(data, at)
            if record.kind == Kind.GAP:
                reason = Gap(record.amount >> 56)
                found[reason] = found.get(reason, 0) + gap_bytes(record.amount)
    return found


def _texts(fleet: LogFleet, *bots: str, tail: int | None = None) -> list[str]:
    return [line.text for line in logview.read(fleet.paths, bots, tail=tail)]


def _cpu_s(fleet: LogFleet) -> float:
    assert fleet.process is not None
    fields = Path(f"/proc/{fleet.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@pytest.mark.slow
def test_sigkill_of_logd_in_a_flood_loses_and_repeats_no_line(tmp_path: Path) -> None:
    """Numbered lines through several kills and many rotations arrive once each, in order, on both streams and in a follower."""
    fleet = LogFleet(tmp_path, max_bytes=100_000)
    fleet.start()
    count = 150_000
    expected = [f"line {n:07d} of the flood" for n in range(count)]
    followed: list[str] = []

    def follow() -> None:
        for line in logview.read(fleet.paths, ["a"], follow=True):
            if line.stream == "stdout":
                followed.append(line.text)

    def flood(descriptor: int, cut: int) -> None:
        text = "".join(f"{line}\n" for line in expected).encode()
        for number, at in enumerate(range(0, len(text), 3000 + cut)):
            _write_all(descriptor, text[at : at + 3000 + cut])
            if number % 50 == 0:
                time.sleep(0.02)  # so that the flood lasts through several kills

    try:
        writers = [threading.Thread(target=flood, args=(fd, cut)) for fd, cut in zip(fleet.open("a"), (0, 1117), strict=True)]
        for thread in (*writers, threading.Thread(target=follow, daemon=True)):
            thread.start()
        kills = 0
        while any(w.is_alive() for w in writers):
            writers[0].join(0.1)
            if writers[0].is_alive():
                fleet.kill()
                fleet.start()
                kills += 1
        for writer in writers:
            writer.join()
        fleet.drain("a")
        assert kills >= 3
        for stream in ("stdout", "stderr"):
            assert fleet.stored("a", stream).decode().splitlines() == expected
        wait_for(lambda: len(followed) >= count, "the follower to see all lines")
        assert followed == expected
        assert fleet.stop() == 0
    finally:
        fleet.close()


def test_output_is_there_while_the_bot_runs_and_complete_after_a_drain(fleet: LogFleet) -> None:
    """Lines come without an end of file; a drain takes what is in the FIFO and answers once."""
    out, err = fleet.open("a", pid=4711)
    os.write(out, b"one\n")
    os.write(err, b"two\n")
    wait_for(lambda: len(_texts(fleet, "a")) == 2, "the lines")
    os.write(out, b"x" * 10_000 + b"\n")
    fleet.drain("a")
    # Between the streams the order is known to 10 ms only, as often as index records are written.
    lines = sorted(logview.read(fleet.paths, ["a"]), key=lambda line: line.stream, reverse=True)
    assert [(line.stream, line.text[:5], line.pid, line.generation) for line in lines] == [
        ("stdout", "one", 4711, 1),
        ("stdout", "xxxxx", 4711, 1),
        ("stderr", "two", 4711, 1),
    ]


def test_a_silent_bot_leaves_no_file(fleet: LogFleet) -> None:
    """Files are made at the first output only."""
    fleet.open("a")
    fleet.drain("a")
    assert not fleet.paths.bot_logs("a").exists()


def test_a_pid_told_late_is_known_to_readers(fleet: LogFleet) -> None:
    """The op `pid` reaches the generation's start record, before the first output or after it."""
    early, _ = fleet.open("early")
    late, _ = fleet.open("late")
    os.write(late, b"x\n")
    wait_for(lambda: _texts(fleet, "late"), "output")
    for bot, pid in (("early", 11), ("late", 12)):
        fleet.tell({"op": "pid", "bot": bot, "generation": 1, "pid": pid})
    fleet.ping()
    os.write(early, b"x\n")
    wait_for(lambda: _texts(fleet, "early"), "output")
    assert [line.pid for line in logview.read(fleet.paths, ["early", "late"])] == [12, 11]


def test_generations_share_a_file_and_are_told_apart(fleet: LogFleet) -> None:
    """A part of a line that one generation left is not joined with the next one's first line."""
    first, _ = fleet.open("a", 1)
    os.write(first, b"one\npart")
    fleet.drain("a", 1)
    second, _ = fleet.open("a", 2)
    os.write(second, b"two\n")
    fleet.drain("a", 2)
    assert [(line.generation, line.text) for line in logview.read(fleet.paths, ["a"])] == [(1, "one"), (1, "part"), (2, "two")]
    assert logview.tail_lines(fleet.paths, "a", 1, 20) == ["one", "part"]
    assert logview.tail_lines(fleet.paths, "a", 2, 20) == ["two"]


def test_bytes_that_the_keeper_dropped_become_a_gap(fleet: LogFleet) -> None:
    """What was thrown away while no logd was there is shown with its size."""
    out, _ = fleet.open("a", dropped={"out": 1234, "err": 0})
    os.write(out, b"after\n")
    fleet.drain("a")
    assert _texts(fleet, "a") == ["-- 1234 bytes dropped (nothing read the output) --", "after"]


def test_logd_goes_on_without_a_keeper_and_finds_the_next_one(fleet: LogFleet) -> None:
    """Open FIFOs are read while the keeper is away; the new keeper's repetition of what it holds changes nothing."""
    out, _ = fleet.open("a")
    fleet.ping()
    fleet.cut()
    os.write(out, b"meanwhile\n")
    wait_for(lambda: _texts(fleet, "a") == ["meanwhile"], "output without a keeper")
    fleet.accept()
    fleet.ping()
    os.write(out, b"again\n")
    fleet.drain("a")
    assert _texts(fleet, "a") == ["meanwhile", "again"]


def test_a_second_logd_goes_away(fleet: LogFleet) -> None:
    """The lock decides; the second says so and ends with 0."""
    argv = [sys.executable, "-P", "-m", "processsupervisor.process.logd", str(fleet.paths.folder)]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 0
    assert "runs already" in second.stderr


@pytest.mark.parametrize("how", ["stop", "sigterm"])
def test_stopping_stores_what_is_in_the_fifos(fleet: LogFleet, how: str) -> None:
    """Told to stop, or by SIGTERM, logd drains and ends with 0."""
    writers = [fleet.open(f"b{n}")[0] for n in range(20)]
    for writer in writers:
        os.write(writer, b"last words\n" * 300)
    assert fleet.process is not None
    if how == "stop":
        fleet.tell({"op": "stop"})
    else:
        fleet.ping()
        fleet.process.terminate()
    assert fleet.process.wait(20) == 0
    assert all(fleet.stored(f"b{n}") == b"last words\n" * 300 for n in range(20))


def test_a_flooding_bot_does_not_hide_the_others(fleet: LogFleet) -> None:
    """While one bot writes without pause, a line of another is stored and pings are answered."""
    loud, _ = fleet.open("loud")
    quiet, _ = fleet.open("quiet")
    ends = threading.Event()

    def flood() -> None:
        while not ends.is_set():
            os.write(loud, b"noise\n" * 600)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for number in range(20):
            os.write(quiet, b"word\n")
            wait_for(lambda: len(_texts(fleet, "quiet")) == number + 1, "the quiet bot's line")
            fleet.ping()
    finally:
        ends.set()
        thread.join()


def test_five_hundred_bots_cost_nothing_while_silent(fleet: LogFleet) -> None:
    """1,000 FIFOs and more streams than files may be open: every line is stored, and then no CPU is used."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the test holds every FIFO twice, as the keeper would
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2500:
        pytest.skip("needs 2500 open files")
    pairs = [fleet.open(f"bot-{n}") for n in range(500)]
    for _ in range(2):
        for out, err in pairs:
            os.write(out, b"out\n")
            os.write(err, b"err\n")
    wait_for(lambda: all(fleet.paths.bot_logs(f"bot-{n}").exists() for n in range(500)), "all logs")
    fleet.ping()
    assert all(fleet.stored(f"bot-{n}", s) == word * 2 for n in range(500) for s, word in (("stdout", b"out\n"), ("stderr", b"err\n")))
    assert fleet.process is not None
    assert len(os.listdir(f"/proc/{fleet.process.pid}/fd")) < 1000 + 2 * 256 + 50
    before = _cpu_s(fleet)
    time.sleep(1.0)  # the measured stretch, not a wait for anything
    assert _cpu_s(fleet) - before <= 0.02


@pytest.mark.parametrize("deed", ["delete", "replace", "folder in the way"])
def test_a_log_that_somebody_took_away_does_not_stop_the_bot(fleet: LogFleet, deed: str) -> None:
    """Deleted and replaced logs are begun anew; where none can be made, output is dropped and counted until one can."""
    out, _ = fleet.open("a")
    os.write(out, b"before\n")
    wait_for(lambda: _texts(fleet, "a"), "the first line")
    log = fleet.paths.bot_logs("a") / "stdout.log"
    log.unlink()
    if deed == "replace":
        log.write_bytes(b"")
    elif deed == "folder in the way":
        log.mkdir()
    for _ in range(100):
        os.write(out, b"lost?" * 800 + b"\n")
    if deed == "folder in the way":
        fleet.ping()
        log.rmdir()

    def is_back() -> bool:
        os.write(out, b"after\n")
        return log.is_file() and b"after\n" in log.read_bytes()

    wait_for(is_back, "a new log")
    if deed == "folder in the way":
        assert _gaps(fleet, "a")[Gap.DISK] >= 350_000
        assert _texts(fleet, "a")[0].endswith("bytes dropped (disk full) --")


def test_no_part_of_a_long_line_is_lost(fleet: LogFleet) -> None:
    """10 MB without a line end are stored as they are."""
    out, _ = fleet.open("a")
    data = bytes(range(1, 10)) * 1_200_000
    data = data.replace(b"\n", b"")
    _write_all(out, b"[" + data + b"]\n")
    fleet.drain("a")
    assert fleet.stored("a") == b"[" + data + b"]\n"


@pytest.mark.root
def test_a_full_disk_stops_no_bot_and_is_counted(tmp_path: Path) -> None:
    """On a tmpfs of 2 MB a flood goes through; what is stored and what is counted as dropped is all that was written."""
    fleet = LogFleet(tmp_path, max_bytes=500_000)
    logs = fleet.paths.logs / "bots"
    mounted = shutil.which("mount") and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(logs)], check=False).returncode == 0
    if not mounted:
        fleet.close()
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (logs / "filler").write_bytes(b"x" * 1_900_000)
        fleet.start()
        fleet.tell({"op": "limits", "total_bytes": 1 << 30, "disk_free_percent": 0.0})
        out, _ = fleet.open("a")
        flood = b"".join(b"line %06d\n" % n for n in range(100_000))
        _write_all(out, flood)
        fleet.ping()
        (logs / "filler").unlink()
        os.write(out, b"room again\n")
        fleet.drain("a")
        stored, gaps = fleet.stored("a"), _gaps(fleet, "a")
        assert gaps[Gap.DISK] > 500_000
        assert len(stored) + sum(gaps.values()) == len(flood) + len(b"room again\n")
        assert flood.startswith(stored[: stored.index(b"room again")][:50_000])
        texts = _texts(fleet, "a")
        assert texts[-1] == "room again"
        assert any(text.endswith("(disk full) --") for text in texts)
    finally:
        fleet.close()
        subprocess.run(["umount", "-l", str(logs)], check=True)


def test_a_limit_of_file_size_is_a_full_disk(tmp_path: Path) -> None:
    """Where the kernel refuses to let files grow, output is dropped and counted, and small bots go on logging."""
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    fleet = LogFleet(tmp_path)
    try:
        fleet.start(preexec_fn=limit)
        out, _ = fleet.open("a")
        other, _ = fleet.open("b")
        _write_all(out, b"0123456789\n" * 50_000)
        os.write(other, b"fine\n")
        fleet.drain("a")
        wait_for(lambda: _texts(fleet, "b") == ["fine"], "the other bot's line")
        stored = fleet.stored("a")
        assert 90_000 < len(stored) <= 100_000
        assert len(stored) + _gaps(fleet, "a")[Gap.DISK] == 550_000
    finally:
        fleet.close()


def test_the_fleet_stays_below_its_limit(fleet: LogFleet) -> None:
    """Past `total_bytes` the bot that logs most gives its oldest segments, a small one keeps its own."""
    fleet.logs["max_bytes"] = 100_000
    loud, _ = fleet.open("loud")
    small, _ = fleet.open("small")
    os.write(small, b"precious\n")
    _write_all(loud, os.urandom(1 << 20).hex().encode())
    _write_all(loud, b"\nend\n")
    fleet.ping()
    fleet.tell({"op": "limits", "total_bytes": 300_000, "disk_free_percent": 0.0})
    logs = fleet.paths.logs / "bots"

    def used() -> int:
        return sum(p.stat().st_size for p in logs.rglob("*") if p.is_file())

    wait_for(lambda: used() <= 300_000 + 4096, "the logs to shrink")
    assert fleet.stored("small") == b"precious\n"
    assert _gaps(fleet, "loud")[Gap.LIMIT] > 500_000


def test_closed_segments_are_compacted_without_secrets(tmp_path: Path) -> None:
    """Soon after a rotation no closed segment holds a secret or stands raw, also those that an earlier logd left."""
    fleet = LogFleet(tmp_path, max_bytes=5000)
    folder = fleet.paths.bot_logs("a")

    def raw() -> list[Path]:
        return list(folder.glob("stdout.0*.log"))

    try:
        fleet.start()
        out, _ = fleet.open("a")
        expected = []
        for number in range(600):
            os.write(out, b"line %d password=hunter2\n" % number)
            expected.append(f"line {number} password=[redacted]")
        fleet.ping()
        fleet.kill()
        fleet.start()
        wait_for(lambda: len(_texts(fleet, "a")) >= len(expected), "all lines to be stored", 60)
        wait_for(lambda: not raw(), "all closed segments to be compacted", 60)
        assert _texts(fleet, "a") == expected
        assert b"hunter2" not in b"".join(fleet.stored("a").splitlines(keepends=True)[:300])
    finally:
        fleet.close()


def _size(path: Path) -> int:
    """Return the size of a file that logd may delete in this moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.root
def test_below_the_wanted_free_space_the_oldest_output_goes(tmp_path: Path) -> None:
    """With half of a tmpfs to stay free, closed segments are dropped and counted; the newest lines stay."""
    fleet = LogFleet(tmp_path, max_bytes=500_000)
    logs = fleet.paths.logs / "bots"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(logs)], check=False).returncode != 0:
        fleet.close()
        pytest.skip("needs the right to mount a tmpfs")
    try:
        fleet.start()
        out, _ = fleet.open("a")
        _write_all(out, b"".join(os.urandom(50).hex().encode() + b"\n" for _ in range(50_000)) + b"newest\n")
        fleet.ping()
        fleet.tell({"op": "limits", "total_bytes": 1 << 30, "disk_free_percent": 70.0})
        wait_for(lambda: sum(map(_size, logs.rglob("*.*"))) < 2_500_000, "old output to go")
        assert _gaps(fleet, "a")[Gap.LIMIT] > 500_000
        assert "newest" in _texts(fleet, "a", tail=3)
    finally:
        fleet.close()
        subprocess.run(["umount", "-l", str(logs)], check=True)


@pytest.mark.parametrize(
    ("pattern", "writes", "line"),
    [
        ("Bot is up", [b"starting\n", b"now Bot is up!\nmore\n"], "now Bot is up!"),
        (r"^up \d+$", [b"is up 12\nup", b" 1", b"2\n"], "up 12"),
        ("caf\u00e9", [b"at the caf\xc3", b"\xa9 now\r\n"], "at the caf\u00e9 now"),
        ("end", [b"x" * 9000, b" end\n", b"the end\n"], "the end"),
    ],
)
def test_the_ready_line_is_found_across_any_cuts(fleet: LogFleet, pattern: str, writes: list[bytes], line: str) -> None:
    """The first matching line is told once, whatever pieces it came in; a line counts by its first 4 KiB."""
    out, _ = fleet.open("a", ready_log=pattern)
    for piece in writes:
        os.write(out, piece)
        fleet.ping()
    assert fleet.hear("matched") == {"op": "matched", "bot": "a", "generation": 1, "line": line}
    os.write(out, writes[-1])
    fleet.ping()
    assert not [m for m in fleet.heard if m["op"] == "matched"]


def test_the_ready_line_on_stderr_counts_too(fleet: LogFleet) -> None:
    """Most programs log there."""
    _, err = fleet.open("a", ready_log="ready")
    os.write(err, b"ready token=hunter2\n")
    assert fleet.hear("matched")["line"] == "ready token=[redacted]"


@pytest.mark.parametrize(("pattern", "words"), [("(a+)+$", "took longer than"), ("(", "not a regular expression")])
def test_a_pattern_that_cannot_be_used_is_told_once(fleet: LogFleet, pattern: str, words: str) -> None:
    """An exploding or broken pattern ends the search, not the log."""
    out, _ = fleet.open("a", ready_log=pattern)
    for _ in range(3):
        os.write(out, b"a" * 3000 + b"b\n")
    assert words in fleet.hear("match-error")["message"]
    fleet.ping()
    assert not fleet.heard
    fleet.drain("a")
    assert len(fleet.stored("a")) == 3 * 3002


def test_a_ready_line_stored_by_a_logd_that_was_killed_is_still_told(fleet: LogFleet) -> None:
    """logd may die between storing a line and telling of it: the next one looks at what the generation wrote."""
    out, _ = fleet.open("a")
    os.write(out, b"starting\nBot is up\n")
    wait_for(lambda: len(_texts(fleet, "a")) == 2, "the lines")
    fleet.kill()
    fleet.held["a", 1]["ready_log"] = "is up"
    fleet.start()
    assert fleet.hear("matched")["line"] == "Bot is up"


def test_a_verdict_is_told_again_to_a_keeper_that_asks_again(fleet: LogFleet) -> None:
    """A match found while no keeper was there is not lost."""
    out, _ = fleet.open("a", ready_log="up")
    fleet.ping()
    fleet.cut()
    os.write(out, b"up\n")
    wait_for(lambda: _texts(fleet, "a"), "the line")
    fleet.accept()
    assert fleet.hear("matched")["line"] == "up"


def test_a_message_that_makes_no_sense_disturbs_nobody(fleet: LogFleet) -> None:
    """Unknown ops, missing fields and FIFOs that are not there are logged; the next message is served."""
    fleet.tell({"op": "dance"})
    fleet.tell({"op": "open", "bot": "x"})
    fleet.tell({"op": "drain", "bot": "unknown", "generation": 7})
    assert fleet.hear("drained")["bot"] == "unknown"
    gone = fleet.paths.bot_run("gone")
    fleet.tell({"op": "open", "bot": "gone", "generation": 1, "dir": str(gone), "logs": fleet.logs, "ready_log": None})
    fleet.ping()
    text = (fleet.paths.own_logs / "logd.log").read_text()
    assert "unknown message" in text
    assert "cannot open the FIFOs" in text


def test_logd_stays_small(fleet: LogFleet) -> None:
    """No asyncio, no logging, no subprocess, no regex engine while no pattern needs one."""
    code = (
        "import sys, processsupervisor.process.logd as l\n"
        "print([m for m in ('asyncio','logging','subprocess','regex','pydantic','msgspec','gzip','threading') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout.strip() == "[]"
