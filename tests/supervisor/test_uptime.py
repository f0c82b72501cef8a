"""Uptime: what counts as up, down, unknown or nothing, and that no death of anybody falsifies it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor import uptime as uptime_module
from processsupervisor.supervisor.store import Store
from processsupervisor.supervisor.uptime import DOWN, UNKNOWN, UP, Mark, Span, Uptime, hours_of, spans_unseen

SLEEPER = """
    [bots.x]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
HOUR = 3600.0


class Clocks:
    """Both clocks, set by hand."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.boottime, self.wall, self.boot = 1000.0, 1_700_000_000.0, "boot-a"
        patch.setattr(uptime_module, "boottime", lambda: self.boottime)
        patch.setattr(uptime_module, "wall", lambda: self.wall)
        patch.setattr(uptime_module, "boot_id", lambda: self.boot)

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.boottime += seconds
        self.wall += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks in place of the real ones."""
    return Clocks(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of its own."""
    made = Store(tmp_path / "psv.db")
    yield made
    made.close()


def _bot(state: State, *, wanted: Wanted = Wanted.UP, generation: int = 1, ready: float | None = None) -> BotHandle:
    facts = SimpleNamespace(name="x", life=SimpleNamespace(state=state), wanted=wanted, generation=generation, ready_boottime=ready)
    return cast(BotHandle, facts)


def _sums(uptime: Uptime, window: str = "day") -> tuple[float, float, float]:
    share = uptime.shares("x")[window]
    return tuple(cast(float, share[name]) for name in ("up_s", "down_s", "unknown_s"))  # type: ignore[return-value]


def test_only_wanted_time_counts(store: Store, clocks: Clocks) -> None:
    """Starting and broken is down, ready and paused is up, wanted down and completed is neither."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.STARTING)])
    clocks.go_on(10)
    uptime.note(_bot(State.RUNNING))
    clocks.go_on(60)
    uptime.note(_bot(State.PAUSED, wanted=Wanted.PAUSED))
    clocks.go_on(30)
    uptime.note(_bot(State.STOPPED, wanted=Wanted.DOWN))
    clocks.go_on(500)
    uptime.note(_bot(State.TERMINATED))
    clocks.go_on(500)
    uptime.note(_bot(State.FAILED))
    clocks.go_on(10)
    assert _sums(uptime) == (90.0, 20.0, 0.0)
    assert uptime.shares("x")["week"]["percent"] == round(9000 / 110, 3)
    assert uptime.shares("other")["day"]["percent"] is None


@pytest.mark.parametrize("step_s", [-90_000.0, 90_000.0])
def test_a_clock_that_is_set_adds_and_takes_nothing(store: Store, clocks: Clocks, step_s: float) -> None:
    """Time is counted by the clock that nobody sets; the wall clock says in which hours it lies."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.RUNNING)])
    clocks.go_on(100)
    clocks.wall += step_s
    clocks.go_on(100)
    uptime.note(_bot(State.FAILED))
    clocks.go_on(100)
    assert _sums(uptime) == pytest.approx((200.0, 100.0, 0.0))


def test_windows_reach_as_far_as_they_say(store: Store, clocks: Clocks) -> None:
    """A day that was down leaves the day, then the week, then the month; nothing older is kept."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.FAILED)])
    clocks.go_on(24 * HOUR)
    uptime.note(_bot(State.RUNNING))
    clocks.go_on(2 * 24 * HOUR)
    assert uptime.shares("x")["day"]["percent"] == 100.0
    assert uptime.shares("x")["week"]["percent"] == pytest.approx(66.667)
    clocks.go_on(40 * 24 * HOUR)
    uptime.note(_bot(State.RUNNING))
    assert uptime.shares("x")["month"]["percent"] == 100.0
    store.flush()
    uptime.prune()
    store.flush()
    assert store.rows("SELECT count(*) FROM uptime")[0][0] <= uptime_module.KEPT_HOURS + 1
    assert _sums(uptime, "month")[0] == pytest.approx(30 * 24 * HOUR, abs=HOUR)


def test_a_span_falls_into_its_hours() -> None:
    """Whatever its ends, what is put into hours is what it was, and no hour gets more than an hour."""
    parts = dict(hours_of(Span(UP, 2.5 * HOUR, 10 * HOUR + 60)))
    assert parts == {10: 60.0, 9: HOUR, 8: HOUR, 7: HOUR / 2 - 60}
    assert dict(hours_of(Span(UP, HOUR, 10 * HOUR))) == {9: HOUR}
    assert sum(seconds for _, seconds in hours_of(Span(UP, 1e9, 1.7e9))) <= uptime_module.KEPT_HOURS * HOUR


def test_what_the_disk_refuses_is_kept_until_it_takes_it(store: Store, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed commit costs nothing and doubles nothing."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.RUNNING)])
    clocks.go_on(100)
    uptime.note(_bot(State.FAILED))
    guard = Store._guard
    monkeypatch.setattr(Store, "_guard", lambda self, statement, values=(): None if statement == "COMMIT" else guard(self, statement, values))
    store.flush()
    assert store.is_behind
    store._db.execute("ROLLBACK")
    monkeypatch.undo()
    Clocks.__init__(clocks, monkeypatch)
    clocks.go_on(200)
    store.flush()
    assert not store.is_behind
    assert store.rows("SELECT sum(up_s), sum(down_s) FROM uptime") == [(100.0, 0.0)]


def _mark(clocks: Clocks, how: int | None, ago_s: float, generation: int = 1) -> Mark:
    return Mark(clocks.boot, clocks.boottime - ago_s, clocks.wall - ago_s, how, generation)


def _unseen(clocks: Clocks, mark: Mark, looked_ago_s: float, found: BotHandle, ended_at: float | None = None) -> dict[int, float]:
    sums = {UP: 0.0, DOWN: 0.0, UNKNOWN: 0.0}
    for span in spans_unseen(mark, _mark(clocks, None, looked_ago_s), found, ended_at, _mark(clocks, DOWN, 0)):
        sums[span.how] += span.seconds
    return sums


def test_what_adoption_finds_decides_about_the_time_nobody_saw(clocks: Clocks) -> None:
    """The same process was up all the time; one that died was down since its exit, or nobody knows since the last look."""
    up = _mark(clocks, UP, 100)
    adopted = _bot(State.RUNNING, ready=clocks.boottime - 100)
    assert _unseen(clocks, up, 40, adopted) == {UP: 100, DOWN: 0, UNKNOWN: 0}
    gone = _bot(State.RECOVERING)
    assert _unseen(clocks, up, 40, gone, clocks.wall - 30) == {UP: 70, DOWN: 30, UNKNOWN: 0}
    assert _unseen(clocks, up, 40, gone) == {UP: 60, DOWN: 0, UNKNOWN: 40}
    assert _unseen(clocks, up, 40, _bot(State.UNKNOWN)) == {UP: 60, DOWN: 0, UNKNOWN: 40}
    again = _bot(State.RUNNING, generation=2, ready=clocks.boottime - 10)
    assert _unseen(clocks, up, 40, again, clocks.wall - 30) == {UP: 80, DOWN: 20, UNKNOWN: 0}
    others = _bot(State.RUNNING, generation=7, ready=clocks.boottime - 10)
    assert _unseen(clocks, up, 40, others, clocks.wall - 30) == {UP: 70, DOWN: 0, UNKNOWN: 30}, "a psv that does not count was there"
    started = _bot(State.RUNNING, ready=clocks.boottime - 20)
    assert _unseen(clocks, _mark(clocks, DOWN, 100), 40, started) == {UP: 20, DOWN: 80, UNKNOWN: 0}
    assert _unseen(clocks, _mark(clocks, None, 100), 40, started) == {UP: 0, DOWN: 0, UNKNOWN: 0}


def test_after_the_end_of_a_machine_the_time_it_was_off_is_unknown(clocks: Clocks) -> None:
    """Up as far as psvd looked, unknown until the machine came up again, down since then."""
    clocks.boottime = 50_000.0
    mark, looked = _mark(clocks, UP, 1000), _mark(clocks, None, 40)
    clocks.wall += 7200
    clocks.boot, clocks.boottime = "boot-b", 20.0
    found = spans_unseen(mark, looked, _bot(State.INITIALIZING), None, _mark(clocks, DOWN, 0))
    sums = {how: sum(s.seconds for s in found if s.how == how) for how in (UP, DOWN, UNKNOWN)}
    assert sums == {UP: 960.0, DOWN: 20.0, UNKNOWN: 7220.0}


def test_an_end_that_was_noticed_late_counts_from_when_it_was(store: Store, clocks: Clocks) -> None:
    """psvd was stopped for a minute in which the bot died."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.RUNNING)])
    clocks.go_on(100)
    uptime.note(_bot(State.RECOVERING), clocks.wall - 60)
    assert _sums(uptime) == (40.0, 60.0, 0.0)


def test_a_mark_of_a_bot_that_was_taken_out_goes(store: Store, clocks: Clocks) -> None:
    """When it comes back, the time in between is nobody's; what no psv wrote is passed over."""
    uptime = Uptime(store, lambda: False)
    uptime.take_over([_bot(State.RUNNING)])
    store.flush()
    store.write("INSERT INTO marks VALUES ('y', 'no mark')", ())
    clocks.go_on(100)
    Uptime(store, lambda: False).take_over([])
    again = Uptime(store, lambda: False)
    again.take_over([_bot(State.RUNNING)])
    assert _sums(again) == (0.0, 0.0, 0.0)


# -- real fleets


def _shares(fleet: LiveFleet, bot: str = "x") -> dict[str, Any]:
    rows = fleet.call("bot.history", names=[bot])
    return dict(next(row for row in rows if row["kind"] == "uptime" and row["bot"] == bot)["day"])


def _kill_psvd(fleet: LiveFleet) -> None:
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")


def test_uptime_goes_on_over_kill_nine_of_psvd(fleet: LiveFleet) -> None:
    """A bot that is adopted was up all the time, and what was counted is there."""
    fleet.configure(SLEEPER)
    fleet.up()
    ready_at = fleet.until("x", state="RUNNING")["ready_at"]
    eventually(lambda: _shares(fleet)["up_s"] > 1.0, "a second of uptime")
    before = _shares(fleet)
    _kill_psvd(fleet)
    after = _shares(fleet)
    assert after["up_s"] > before["up_s"]
    assert after["up_s"] == pytest.approx(time.time() - ready_at, abs=0.5)
    assert (after["down_s"], after["unknown_s"]) == (pytest.approx(before["down_s"], abs=0.1), 0.0)


def test_a_bot_that_died_while_nobody_looked_was_down_since_its_exit(fleet: LiveFleet) -> None:
    """psvd is stopped, the bot killed, psvd killed: the keeper saw when."""
    fleet.configure(SLEEPER + '    restart = { policy = "never" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    assert _shares(fleet)["unknown_s"] == 0.0, "asked, what was counted is on disk"
    psvd = fleet.kill_role("psvd", signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the keeper reaped it")
    died_at = time.time()
    eventually(lambda: time.time() > died_at + 1.0, "a second passes")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("x", state="FAILED")
    share = _shares(fleet)
    assert share["unknown_s"] == 0.0
    assert share["down_s"] == pytest.approx(time.time() - died_at, abs=0.5)


def test_what_was_down_on_purpose_does_not_count(fleet: LiveFleet) -> None:
    """Neither a stopped bot nor a fleet that went down in order."""
    fleet.configure(SLEEPER)
    fleet.up()
    fleet.until("x", state="RUNNING")
    fleet.call("bot.stop", names=["x"])
    stopped = _shares(fleet)
    stopped_at = time.time()
    eventually(lambda: time.time() > stopped_at + 0.5, "half a second passes")
    assert _shares(fleet) == stopped
    fleet.call("bot.start", names=["x"])
    fleet.down()
    down_at = time.time()
    eventually(lambda: time.time() > down_at + 0.5, "half a second passes")
    fleet.up()
    share = _shares(fleet)
    assert share["unknown_s"] == 0.0
    assert share["down_s"] < stopped["down_s"] + 0.5


def test_the_version_before_goes_on_with_the_file(tmp_path: Path) -> None:
    """Tables and columns are added without a new schema number: what an older psv does with psv.db, it can do after us, and we after it."""
    store = Store(tmp_path / "psv.db")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "psv.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        columns = "bot, at, before, after, trigger, reason, generation, exit_code"
        db.execute(f"INSERT INTO history ({columns}) VALUES ('x', 1.0, 'STARTING', 'RUNNING', 'ready', '', 1, NULL)")
        db.commit()
    store = Store(tmp_path / "psv.db")
    assert store.problem == ""
    assert [(row["to"], row["by"]) for row in store.history("x", 5)] == [("RUNNING", None)]
    store.close()


def test_a_file_of_the_version_before_gets_what_it_lacks(tmp_path: Path) -> None:
    """Its rows stay as they are."""
    with contextlib.closing(sqlite3.connect(tmp_path / "psv.db")) as db:
        db.executescript(
            "CREATE TABLE history (id INTEGER PRIMARY KEY, bot TEXT NOT NULL, at REAL NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,"
            "trigger TEXT NOT NULL, reason TEXT NOT NULL, generation INTEGER NOT NULL, exit_code INTEGER);"
            "INSERT INTO history VALUES (7, 'x', 1.0, 'STARTING', 'RUNNING', 'ready', '', 3, NULL); PRAGMA user_version=1;"
        )
    store = Store(tmp_path / "psv.db")
    uptime = Uptime(store, lambda: False)
    store.add_exit("x", ExitRecord(Reason.CODE, 1, None, wall(), 3), is_counted=True)
    uptime.take_over([_bot(State.RUNNING)])
    store.flush()
    assert store.history("x", 5)[0]["generation"] == 3
    mark = json.loads(store.rows("SELECT mark FROM marks WHERE bot = 'x'")[0][0])
    assert mark["boot"] == boot_id() and mark["boottime"] <= boottime()
    store.close()
