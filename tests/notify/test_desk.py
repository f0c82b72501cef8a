"""The desk: who is told of what, what lasts and is over, and when a try is repeated. Queue and file are real."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.causes import Causes, Event, Notice, Until
from processsupervisor.notify.desk import Desk
from processsupervisor.notify.message import Message
from processsupervisor.notify.queue import Queue
from processsupervisor.notify.troubles import Troubles

CHANNELS = """[fleet]
name = "demo"
[notify.all]
to = "webhook"
url = "https://example.org/a"
[notify.hangs]
to = "webhook"
url = "https://example.org/b"
on = ["hang", "recovered"]
[notify.silent]
to = "webhook"
url = "https://example.org/c"
on = ["failed"]
"""


class Clock:
    """Seconds since boot, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("processsupervisor.notify.troubles.boottime", made)
    return made


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Desk:
    (tmp_path / "fleet.toml").write_text(CHANNELS)
    loaded = load_fleet(tmp_path)
    assert loaded.applied is not None, loaded.problems
    queue = Queue(tmp_path / "notify.db", clock)
    return Desk(FleetPaths(tmp_path), "demo", loaded.applied["notify"], queue, Causes(()), Troubles(queue, {"a": 30.0, "b": 30.0}))


def happens(desk: Desk, *events: dict[str, Any]) -> None:
    now = time.time()
    numbered: list[Event] = [{"seq": number, "at": now, "bot": "a", **event} for number, event in enumerate(events, 1)]
    desk.take(numbered, "life")


def told(desk: Desk, clock: Clock) -> list[tuple[str, str]]:
    """Send everything, and return (channel, cause) of each."""
    assert desk.due(set()) == []  # what has ended by now is found
    clock.now += 1.5
    found = []
    while due := desk.due(set()):
        for waiting in due:
            desk.result(waiting, {"ok": True, "said": "", "retry_after_s": 0.0})
            found.append((waiting.channel, waiting.message["cause"]))
    return sorted(found)


FAILED = {"kind": "transition", "from": "RUNNING", "to": "FAILED", "reason": "config"}
RUNS = {"kind": "transition", "from": "STARTING", "to": "RUNNING", "reason": ""}
FALLS = {"kind": "transition", "from": "RUNNING", "to": "RECOVERING", "reason": "code"}
HANGS = {"kind": "exit", "reason": "hang", "message": "no beat for 30 s"}


def test_each_channel_is_told_what_it_asked_for(desk: Desk, clock: Clock) -> None:
    """And of the end only of what it was told of, when it wants to know of ends."""
    happens(desk, FAILED)
    assert told(desk, clock) == [("all", "failed"), ("silent", "failed")]
    happens(desk, HANGS, RUNS)
    assert told(desk, clock) == [("all", "hang"), ("hangs", "hang")]
    clock.now += 31
    assert told(desk, clock) == [("all", "recovered"), ("hangs", "recovered")]


def test_a_bot_that_comes_and_goes_has_not_recovered(desk: Desk, clock: Clock) -> None:
    """Its stable_after counts from its last start."""
    happens(desk, FAILED, RUNS)
    told(desk, clock)
    for _ in range(3):
        clock.now += 20
        happens(desk, FALLS, RUNS)
        assert told(desk, clock) == []
    clock.now += 31
    assert told(desk, clock) == [("all", "recovered")]


def test_a_bot_that_is_stopped_neither_fails_nor_recovers(desk: Desk, clock: Clock) -> None:
    """Somebody has looked at it."""
    happens(desk, FAILED)
    told(desk, clock)
    happens(desk, {"kind": "transition", "from": "FAILED", "to": "STOPPED", "reason": ""}, RUNS)
    clock.now += 100
    assert told(desk, clock) == []


def test_what_lasts_is_told_once(desk: Desk, clock: Clock) -> None:
    """Over every psvd that says it again; and once more when it was over meanwhile."""
    deaf = {"kind": "health", "health": "unhealthy", "connected": False, "message": "not connected"}
    happens(desk, deaf, deaf)
    assert told(desk, clock) == [("all", "deaf")]
    clock.now += 7200
    happens(desk, deaf)
    assert told(desk, clock) == []
    happens(desk, {"kind": "health", "health": "healthy", "connected": True, "message": ""})
    assert told(desk, clock) == [("all", "recovered")]
    happens(desk, deaf)
    assert told(desk, clock) == [("all", "deaf")]


def test_psvd_away_is_told_to_everybody(desk: Desk, clock: Clock) -> None:
    """Whatever their `on`; and its return too."""
    desk.begins(Notice("psvd", "", "psvd has given no answer", time.time(), Until.PSVD), ["all", "silent"])
    assert told(desk, clock) == [("all", "psvd"), ("silent", "psvd")]
    desk.ends(Until.PSVD)
    desk.ends(Until.PSVD)
    assert told(desk, clock) == [("all", "recovered"), ("hangs", "recovered"), ("silent", "recovered")]

    clock.now += 3600
    desk.begins(Notice("psvd", "", "psvd has given no answer", time.time(), Until.PSVD), ["all"])
    assert told(desk, clock) == [("all", "psvd")]
    desk.ends(Until.PSVD, {"all"})  # the others, with a longer `away`, have heard of nothing
    assert told(desk, clock) == [("all", "recovered")]


@pytest.mark.parametrize(("until", "words"), [(Until.KEEPER, "the keeper is back after 46s"), (Until.PSVD, "psvd is back after 46s")])
def test_how_long_somebody_was_away_counts_from_when_it_was_last_heard(desk: Desk, clock: Clock, until: Until, words: str) -> None:
    """Not from when that was noticed."""
    desk.begins(Notice(str(until), "", "no answer", time.time(), until), ["all"], 46.0)
    told(desk, clock)
    desk.ends(until, {"all"})
    clock.now += 1.5
    assert [waiting.message["title"] for waiting in desk.due(set())] == [f"[demo] {words}"]


def test_disk_trouble_says_which_disk_and_how_much_is_free(desk: Desk, clock: Clock, tmp_path: Path) -> None:
    """Also where the one who noticed it did not."""
    (tmp_path / ".psv" / "data").mkdir(parents=True)
    happens(desk, {"kind": "alert", "bot": None, "what": "psv.db", "message": "psv.db cannot be written: full", "is_over": False})
    clock.now += 1.5
    (waiting,) = desk.due(set())
    assert re.search(rf"psv.db cannot be written: full; [\d.]+ % \([\d.]+ [KMG]?B\) of the disk of {tmp_path}/.psv/data is free", waiting.message["title"])


def test_words_that_are_no_text_stop_nothing(desk: Desk, clock: Clock) -> None:
    """A file name with a stray byte in an exit's message: it is told, with a mark in its place, to the channel of every kind."""
    happens(desk, {"kind": "exit", "reason": "exec-failed", "message": "no such file: caf\udce9"}, FAILED)
    clock.now += 1.5
    texts = {waiting.message["text"] for waiting in desk.due(set())}
    assert len(texts) == 1 and "caf?" in texts.pop()


def test_old_events_are_no_news(desk: Desk, clock: Clock) -> None:
    """A channel that comes back after a month is not told of that month."""
    happens(desk, FAILED | {"at": time.time() - 90000})
    assert told(desk, clock) == []


def test_tries_grow_apart(desk: Desk, clock: Clock) -> None:
    """From a second to ten minutes, never sooner than the server asks; what came back is noted and taken away."""
    happens(desk, HANGS)
    clock.now += 1.5
    (waiting, *_) = [w for w in desk.due(set()) if w.channel == "hangs"]
    message: Message = waiting.message
    delays = []
    for _ in range(12):
        desk.result(waiting, {"ok": False, "said": "HTTP 503", "retry_after_s": 0.0})
        before = clock.now
        while not (found := [w for w in desk.due({"all"}) if w.channel == "hangs"]):
            clock.now += 0.1
        delays.append(clock.now - before)
        (waiting,) = found
        assert waiting.message == message
    assert delays[0] < 1.5 and all(later > earlier for earlier, later in pairwise(delays[:9]))
    assert 470 < delays[-1] < 730
    assert desk.notes() == ["hangs does not get what it is told (1 waiting): HTTP 503"]
    desk.result(waiting, {"ok": False, "said": "HTTP 429", "retry_after_s": 1800.0})
    clock.now += 1790
    assert not [w for w in desk.due({"all"}) if w.channel == "hangs"]
    clock.now += 20
    (waiting,) = [w for w in desk.due({"all"}) if w.channel == "hangs"]
    desk.result(waiting, {"ok": True, "said": "HTTP 200", "retry_after_s": 0.0})
    assert desk.notes() == []


def test_who_has_a_mail_does_not_get_it_at_each_try(desk: Desk, clock: Clock) -> None:
    """One of two addresses is refused for good: the other tries are for that one only, over a new start of the notifier too."""
    happens(desk, FAILED)
    clock.now += 1.5
    waiting = next(w for w in desk.due(set()) if w.channel == "all")
    desk.result(waiting, {"ok": False, "said": "refused b@x", "retry_after_s": 0.0, "left": ["b@x"]})
    clock.now += 5
    again = next(w for w in desk.due(set()) if w.channel == "all")
    assert (again.message["id"], again.left) == (waiting.message["id"], ("b@x",))
    desk.result(again, {"ok": False, "said": "cannot be reached", "retry_after_s": 0.0})
    clock.now += 10
    assert next(w for w in desk.due(set()) if w.channel == "all").left == ("b@x",)
