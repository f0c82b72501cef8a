"""Last words: read when a log changed, short, and never in the way when the log cannot be read."""

from __future__ import annotations

from pathlib import Path

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.lastwords import MAX_CHARACTERS, READS_AT_ONCE, LastWords


class Logs:
    """Log files of plain text in the places of a fleet, and a reader that counts."""

    def __init__(self, folder: Path) -> None:
        self.paths = FleetPaths(folder)
        self.paths.ensure()
        self.reads = 0

    def write(self, bot: str, text: str) -> None:
        self.paths.bot_logs(bot).mkdir(exist_ok=True)
        with (self.paths.bot_logs(bot) / "stdout.log").open("a") as file:
            file.write(text)

    def tail(self, paths: FleetPaths, bot: str, generation: int, count: int) -> list[str]:
        self.reads += 1
        assert generation == 3
        return (paths.bot_logs(bot) / "stdout.log").read_text().splitlines()[-count:]


async def test_newest_line_read_once(tmp_path: Path) -> None:
    """The newest line is given; a log that did not change is not read again, a changed one is."""
    logs = Logs(tmp_path)
    words = LastWords(logs.paths, logs.tail)
    logs.write("a", "one\ntwo\n")
    assert await words.of({"a": 3}) == {"a": "two"}
    assert await words.of({"a": 3}) == {"a": "two"}
    assert logs.reads == 1
    logs.write("a", "three\n")
    assert await words.of({"a": 3}) == {"a": "three"}


async def test_bounds(tmp_path: Path) -> None:
    """A long line is cut, a missing log is no words, and one look reads a bounded number of logs."""
    logs = Logs(tmp_path)
    words = LastWords(logs.paths, logs.tail)
    logs.write("a", "x" * 1000)
    answer = await words.of({"a": 3, "b": 3})
    assert len(answer["a"]) == MAX_CHARACTERS
    assert answer["b"] is None
    many = {f"bot{number}": 3 for number in range(READS_AT_ONCE * 2)}
    for bot in many:
        logs.write(bot, "hi\n")
    assert sum(word == "hi" for word in (await words.of(many)).values()) == READS_AT_ONCE
    assert sum(word == "hi" for word in (await words.of(many)).values()) == READS_AT_ONCE * 2
