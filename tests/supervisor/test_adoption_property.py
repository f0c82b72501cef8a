"""Adoption over random worlds: whatever lies on disk and whoever lives, no bot is doubled, forgotten or wrongly signalled.

psvd's own code runs (Psvd, Fleet, BotHandle, Launcher, Reconcile, the tables); the kernel and the keeper are fakes. A world
has, for each of two bots, what was once true, and what of it the lock's note, the record and the journal still say.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.supervisor.fakekernel import FakeKernel, Process

from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import Applied
from processsupervisor.ipc.journal import Journal
from processsupervisor.kernel.files import RecordFile
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.resources.cgroups import Groups
from processsupervisor.supervisor import daemon, fleet, reconcile, view

BOTS = ("a", "b")
GENERATION = 7
TOML = """
[fleet]
name = "test"
[web]
enabled = false
[global]
command = ["true"]
ready = { after = "0s" }
restart = { initial = "0s", base = "0.01s", max = "0.02s" }
[bots.a]
[bots.b]
"""
LIVING = {"alive", "signs-late", "elsewhere"}
NAMES_IT = {State.RUNNING, State.STARTING, State.STOPPING, State.RESTARTING}
RECORDS = ("missing", "torn", "intent", *sorted(NAMES_IT), State.FAILED, State.TERMINATED, State.RECOVERING)


@dataclass(frozen=True)
class Case:
    """One bot. `first` is its first process; a number that is `reused` belongs to a stranger now."""

    first: str
    note: str
    record: str
    leftovers: tuple[str, ...]
    is_journaled: bool
    is_wanted: bool

    @property
    def is_named(self) -> bool:
        """Tell whether something on disk says who the first process is, now or in a moment."""
        return self.note == "whole" or self.record in NAMES_IT or self.first == "signs-late"

    @property
    def is_to_stop(self) -> bool:
        return not self.is_wanted or self.record in (State.STOPPING, State.RESTARTING)


CASES = st.builds(
    Case,
    first=st.sampled_from(("none", "alive", "signs-late", "zombie", "gone", "reused", "elsewhere", "other-boot")),
    note=st.sampled_from(("whole", "whole", "torn", "missing", "older")),
    record=st.sampled_from(RECORDS),
    leftovers=st.lists(st.sampled_from(("lock", "marks", "stubborn")), max_size=2).map(tuple),
    is_journaled=st.booleans(),
    is_wanted=st.sampled_from((True, True, True, False)),
).filter(lambda c: c.first not in ("alive", "elsewhere") or c.note != "older" or c.record in NAMES_IT)
"""A living first process that has not signed its lock is about to: who signed it before is dead and nothing else is on disk."""

RECORD_ALONE = Case("alive", "torn", State.RUNNING, ("lock",), False, True)
NEWBORN = Case("signs-late", "older", "intent", (), False, True)


class FakeKeeper:
    """In the place of KeeperLink: reaps, tells, and executes programs, which take their lock or end."""

    def __init__(self, paths: FleetPaths, on_message: Any) -> None:
        self._paths, self._on_message = paths, on_message
        self.pid: int | None = 999
        self.listeners: list[Any] = []
        self.born: list[tuple[str, Process]] = []
        self.doubled: list[str] = []
        self.world: World
        self.welcome: dict[str, Any] = {"fifos": [], "roles": [{"role": "psvd", "pid": os.getpid(), "generation": 2}]}

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """See KeeperPort."""
        await asyncio.sleep(0)
        return self._launch(str(fields["bot"])) if op == "launch" else {"ok": True}

    def tell(self, op: str, **fields: Any) -> None:
        """See KeeperPort."""

    def _launch(self, bot: str) -> dict[str, Any]:
        world = self.world
        if world.kernel.is_flocked(world.lock(bot)) or any(p.is_alive for p in world.copies(bot)):
            self.doubled.append(bot)
        process = world.kernel.spawn(parent=999)
        process.locks.add(world.lock(bot))
        self.born.append((bot, process))
        return {"pid": process.pid, "start_ticks": process.start_ticks}

    def reap(self, process: Process) -> None:
        """Tell of an end, as the keeper does."""
        message = {"op": "exit", "pid": process.pid, "start_ticks": process.start_ticks, "status": process.status, "at": time.time()}
        asyncio.get_running_loop().call_soon(self._on_message, message)


class World:
    """The processes and the files of one example."""

    def __init__(self, paths: FleetPaths, cases: dict[str, Case], *, is_journal_torn: bool) -> None:
        shutil.rmtree(paths.run, ignore_errors=True)
        paths.ensure()
        self.paths, self.cases, self.kernel = paths, cases, FakeKernel()
        self.first: dict[str, Process] = {}
        self.leftovers: dict[str, list[Process]] = {}
        self.identities: dict[str, Identity] = {}
        journal = Journal(paths.journal)
        for bot, case in cases.items():
            self._make(bot, case)
            if case.is_journaled and case.first in ("zombie", "gone", "reused"):
                journal.append(self.identities[bot].pid, self.identities[bot].start_ticks, 3 << 8, time.time())
        os.close(journal._descriptor)
        if is_journal_torn:
            paths.journal.write_bytes(paths.journal.read_bytes()[:-5] + b"\xff" * 30)

    def lock(self, bot: str) -> Path:
        return self.paths.bot_run(bot) / "lock"

    def copies(self, bot: str) -> list[Process]:
        """Return the processes that are the bot, wherever they live."""
        return [self.first[bot]] if bot in self.first else []

    def _make(self, bot: str, case: Case) -> None:
        self.paths.bot_run(bot).mkdir(parents=True)
        self.lock(bot).touch()
        marks = {f"PSV_BOT={bot}".encode(), b"PSV_FLEET=" + os.fsencode(self.paths.folder)}
        process = self.kernel.spawn(parent=999)
        identity = process.identity
        if case.first == "elsewhere":
            identity = Identity(process.pid, process.start_ticks, boot_id(), pid_namespace() + 1)
        elif case.first == "other-boot":
            identity = Identity(process.pid, process.start_ticks, "another boot", pid_namespace())
        self.identities[bot] = identity
        self.leftovers[bot] = []
        for kind in case.leftovers:
            below = self.kernel.spawn(parent=process.pid if case.first in LIVING else 999)
            below.marks |= marks
            below.locks |= {self.lock(bot)} if kind != "marks" else set()
            below.is_stubborn = kind == "stubborn" and case.first not in LIVING
            self.leftovers[bot].append(below)
        if case.first in LIVING:
            process.locks.add(self.lock(bot))
            process.marks |= marks
            self.first[bot] = process
        else:
            self.kernel.end(process, 3 << 8, is_reaped=case.first != "zombie")
        if case.first == "reused":
            self.kernel.spawn(pid=process.pid)
        self._write(bot, case)

    def _write(self, bot: str, case: Case) -> None:
        older = {"pid": 4_999_999, "start_ticks": 1, "boot_id": boot_id(), "pid_namespace": pid_namespace()}
        present = self.identities[bot].to_json() if case.first != "none" else older
        notes = {
            "whole": json.dumps({"generation": GENERATION, **present}) if case.first != "signs-late" else "",
            "older": json.dumps({"generation": GENERATION - 1, **older}),
            "torn": '{"generation": 7, "pid": 12',
            "missing": "",
        }
        self.lock(bot).write_text(notes[case.note])
        if case.record == "missing":
            return
        has_process = case.record == "intent" or case.record in HAS_PROCESS
        facts = {
            "generation": GENERATION,
            "state": State.STARTING if case.record == "intent" else case.record,
            "identity": present if case.record in NAMES_IT and case.first != "none" else None,
            "has_process": has_process,
            "is_ready": case.record == State.RUNNING,
            "reason": "code" if case.record in (State.FAILED, State.RECOVERING) else "",
        }
        record = RecordFile(self.paths.bot_run(bot) / "record")
        record.write(facts)
        record.close()
        if case.record == "torn":
            path = self.paths.bot_run(bot) / "record"
            path.write_bytes(path.read_bytes()[:40] + b"\0" * 100)

    def sign_late(self) -> None:
        """Let the children that have just taken their lock write who they are."""
        for bot, case in self.cases.items():
            if case.first == "signs-late":
                self.lock(bot).write_text(json.dumps({"generation": GENERATION, **self.identities[bot].to_json()}))


async def _live(psvd: daemon.Psvd, world: World) -> None:
    """Adopt, start what is wanted, and go on until nothing moves any more."""
    psvd._take_welcome()
    asyncio.get_running_loop().call_later(0.002, world.sign_late)
    found = await psvd._adopt_all()
    settling = asyncio.create_task(found.settle())
    await psvd._start_wanted(found)
    handles = psvd._fleet.handles.values()
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline and not all(_rests(handle) for handle in handles):
        await asyncio.sleep(0.002)
    settling.cancel()
    psvd._fleet.close()


def _rests(handle: BotHandle) -> bool:
    if handle.life.state in (State.STOPPED, State.FAILED, State.TERMINATED, State.RUNNING):
        return True
    return handle.life.state is State.RECOVERING and handle.next_start_mono is not None and handle.next_start_mono > time.monotonic() + 2


_fleet: list[tuple[FleetPaths, Applied]] = []
"""Not an argument of the test: hypothesis would print all of it beside every failure."""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The fleet's settings, and a folder that every example uses anew."""
    folder = tmp_path_factory.mktemp("property")
    (folder / "fleet.toml").write_text(TOML)
    loaded = load_fleet(folder)
    assert loaded.applied is not None
    paths = FleetPaths(folder)
    paths.database = Path(":memory:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "KeeperLink", FakeKeeper)
        patch.setattr(Groups, "create", lambda *_: None)
        patch.setattr(reconcile, "ADOPT_TIMEOUT_S", 0.03)
        patch.setattr(reconcile, "_LOOK_AGAIN_S", 0.004)
        _fleet.append((paths, loaded.applied))
        yield
        _fleet.clear()


def _play(cases: dict[str, Case], *, is_cold: bool, is_torn: bool) -> tuple[World, daemon.Psvd, FakeKeeper]:
    paths, settings_of_fleet = _fleet[0]
    world = World(paths, cases, is_journal_torn=is_torn)
    psvd = daemon.Psvd(paths, settings_of_fleet)
    keeper: Any = psvd._fleet.keeper
    assert isinstance(keeper, FakeKeeper)
    keeper.world = world
    keeper.welcome["roles"][0]["generation"] = 1 if is_cold else 2
    world.kernel.on_exit = keeper.reap
    for name, handle in psvd._fleet.handles.items():
        handle.wanted = Wanted.UP if cases[name].is_wanted else Wanted.DOWN
    with pytest.MonkeyPatch.context() as patch:
        world.kernel.install(patch)
        try:
            asyncio.run(_live(psvd, world))
        finally:
            world.kernel.close()
    return world, psvd, keeper


@pytest.mark.usefixtures("applied")
@settings(max_examples=200, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking would take minutes
@example(a=RECORD_ALONE, b=NEWBORN, is_cold=False, is_torn=False)
@example(a=RECORD_ALONE, b=NEWBORN, is_cold=True, is_torn=True)
@given(a=CASES, b=CASES, is_cold=st.booleans(), is_torn=st.booleans())
def test_no_bot_is_doubled_forgotten_or_wrongly_signalled(a: Case, b: Case, is_cold: bool, is_torn: bool) -> None:
    """I1 and I3 in every world: at most one copy, signals to proven processes only, and who lives and is proven is adopted."""
    cases = dict(zip(BOTS, (a, b), strict=True))
    world, psvd, keeper = _play(cases, is_cold=is_cold, is_torn=is_torn)
    assert keeper.doubled == [], "started while the bot or its lock's holder lived"
    for process, number in world.kernel.signals:
        assert any(process in _may_be_signalled(world, keeper, bot) for bot in BOTS), f"signal {number} to {process}"
    for bot, case in cases.items():
        _check_end(world, keeper, psvd._fleet.handles[bot], case)


@pytest.mark.usefixtures("applied")
def test_an_operator_is_told_what_can_be_done() -> None:
    """Leftovers that do not end: while they are being ended, and after that was given up, with their pids."""
    case = Case("gone", "whole", State.RUNNING, ("stubborn",), True, True)
    world, psvd, _ = _play({"a": case, "b": case}, is_cold=False, is_torn=False)
    handle = psvd._fleet.handles["a"]
    assert handle.last_exit is not None and str(world.leftovers["a"][0].pid) in handle.last_exit.message
    assert "end the processes that the message names" in view.what_to_do(handle)
    handle.life.state = State.UNKNOWN
    assert "are being ended" in view.what_to_do(handle)
    handle.reason = Reason.UNKNOWN
    assert "cannot tell whether a still runs" in view.what_to_do(handle)
    handle.life.state = State.FAILED
    assert "how it ended was not" in view.what_to_do(handle)


def _may_be_signalled(world: World, keeper: FakeKeeper, bot: str) -> list[Process]:
    """Return the processes that are proven to be of this bot and have no right to live on."""
    case = world.cases[bot]
    if case.first == "elsewhere":
        return []
    if case.first in LIVING:
        return [*world.copies(bot), *world.leftovers[bot]] if case.is_to_stop else []
    return [*world.leftovers[bot], *(process for name, process in keeper.born if name == bot)]


def _check_end(world: World, keeper: FakeKeeper, handle: BotHandle, case: Case) -> None:
    bot, state = handle.name, handle.life.state
    living = [p for p in itertools.chain(world.copies(bot), (p for name, p in keeper.born if name == bot)) if p.is_alive]
    assert len(living) <= 1
    if case.first == "elsewhere" or (case.first in LIVING and not case.is_named):
        assert living == world.copies(bot)
        assert (state, handle.reason) == (State.FAILED, Reason.CONFLICT)
    elif case.first in LIVING and not case.is_to_stop:
        assert living == world.copies(bot)
        assert handle.process == world.identities[bot] and state in HAS_PROCESS
    stubborn = [p for p in world.leftovers[bot] if p.is_alive and world.lock(bot) in p.locks]
    if stubborn and case.first not in LIVING:
        assert (state, handle.reason) == (State.FAILED, Reason.CONFLICT)
        assert handle.last_exit is not None
        assert all(str(p.pid) in handle.last_exit.message for p in stubborn), "the holders are named"
    if state in HAS_PROCESS:
        assert handle.process is not None and [p.identity for p in living] == [handle.process], "psvd knows who runs"
    elif case.first not in LIVING or case.is_to_stop:
        assert not living or case.first in LIVING, "what was started is known"
