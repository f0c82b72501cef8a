"""Laws of `psv errors`: what is counted, from which logs, in how much memory."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from tests.cli.conftest import Psv

from processsupervisor.cli.errors import KEPT_GENERATIONS, MOST_KINDS, Tally
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process import compact, logindex
from processsupervisor.process.segments import Stream
from processsupervisor.process.tracebacks import Place, Raised


def failure(kind: str = "KeyError", message: str = "'k'", line: int = 7, file: str = "/srv/bot.py") -> str:
    return f'Traceback (most recent call last):\n  File "{file}", line {line}, in answer\n    x()\n{kind}: {message}\n'


def store(folder: Path, bot: str, text: str, *, generation: int = 1, compacted: bool = False) -> None:
    """Write as logd does; `compacted` closes and compresses the segment, as logd does when it is full."""
    stream = Stream(str(FleetPaths(folder).bot_logs(bot)), "stderr", 1 << 30, 1000)
    reading, writing = os.pipe()
    for at in range(0, len(text), 4096):
        piece = text[at : at + 4096].encode()
        os.write(writing, piece)
        left = len(piece)
        while left:
            left -= stream.take(reading, left, generation)
    os.close(reading)
    os.close(writing)
    if compacted:
        stream.rotate()
        assert compact.compact(logindex.closed_log(stream.folder, "stderr", stream.number - 1)) == 0
    stream.close()


@pytest.fixture
def fleet_of_two(folder: Path) -> Path:
    """Ann and bob as a fleet would have applied them."""
    write_json(FleetPaths(folder).applied, {"bots": [
        {"name": "ann", "type": "x", "env": {"DB_PASSWORD": "hunter2secret"}}, {"name": "bob", "type": None},
    ]})
    return folder


def rows(psv: Psv, *args: str) -> list[dict[str, object]]:
    done = psv("errors", "--json", *args)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_grouped_by_type_and_place(psv: Psv, fleet_of_two: Path) -> None:
    """Counted over bots, generations and compressed segments, the most frequent first; the last message is shown."""
    store(fleet_of_two, "ann", failure(message="'one'") + failure("OSError", "gone", 9), compacted=True)
    store(fleet_of_two, "ann", "hello\n" + failure(message="'two'"), generation=2)
    store(fleet_of_two, "bob", failure(message="'three'"), generation=5)

    first, second = rows(psv)
    assert {key: first[key] for key in ("type", "file", "line", "function", "count", "message", "bots")} == {
        "type": "KeyError", "file": "/srv/bot.py", "line": 7, "function": "answer", "count": 3, "message": "'three'",
        "bots": {"ann": [1, 2], "bob": [5]},
    }  # fmt: skip
    assert first["first_at"] <= first["last_at"]  # type: ignore[operator]
    assert (second["type"], second["count"], second["bots"]) == ("OSError", 1, {"ann": [1]})
    assert [row["count"] for row in rows(psv, "ann")] == [2, 1]
    assert [row["count"] for row in rows(psv, "--type", "x")] == [2, 1]

    header, line, _ = psv("errors").stdout.splitlines()
    assert header.split()[:3] == ["COUNT", "TYPE", "PLACE"]
    assert line.split()[:3] == ["3", "KeyError", "/srv/bot.py:7"]
    assert "ann 1 2, bob 5" in line


def test_only_since(psv: Psv, fleet_of_two: Path) -> None:
    """What is older does not count; nothing found is said, and is no failure."""
    store(fleet_of_two, "ann", failure(), compacted=True)
    assert rows(psv, "--since", "0s") == []
    done = psv("errors", "--since", "0s")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no traceback in the logs of 2 bots since 0s" in done.stderr
    assert "of 1 bot since" in psv("errors", "ann", "--since", "0s").stderr
    assert psv("errors", "--since", "never").returncode == 2
    assert psv("errors", "nobody").returncode == 4


def test_no_secret_is_shown(psv: Psv, fleet_of_two: Path) -> None:
    """A value that is secret by its name is not shown in a message."""
    store(fleet_of_two, "ann", failure("OperationalError", "login with hunter2secret failed"))
    assert rows(psv)[0]["message"] == "login with [redacted] failed"
    assert "hunter2secret" not in psv("errors").stdout


def test_memory_is_bounded() -> None:
    """Kinds without end: MOST_KINDS are kept, the others counted; of generations the newest of each bot."""
    tally = Tally()

    def add(number: int) -> None:
        tally.add(Raised(float(number), f"bot{number % 50}", number, f"Error{number}", "m" * 100, Place("a.py", 1, "f")))
        tally.add(Raised(float(number), "ann", number, "KeyError", "m", Place("a.py", 1, "f")))

    for number in range(MOST_KINDS + 100):
        add(number)
    tracemalloc.start()
    for number in range(10_000):
        add(number + MOST_KINDS + 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
    assert len(tally.kinds()) == MOST_KINDS
    assert tally.left_out == 10_000 + 101
    assert sorted(tally.kinds()[0].bots["ann"])[0] == 11_100 - KEPT_GENERATIONS
