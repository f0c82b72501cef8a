"""The chronicle: what is on disk is shown to a follower once and in order, whichever psvd told it; what is lost is counted."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, environment
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import UsageError
from processsupervisor.supervisor import chronicle as chronicle_module
from processsupervisor.supervisor import events as events_module
from processsupervisor.supervisor.chronicle import Chronicle
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.store import Store

ROOT = Path(__file__).parents[2]
SLEEPER = """
    [bots.x]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
    restart = { initial = "0s" }
"""


class Life:
    """One psvd's view of a database."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.events = Events()
        self.chronicle = Chronicle(self.store, self.events)

    def die(self) -> None:
        """End as by kill -9: what is not committed is gone."""
        self.store._db.close()

    async def read(self, after: str | None = None, bots: set[str] | None = None, limit: int | None = None) -> list[Event]:
        """Return what is told without following."""
        told: list[Event] = []

        async def emit(event: Event) -> None:
            told.append(event)

        await self.chronicle.tell(emit, after=after, bots=bots, limit=limit, is_followed=False)
        assert told[0] == {"kind": "begin", "life": self.events.life, "seq": self.events.seq}
        return told[1:]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "psv.db"


def _n(events: list[Event]) -> list[object]:
    return [event.get("n") for event in events]


async def test_events_are_kept_numbered_and_found_by_bot(path: Path) -> None:
    """The newest N, or all behind one; of some bots or of everything."""
    life = Life(path)
    for n in range(10):
        life.events.tell("alert", bot="ab"[n % 2], n=n)
    assert _n(await life.read(limit=3)) == [7, 8, 9]
    assert _n(await life.read(bots={"a"}, limit=3)) == [4, 6, 8]
    assert _n(await life.read(after="7")) == [7, 8, 9]
    assert _n(await life.read(after="7", bots={"b"})) == [7, 9]
    assert [event["seq"] for event in await life.read(limit=20)] == list(range(1, 11))
    assert _n(await life.read(after="3", limit=2)) == [8, 9] and _n(await life.read(after="10")) == []
    with pytest.raises(UsageError, match="the newest event has seq 10"):
        await life.read(after="11")
    for nonsense in ("soon", "", "-5", "²", "1" * 19):
        with pytest.raises(UsageError):
            await life.read(after=nonsense)


async def test_many_events_are_told_in_small_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for, and however fast they are read: psvd holds few at a time, and others have their turn."""
    life = Life(path)
    for n in range(2000):
        life.events.tell("alert", bot="ab"[n % 2], n=n)
    life.store.flush()
    rows, pieces, turns = life.store.rows, list[int](), 0
    monkeypatch.setattr(life.store, "rows", lambda *query: pieces.append(len(found := rows(*query))) or found)

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(work())
    assert _n(await life.read(limit=1500)) == list(range(500, 2000))
    assert _n(await life.read(bots={"b"}, limit=700)) == list(range(601, 2000, 2))
    assert _n(await life.read(after="10")) == list(range(10, 2000))
    assert _n(await life.read(limit=0)) == []
    other.cancel()
    assert max(pieces) <= 200
    assert turns >= (1500 + 700 + 1990) // 200


async def test_the_next_psvd_goes_on_and_passes_nothing_over(path: Path) -> None:
    """A follower who saw what no disk has meets its number again; with its life it is given the event that bears it now."""
    first = Life(path)
    for n in range(5):
        first.events.tell("alert", n=n)
    first.store.flush()
    first.events.tell("alert", n="never written")
    first.die()
    second = Life(path)
    second.events.tell("alert", n="new")
    assert _n(await second.read(after=f"6-{first.events.life}")) == ["new"]
    assert _n(await second.read(after=f"4-{first.events.life}")) == [4, "new"]
    assert _n(await second.read(after=f"6-{second.events.life}")) == []
    assert [event["seq"] for event in await second.read(limit=9)] == [1, 2, 3, 4, 5, 6]


async def test_the_table_is_bounded_and_says_what_it_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; who comes from before them is told how many."""
    monkeypatch.setattr(chronicle_module, "EVENT_ROWS", 10)
    life = Life(path)
    for n in range(25):
        life.events.tell("alert", n=n)
    life.store.flush()
    life.chronicle.prune()
    life.store.flush()
    lost, *kept = await life.read(after="3")
    assert (lost["kind"], lost["count"]) == ("lost", 12)
    assert _n(kept) == list(range(15, 25))
    assert life.store.rows("SELECT count(*) FROM events") == [(10,)]


def test_many_events_do_not_wait_for_the_next_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet of which every check flaps tells hundreds of thousands in an hour; the table holds little more than its bound all the time."""
    monkeypatch.setattr(chronicle_module, "EVENT_ROWS", 1000)
    life = Life(path)
    for n in range(15_000):
        life.events.tell("health", n=n)
        if n % 100 == 0:
            life.store.flush()
            assert life.store.rows("SELECT count(*) FROM events")[0][0] <= 1000 + 2000 + 100


async def test_without_a_disk_events_are_told_and_kept_for_later(path: Path) -> None:
    """A file that cannot be used is not written; when it can be, what happened meanwhile comes behind what it held."""
    before = Life(path)
    for n in range(3):
        before.events.tell("alert", n=n)
    before.store.close()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    life = Life(path)
    life.events.tell("alert", n="meanwhile")
    assert _n(await life.read(limit=5)) == ["meanwhile"]
    assert life.store.is_behind
    path.rmdir()
    path.with_suffix(".away").rename(path)
    life.store._tried_mono -= 60
    seen = f"1-{life.events.life}"
    assert _n(await life.read(limit=9)) == [0, 1, 2, "meanwhile"]
    assert _n(await life.read(after=seen))[-1] == "meanwhile", "a number of before means another event now: shown again, not passed over"
    life.events.tell("alert", n="after")
    assert [event["seq"] for event in await life.read(limit=2)] == [4, 5]


async def test_events_that_no_disk_takes_are_bounded_and_their_loss_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of psvd does not grow with a broken disk; where events are missing afterwards, it says how many."""
    monkeypatch.setattr(chronicle_module, "PENDING_EVENTS", 100)
    life = Life(path)
    for n in range(10):
        life.events.tell("alert", n=n)
    life.store.flush()
    for n in range(10, 210):
        life.events.tell("alert", n=n)
    assert len(life.chronicle._pending) == 100
    told = await life.read(after="5")
    assert [event["kind"] for event in told] == ["alert"] * 5 + ["lost"] + ["alert"] * 100
    assert told[5]["count"] == 100 and _n(told[6:]) == list(range(110, 210))
    assert (await life.read(after="50"))[0]["kind"] == "lost"


async def test_a_slow_follower_loses_the_oldest_and_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads one event, then 100 come while its queue holds 10."""
    monkeypatch.setattr(events_module, "_QUEUE_EVENTS", 10)
    life = Life(path)
    told: list[Event] = []

    async def emit(event: Event) -> None:
        told.append(event)
        if event["kind"] == "begin":
            for n in range(100):
                life.events.tell("alert", n=n)
            life.events.tell("down", stopped=0)

    await life.chronicle.tell(emit, after=None, bots=None, limit=0, is_followed=True)
    assert [event["kind"] for event in told[:3]] == ["begin", "lost", "alert"]
    assert told[1]["count"] == 91
    assert _n(told[2:-1]) == list(range(91, 100))


def _kinds_told() -> Iterator[tuple[str, str]]:
    """Yield (place, kind) of every `….events.tell(kind)` of the package."""
    for source in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            is_tell = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "tell"
            if is_tell and ast.unparse(node.func.value).endswith("events"):  # type: ignore[attr-defined]
                kind = node.args[0]  # type: ignore[attr-defined]
                assert isinstance(kind, ast.Constant), f"{source.name}:{kind.lineno}: a kind is written as a text"
                yield f"{source.name}:{kind.lineno}", str(kind.value)


def test_every_kind_is_documented() -> None:
    """docs/reference/json.md lists each kind that the code tells, and none that it does not."""
    page = (ROOT / "docs" / "reference" / "json.md").read_text().partition("## psv events --json")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))
    told = dict((kind, place) for place, kind in _kinds_told())
    assert told.keys() - listed == set(), f"not documented: { {told[k]: k for k in told.keys() - listed} }"
    assert listed - told.keys() == {"lost"}, "documented, but never told"


# -- real fleets


def _follow(fleet: LiveFleet, out: Path, *options: str) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        argv = [*PSV, "-C", str(fleet.folder), "events", "-f", "--json", *options]
        return subprocess.Popen(argv, stdout=file, stderr=subprocess.STDOUT, env=environment(), stdin=subprocess.DEVNULL)


def _shown(out: Path) -> list[Event]:
    return [json.loads(line) for line in out.read_text().splitlines() if line.startswith("{")]


def test_a_follower_survives_every_psvd(fleet: LiveFleet, tmp_path: Path) -> None:
    """psvd is killed three times under it: it says so, and shows every event of the database once, up to the end of the fleet."""
    fleet.configure(SLEEPER)
    fleet.up()
    out = tmp_path / "events"
    follower = _follow(fleet, out, "-n", "20000")
    eventually(lambda: _shown(out), "the first events")
    for count in (1, 2, 3):
        pid = fleet.kill_role("psvd")
        eventually(lambda dead=pid: fleet.answers() and fleet.role_pid("psvd") != dead, "a new psvd answers")
        fleet.call("bot.restart", names=["x"])
        eventually(lambda n=count: sum(e["kind"] == "restart" for e in _shown(out)) == n, "the follower sees the restart")
    fleet.down()
    assert follower.wait(20) == 0
    shown = _shown(out)
    fleet.up()
    kept = [row[0] for row in Store(fleet.paths.database).rows("SELECT id FROM events ORDER BY id")]
    numbers = [event["seq"] for event in shown]
    assert numbers == sorted(set(numbers))
    assert set(numbers) == {number for number in kept if number <= numbers[-1]}
    assert shown[-1]["kind"] == "down"
    assert out.read_text().count("psvd is back") == 3
    assert {"psvd", "transition", "restart", "command", "exit", "down"} <= {event["kind"] for event in shown}


def test_who_asked_and_why_is_kept(fleet: LiveFleet) -> None:
    """History and events name the caller of a command, and the policy where nobody asked."""
    fleet.configure(SLEEPER)
    fleet.up()
    fleet.call("bot.restart", names=["x"])
    pid = fleet.until("x", state="RUNNING")["pid"]
    os.kill(pid, signal.SIGKILL)
    fleet.until("x", state="RUNNING", generation=3)
    rows = fleet.call("bot.history", names=["x"])
    asked = next(row for row in rows if row["kind"] == "transition" and row["trigger"] == "restart")
    assert asked["by"] and asked["reason"] == "admin"
    assert [(row["reason"], row["signal"]) for row in rows if row["kind"] == "exit"] == [("admin", "SIGTERM"), ("signal", "SIGKILL")]
    assert not any(row["by"] for row in rows if row["kind"] == "transition" and row["trigger"] in ("ready", "exit"))
    with ControlClient(fleet.paths) as client:
        events = list(client.stream("fleet.events", {"names": ["x"]}))
    restarts = [(event["by"], event["reason"]) for event in events if event["kind"] == "restart"]
    assert restarts == [(asked["by"], "admin"), ("policy", "signal")]


def _events(fleet: LiveFleet, kind: str) -> list[Event]:
    with ControlClient(fleet.paths) as client:
        return [event for event in client.stream("fleet.events", {"limit": 1000}) if event["kind"] == kind]


def test_a_rollout_is_told_step_by_step(fleet: LiveFleet) -> None:
    """Plan, batch, bot, end: whoever follows sees the same as whoever asked for it."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nready = { after = "0s" }\n')
    fleet.up()
    assert fleet.call("fleet.rollout", names=["x"])["ok"]
    told = _events(fleet, "rollout")
    assert [event["step"] for event in told] == ["plan", "batch", "bot", "end"]
    assert (told[2]["bot"], told[2]["outcome"], told[3]["ok"]) == ("x", "rolled", True)


def test_another_version_of_psvd_is_told(fleet: LiveFleet) -> None:
    """The psvd before was of another copy; one of the same copy is no upgrade."""
    fleet.configure(SLEEPER)
    fleet.up()
    fleet.down()
    with contextlib.closing(sqlite3.connect(fleet.paths.database)) as db:
        db.execute("""UPDATE events SET event = replace(event, '"code": "', '"code": "0.0.9-') WHERE event LIKE '%"kind": "psvd"%'""")
        db.commit()
    fleet.up()
    first = _events(fleet, "upgrade")
    assert len(first) == 1 and "0.0.9-" in str(first[0]["from"]) and "0.0.9-" not in str(first[0]["to"])
    fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and len(_events(fleet, "psvd")) == 3, "a new psvd of the same copy")
    assert _events(fleet, "upgrade") == first
    assert [event["is_cold"] for event in _events(fleet, "psvd")] == [True, True, False]


RESTING = """
    [global]
    ready = { after = "0s" }
    restart = { policy = "on-failure", initial = "0s" }
    [bots.x]
    command = ["sleep", "1000"]
    [bots.done]
    command = ["true"]
    ready = { after = "60s" }
    [bots.auth]
    command = ["sh", "-c", "exit 77"]
    ready = { after = "60s" }
    [bots.off]
    command = ["sleep", "1000"]
    [bots.waits]
    command = ["sleep", "1000"]
    depends_on = ["auth"]
    [bots.good]
    command = ["true"]
    schedule = { every = "1h" }
"""


def test_what_a_new_psvd_only_restores_is_no_news(fleet: LiveFleet) -> None:
    """After kill -9 of psvd neither history nor events have a transition that did not happen; what happens then is in both."""
    fleet.configure(RESTING)
    fleet.up()
    fleet.call("bot.stop", names=["off"])
    fleet.until("done", state="TERMINATED")
    before, shown = _transitions(fleet), _told(fleet)
    for _ in range(2):
        fleet.kill_role("psvd")
        eventually(fleet.answers, "a new psvd answers")
        fleet.call("fleet.wait", timeout_s=30.0)
        states = {bot["name"]: bot["state"] for bot in fleet.call("bot.list")}
        assert states == {"x": "RUNNING", "done": "TERMINATED", "auth": "FAILED", "off": "STOPPED", "waits": "FAILED", "good": "TERMINATED"}
        assert (_transitions(fleet), _told(fleet)) == (before, shown)
    fleet.call("bot.restart", names=["x"])
    fleet.call("bot.stop", names=["auth"])
    new = [(row["bot"], row["from"], row["to"]) for row in _transitions(fleet) if row not in before]
    steps = ["RUNNING", "RESTARTING", "INITIALIZING", "STARTING", "RUNNING"]
    assert new == [*(("x", *pair) for pair in itertools.pairwise(steps)), ("auth", "FAILED", "STOPPED")]
    before = _transitions(fleet)
    fleet.down()
    fleet.up()
    assert not [row for row in _transitions(fleet) if row not in before and row["bot"] in ("off", "good")]


def _transitions(fleet: LiveFleet) -> list[dict[str, object]]:
    return [row for row in fleet.call("bot.history", names=["*"]) if row["kind"] == "transition"]


def _told(fleet: LiveFleet) -> list[object]:
    with ControlClient(fleet.paths) as client:
        return [event["seq"] for event in client.stream("fleet.events", {"names": []}) if event["kind"] == "transition"]


async def test_a_follower_hears_nothing_that_is_only_restored(tmp_path: Path) -> None:
    """It is told to psvd's own parts, takes no number, and is not kept."""
    life = Life(tmp_path / "psv.db")
    heard: list[Event] = []
    life.events.listen(heard.append)
    life.events.tell("transition", bot="x", is_restored=True)
    life.events.tell("exit", bot="x")
    assert [(event["kind"], event["seq"]) for event in heard] == [("transition", 0), ("exit", 1)]
    assert [event["kind"] for event in await life.read()] == ["exit"]


@pytest.mark.parametrize("verb", ["events", "logs"])
def test_ctrl_c_ends_a_follow_with_130(fleet: LiveFleet, verb: str) -> None:
    """As it ends every other command, and without a traceback."""
    fleet.configure('[bots.x]\ncommand = ["sh", "-c", "echo hello; exec sleep 1000"]\n')
    fleet.up()
    argv = [*PSV, "-C", str(fleet.folder), verb, "-f"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True) as following:
        assert following.stdout is not None and following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=30)
    assert (following.returncode, said) == (130, "")
