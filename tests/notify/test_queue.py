"""The queue: once a cause, bot and hour; kept until it is sent or a day old; whole after kill -9, on a full disk, in another boot."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from processsupervisor.notify import queue as queue_module
from processsupervisor.notify.causes import Notice, Until
from processsupervisor.notify.message import Gathered, Message, Sender, compose
from processsupervisor.notify.queue import KEEP_S, Queue

HOUR = 3600.0


class Clock:
    """Seconds since boot, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Queue:
    return Queue(tmp_path / "notify.db", clock)


def notice(bot: str = "a", cause: str = "failed", text: str = "exited with 78", at: float = 5.0) -> Notice:
    return Notice(cause, bot, text, at, Until.UP)


def add(queue: Queue, *notices: Notice, channel: str = "ops") -> None:
    queue.change(lambda: [queue.add(channel, n, HOUR) for n in notices])


def make(cause: str, gathered: list[Gathered]) -> Message:
    return compose(Sender("demo", "here", "/srv/demo"), cause, gathered)


def sent(queue: Queue) -> list[Message]:
    """Make and send everything that is due now."""
    queue.change(lambda: queue.make(make))
    messages = []
    while due := queue.due(set()):
        for waiting in due:
            queue.change(lambda waiting=waiting: queue.sent(waiting.message["id"]))  # type: ignore[misc]
            messages.append(waiting.message)
    return messages


def test_what_happens_together_is_told_together(queue: Queue, clock: Clock) -> None:
    """Two hundred bots that fail within a moment are one message; another cause and another channel have their own."""
    add(queue, *(notice(f"bot-{n}") for n in range(200)), notice(cause="hang"))
    add(queue, notice(), channel="mail")
    assert sent(queue) == []
    clock.now += 1.1
    messages = sent(queue)
    assert sorted((m["cause"], len(m["bots"])) for m in messages) == [("failed", 1), ("failed", 200), ("hang", 1)]
    large = next(m for m in messages if len(m["bots"]) == 200)
    assert large["title"] == "[demo] 200 bots have failed"
    assert "and 180 more" in large["text"] and len(large["text"]) <= 1500


def test_one_an_hour_and_the_rest_as_a_summary(queue: Queue, clock: Clock) -> None:
    """What comes within the hour is one message after it, with how often, since when, and the last words."""
    add(queue, notice())
    clock.now += 2
    assert len(sent(queue)) == 1
    for number in range(5):
        clock.now += 60
        add(queue, notice(text=f"try {number}", at=100.0 + number))
        assert sent(queue) == []
    clock.now += HOUR
    (summary,) = sent(queue)
    assert summary["count"] == 5
    assert summary["bots"] == [
        {"bot": "a", "count": 5, "text": "try 4", "first_at": 100.0, "last_at": 104.0, "message": "", "exit_code": None, "signal": None, "exception": None}
    ]
    assert "(5 times since" in summary["text"]
    clock.now += HOUR
    assert sent(queue) == []


def test_while_one_waits_to_be_sent_the_others_gather(queue: Queue, clock: Clock) -> None:
    """A server that is away for long finds one message a cause, however many bots fail meanwhile."""
    for number in range(50):
        add(queue, notice(f"bot-{number}"))
        clock.now += 5
        queue.change(lambda: queue.make(make))
    assert queue.waiting("ops") == 1
    assert [len(m["bots"]) for m in sent(queue)] == [1]
    assert [len(m["bots"]) for m in sent(queue)] == [49]


def test_a_thousand_bots_that_fail_one_after_the_other_are_a_few_messages(queue: Queue, clock: Clock) -> None:
    """The first are told as they come, then they are told together, further and further apart; all of them, though nothing follows."""
    messages: list[Message] = []
    for number in range(1000):
        add(queue, notice(f"bot-{number}"))
        clock.now += 3.5
        messages += sent(queue)
    assert 4 <= len(messages) <= 7
    due_s = queue.next_due_s()
    assert due_s is not None and 60 < due_s <= HOUR  # and nobody is woken before
    clock.now += due_s + 0.1
    (last,) = sent(queue)
    assert {about["bot"] for m in (*messages, last) for about in m["bots"]} == {f"bot-{n}" for n in range(1000)}

    clock.now += HOUR
    add(queue, notice("late"))
    clock.now += 1.1
    assert [m["bot"] for m in sent(queue)] == ["late"]


def test_a_message_is_the_same_at_every_try(queue: Queue, clock: Clock) -> None:
    """Put off, and not due before; the same id and the same words then."""
    add(queue, notice())
    clock.now += 2
    queue.change(lambda: queue.make(make))
    (first,) = queue.due(set())
    assert queue.due({"ops"}) == []
    queue.change(lambda: queue.put_off(first.message["id"], 8.0))
    add(queue, notice(text="another"))
    assert queue.due(set()) == []
    clock.now += 8
    (again,) = queue.due(set())
    assert again.message == first.message
    assert (first.tries, again.tries) == (0, 1)


def test_a_day_old_message_is_given_up(queue: Queue, clock: Clock) -> None:
    """Not before; and what belongs to a channel that was taken out of fleet.toml goes with it."""
    add(queue, notice())
    add(queue, notice(), channel="gone")
    clock.now += 2
    queue.change(lambda: queue.make(make))
    assert queue.change(lambda: queue.give_up({"ops"}, HOUR)) == 1
    clock.now += KEEP_S - 10
    assert queue.change(lambda: queue.give_up({"ops"}, HOUR)) == 0
    clock.now += 10
    assert queue.change(lambda: queue.give_up({"ops"}, HOUR)) == 1
    assert queue.is_idle


def test_another_boot_sends_at_once_and_forgets_no_age(queue: Queue, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times since boot begin anew: what waits is due now, and a day counts by the wall clock."""
    add(queue, notice(), notice(cause="hang"))
    clock.now += 2
    queue.change(lambda: queue.make(make))
    ids = {w.message["id"] for w in queue.due(set())}
    queue.change(lambda: [queue.put_off(i, 600) for i in ids])
    queue.close()
    after = Clock()
    after.now = 20.0
    monkeypatch.setattr(queue_module, "boot_id", lambda: "another")
    monkeypatch.setattr(queue_module, "wall", lambda: __import__("time").time() + KEEP_S - 60)
    again = Queue(tmp_path / "notify.db", after)
    assert ids <= {w.message["id"] for w in again.due(set())}
    assert again.change(lambda: again.give_up({"ops"}, HOUR)) == 0
    after.now += 61
    assert again.change(lambda: again.give_up({"ops"}, HOUR)) == 2


def test_event_and_cursor_are_one_step(queue: Queue, tmp_path: Path) -> None:
    """When the second half fails, the first has not happened."""

    def act() -> None:
        queue.add("ops", notice(), HOUR)
        queue.move(7, "life")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        queue.change(act)
    assert queue.cursor is None and queue.is_idle


_WRITER = """
import sys
from pathlib import Path
from processsupervisor.notify.causes import Notice
from processsupervisor.notify.queue import Queue
queue = Queue(Path(sys.argv[1]))
number = int((queue.cursor or "0-").split("-")[0])
while True:
    number += 1
    def act():
        queue.add("ops", Notice("failed", f"bot-{number}", "x", 1.0, None), 3600.0)
        queue.move(number, "life")
    queue.change(act)
    print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    """Killed at any moment: every event that was dealt with is there, none beyond the cursor, and none twice."""
    path = tmp_path / "notify.db"
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(15)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().split("\n") if line]
        writer.wait()
        queue = Queue(path)
        last = int(str(queue.cursor).split("-")[0])
        rows = sqlite3.connect(path).execute("SELECT bot, count FROM gathered").fetchall()
        assert sorted(rows) == sorted((f"bot-{n}", 1) for n in range(1, last + 1))
        assert last >= said[-1]
        queue.close()


def test_a_full_disk_stops_nothing(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    """SQLite refuses (SQLITE_FULL): gathered and sent from memory, said, and written again when there is room."""
    add(queue, notice("before"))
    queue._db.execute(f"PRAGMA max_page_count = {queue._db.execute('PRAGMA page_count').fetchone()[0]}")
    add(queue, *(notice(f"bot-{n}", text="x" * 300) for n in range(60)))
    assert "cannot be written" in queue.problem
    clock.now += 2
    (message,) = sent(queue)
    assert len(message["bots"]) == 61
    queue.settle()
    assert queue.problem
    clock.now += 60
    queue.settle()
    assert not queue.problem
    queue.close()
    assert sqlite3.connect(tmp_path / "notify.db").execute("SELECT count(*) FROM gathered").fetchone() == (61,)


def test_what_can_only_be_read_is_not_forgotten(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    """A file of an older version, and no room for the new table (here: somebody else writes): what it holds is sent, and kept."""
    add(queue, notice())
    clock.now += 2
    queue.change(lambda: queue.make(make))
    queue.change(lambda: queue.move(7, "life"))
    queue.close()
    other = sqlite3.connect(tmp_path / "notify.db", isolation_level=None)
    other.execute("DROP TABLE part")
    other.execute("BEGIN IMMEDIATE")
    again = Queue(tmp_path / "notify.db", clock)
    assert "cannot be used" in again.problem and again.cursor == "7-life"
    assert [waiting.message["bot"] for waiting in again.due(set())] == ["a"]
    other.execute("COMMIT")
    clock.now += 60
    again.settle()
    assert not again.problem
    assert other.execute("SELECT count(*) FROM message").fetchone() == (1,)


@pytest.mark.parametrize("content", [b"not a database at all, and long enough to be one" * 20, b"\0" * 4096])
def test_a_file_that_is_none_is_put_aside(tmp_path: Path, content: bytes) -> None:
    """Nobody is left untold because of it."""
    (tmp_path / "notify.db").write_bytes(content)
    queue = Queue(tmp_path / "notify.db")
    add(queue, notice())
    assert not queue.problem and not queue.is_idle
    assert (tmp_path / "notify.db.broken").read_bytes() == content


def test_a_secret_in_the_words_is_not_told() -> None:
    """What a bot wrote last may hold a token."""
    secret = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
    message = compose(Sender("demo", "here", "/srv/demo"), "failed", [Gathered("a", 1, f"cannot log in with {secret}", 1.0, 1.0)])
    assert secret not in json.dumps(message) and "cannot log in" in message["text"]


