"""Laws of the logs below the table: the end of what is stored, then what comes, never more than eyes can take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.test_logview import Writer

from processsupervisor.cli.top.tail import Tail
from processsupervisor.kernel.paths import FleetPaths


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Logs of two bots, written as logd writes them."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    for bot in ("anna", "bert"):
        paths.bot_logs(bot).mkdir(parents=True)
    yield Writer(paths, monkeypatch)


def texts(tail: Tail) -> list[str]:
    """Return the texts of one look."""
    return [line.text for line in tail.look()]


def test_the_end_then_what_comes(writer: Writer) -> None:
    """The newest stored lines of all bots by time, then each new line once, over a rotation too; a bot without a log joins when it writes."""
    writer.put("anna", b"".join(b"old %d\n" % number for number in range(1000)))
    tail = Tail(writer.paths, ["anna", "bert", "none-yet"], [])
    first = texts(tail)
    assert first[-1] == "old 999" and 3 <= len(first) < 200
    assert texts(tail) == []
    writer.put("bert", b"one\n", stream="stderr")
    writer.put("anna", b"two\n")
    assert texts(tail) == ["one", "two"]
    writer.rotate("anna")
    writer.put("anna", b"three\n")
    assert texts(tail) == ["three"]
    writer.paths.bot_logs("none-yet").mkdir()
    writer.put("none-yet", b"here I am\n")
    assert texts(tail) == ["here I am"]
    tail.close()
    writer.put("anna", b"four\n")
    assert texts(tail) == []


def test_a_flood_is_cut_and_said(writer: Writer) -> None:
    """A bot that wrote a hundred thousand lines since the last look is shown by a few, its last one among them, and that lines are missing."""
    tail = Tail(writer.paths, ["anna"], [])
    writer.put("anna", b"begin\n")
    assert texts(tail) == ["begin"]
    writer.put("anna", b"".join(b"flood %d\n" % number for number in range(100_000)))
    lines = tail.look()
    assert len(lines) < 5000
    assert lines[-1].text == "flood 99999"
    assert any(line.is_gap and "psv logs anna" in line.text for line in lines)
    writer.put("anna", b"end\n")
    assert texts(tail) == ["end"]


def test_secrets_and_control_characters_do_not_get_through(writer: Writer) -> None:
    """Values of settings that are secrets are hidden, sequences that a terminal obeys are not passed on."""
    tail = Tail(writer.paths, ["anna"], ["hunter-2-secret"])
    writer.put("anna", b"my token is hunter-2-secret \x1b[2J\x07\n")
    (text,) = texts(tail)
    assert "hunter-2-secret" not in text and "\x1b" not in text and "\x07" not in text


def test_many_files_are_looked_at_less_often(tmp_path: Path) -> None:
    """One bot four times a second, two hundred each two seconds."""
    assert Tail(FleetPaths(tmp_path), ["anna"], []).look_every_s == 0.25
    assert Tail(FleetPaths(tmp_path), [f"b{number}" for number in range(200)], []).look_every_s == 2.0
