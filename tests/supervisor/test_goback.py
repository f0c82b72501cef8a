"""Laws of taking back a deploy: when a bot of it crash-loops in time, once, over the death of psvd, and no other change with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from processsupervisor.config.release import read_deployed
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.clock import boottime
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor import goback
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.goback import GoBack

RECORD = ExitRecord(
    Reason.CODE, 1, None, 1.0, 3, message="exited with 1", exception={"type": "KeyError", "message": "S3CRET", "file": "/x/bots.py", "line": 7}
)


class World:
    """The versions that a fleet keeps, which one runs, and psvds that come and go over one folder."""

    def __init__(self, folder: Path) -> None:
        self.paths = FleetPaths(folder)
        self.paths.ensure()
        self.events = Events()
        self.told: list[Event] = []
        self.events.listen(self.told.append)
        self.kept: dict[int, Applied] = {}
        self.running = 0
        self.calls: list[tuple[int, str]] = []
        self.answers: list[Exception | dict[str, object]] = []
        self.looping: set[str] = set()
        self.noted = ""
        self.watching = self.psvd()

    def psvd(self) -> GoBack:
        """Return what a new psvd has of it; the old one hears no more."""
        if hasattr(self, "watching"):
            self.events.unlisten(self.watching.on_event)
        self.watching = GoBack(self.paths, self.events, self.applied, self.apply, lambda _bot: RECORD, lambda: frozenset(self.looping), self.note)
        if self.running:
            self.watching.begin(self.running)
        return self.watching

    def note(self, text: str) -> None:
        self.noted = text

    def applied(self, number: int) -> Applied:
        if number not in self.kept:
            raise Refused(f"version {number} is not kept")
        return self.kept[number]

    def run(self, release: int | None, within_s: float = 600.0) -> int:
        """Have a new version run whose bots come from `release`; `still` comes from the folder."""
        number, before = len(self.kept) + 1, self.running
        bots = [{"name": name, "release": of} for name, of in (("shop", release), ("still", None))]
        self.kept[number] = cast(Applied, {"fleet": {"release_watch_s": within_s}, "bots": bots, "release": release})
        self.running = number
        self.events.tell("config-change", step="plan")
        if before:
            self.watching.on_applied(number, before)
        else:
            self.watching.begin(number)
        return number

    async def apply(self, number: int, reason: str) -> dict[str, object]:
        """Carry out a rollout to a kept version, as psvd does: its content is a new version."""
        self.calls.append((number, reason))
        answer = self.answers.pop(0) if self.answers else {"ok": True}
        if isinstance(answer, Exception):
            raise answer
        if answer["ok"]:
            new, before = len(self.kept) + 1, self.running
            self.kept[new], self.running = self.kept[number], new
            self.watching.on_applied(new, before)
        return answer

    def loop(self, bot: str = "shop") -> None:
        self.events.tell("transition", bot=bot, to="FAILED", reason="crash-loop", **{"from": "STARTING"})

    def steps(self) -> list[Any]:
        return [event["step"] for event in self.told if event["kind"] == "release"]

    def alerts(self) -> list[str]:
        return [str(event["message"]) for event in self.told if event["kind"] == "alert"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A fleet that runs release 3."""
    monkeypatch.setattr(goback, "_WORDS_S", 0.0)
    monkeypatch.setattr(goback, "_RETRY_S", 0.01)
    made = World(tmp_path)
    made.run(3)
    return made


@asynccontextmanager
async def alive(world: World) -> AsyncIterator[None]:
    """Let the present psvd go on meanwhile."""
    task = asyncio.create_task(world.watching.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def rest() -> None:
    """Let everything that is due happen."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_a_bot_of_the_deploy_that_crash_loops_takes_it_back(world: World) -> None:
    """By the version before, with the bot and its last words as reason, and without what its exception said; the release is marked."""
    before, bad = world.running, world.run(4)
    async with alive(world):
        world.loop()
        await until(world.alerts)
    assert world.calls == [(before, "release 4: shop is crash-looping: KeyError at bots.py:7")]
    assert (bad, world.running, world.kept[world.running]["release"]) == (2, 3, 3)
    facts = read_deployed(world.paths)
    assert (facts["history"], facts["watch"], list(facts["rejected"])) == ([3, 4, 3], None, ["4"])
    assert world.steps() == ["deployed", "back"]
    assert world.alerts() == [world.noted]
    assert "taken back" in world.noted
    assert "S3CRET" not in repr(world.told) + world.paths.deployed.read_text()


async def test_it_is_done_once(world: World) -> None:
    """The release before is not watched: when it crash-loops too, the two do not take turns."""
    world.run(4)
    async with alive(world):
        world.loop()
        world.loop()
        await until(world.alerts)
        world.loop()
        await rest()
    assert len(world.calls) == 1


async def test_only_bots_of_the_deploy_count(world: World) -> None:
    """Not one from the folder, not one that crash-looped before; and nothing but a crash loop does."""
    world.looping.add("shop")
    world.run(4)
    world.looping.clear()
    async with alive(world):
        world.loop("shop")
        world.loop("still")
        world.events.tell("transition", bot="shop", to="FAILED", reason="config")
        await rest()
    assert not world.calls
    assert read_deployed(world.paths)["watch"] is not None


async def test_a_change_without_another_release_is_not_watched(world: World) -> None:
    """Neither when it is the first that is known, nor with release_watch = 0."""
    world.run(3)
    assert read_deployed(world.paths)["watch"] is None
    world.run(4, within_s=0.0)
    async with alive(world):
        world.loop()
        await rest()
    assert not world.calls
    assert read_deployed(world.paths)["history"] == [3, 4]


async def test_a_later_change_ends_the_watch(world: World) -> None:
    """Going back would take that change back too."""
    world.run(4)
    world.run(4)
    async with alive(world):
        world.loop()
        await rest()
    assert not world.calls


async def test_after_its_time_a_release_has_proved_itself(world: World) -> None:
    """What crash-loops later is not its fault."""
    world.run(4, within_s=0.05)
    async with alive(world):
        await until(lambda: "proved" in world.steps())
        world.loop()
        await rest()
    assert not world.calls


async def test_the_next_psvd_watches_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is left of the time; after a reboot for all of it, for nobody knows how long that took."""
    world.run(4, within_s=1000.0)
    began = read_deployed(world.paths)["watch"]
    assert began is not None
    world.psvd()
    assert read_deployed(world.paths)["watch"] == began
    monkeypatch.setattr(goback, "boot_id", lambda: "another")
    monkeypatch.setattr(goback, "boottime", lambda: 5.0)
    world.psvd()
    watch = read_deployed(world.paths)["watch"]
    assert watch is not None
    assert (watch["boot_id"], watch["until_boottime"]) == ("another", 1005.0)
    async with alive(world):
        world.loop()
        await until(world.alerts)
    assert [number for number, _ in world.calls] == [1]


async def test_time_that_ran_out_while_no_psvd_lived_ends_the_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that the new psvd finds crash-looping is not blamed on it."""
    world.run(4, within_s=100.0)
    later = boottime() + 101
    monkeypatch.setattr(goback, "boottime", lambda: later)
    world.psvd()
    world.loop()
    async with alive(world):
        await until(lambda: "proved" in world.steps())
    assert not world.calls


async def test_a_psvd_that_died_in_going_back_left_it_to_the_next(world: World) -> None:
    """The decision is on disk before anything is done, with its reason."""
    world.run(4)
    hangs = asyncio.Event()

    async def never(number: int, reason: str) -> dict[str, object]:
        hangs.set()
        await asyncio.Future()
        raise AssertionError

    world.watching._apply = never
    async with alive(world):
        world.loop()
        await hangs.wait()
    assert list(read_deployed(world.paths)["rejected"]) == ["4"]
    world.psvd()
    async with alive(world):
        await until(world.alerts)
    assert world.calls == [(1, "release 4: shop is crash-looping: KeyError at bots.py:7")]
    world.psvd()
    async with alive(world):
        await rest()
    assert len(world.calls) == 1
    assert "taken back" in world.noted


async def test_a_deploy_that_was_committed_when_psvd_died_is_watched(world: World) -> None:
    """The next one is told of it at its start; also of a way back, which is not watched itself."""
    world.kept[2], world.running = cast(Applied, {**world.kept[1], "release": 4}), 2
    world.kept[2]["bots"][0]["release"] = 4
    for _ in range(2):
        made = GoBack(world.paths, world.events, world.applied, world.apply, lambda _bot: RECORD, frozenset, world.note)
        made.begin(2, 1)
        watch = read_deployed(world.paths)["watch"]
        assert watch is not None
        assert (watch["number"], watch["before"], watch["bots"]) == (2, 1, ["shop"])
        assert read_deployed(world.paths)["history"] == [3, 4]
        world.events.unlisten(made.on_event)
    made._facts["rejected"]["4"] = {"reason": "release 4: shop is crash-looping", "at": 1.0}
    made._keep({**watch, "reason": "release 4: shop is crash-looping"})
    world.kept[3] = world.kept[1]
    GoBack(world.paths, world.events, world.applied, world.apply, lambda _bot: RECORD, frozenset, world.note).begin(3, 2)
    facts = read_deployed(world.paths)
    assert (facts["history"], facts["watch"], list(facts["rejected"])) == ([3, 4, 3], None, ["4"])
    assert "taken back" in world.noted


async def test_a_rollout_under_way_is_waited_for(world: World) -> None:
    """And when that brought another version, that is the newer word."""
    busy = Refused("a rollout is under way", code="rollout-runs")
    world.run(4)
    world.answers = [busy, busy]
    async with alive(world):
        world.loop()
        await until(world.alerts)
    assert len(world.calls) == 3
    assert world.kept[world.running]["release"] == 3
    world.run(5)
    world.answers = [busy] * 1000
    async with alive(world):
        world.loop()
        await until(lambda: len(world.calls) > 4)
        world.run(6)
        await until(lambda: "left" in world.steps())
        calls = len(world.calls)
        world.loop()
        await rest()
    assert (len(world.alerts()), len(world.calls)) == (1, calls)  # nobody goes back to release 5, which crash-looped itself
    assert world.kept[world.running]["release"] == 6


@pytest.mark.parametrize("answer", [PsvError("version 1 is not kept"), {"ok": False, "message": "shop was not ready"}])
async def test_what_cannot_be_taken_back_is_told_with_why(world: World, answer: Any) -> None:
    """It is not tried for ever; a person is told."""
    world.run(4)
    world.answers = [answer]
    async with alive(world):
        world.loop()
        await until(world.alerts)
    assert "it could not be taken back: " in world.alerts()[0]
    assert "psv release rollback" in world.alerts()[0]
    assert read_deployed(world.paths)["watch"] is None


async def test_a_disk_that_refuses_does_not_keep_it_from_going_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the memory of the next psvd is lost."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(goback, "write_json", refuse)
    world.run(4)
    async with alive(world):
        world.loop()
        await until(world.alerts)
    assert world.kept[world.running]["release"] == 3


async def test_a_release_that_runs_again_is_no_longer_marked(world: World) -> None:
    """--again proved it."""
    world.kept[9] = cast(Applied, {"release": 4})
    world.watching.on_rolled_back(9, 1, "its canary was not ready")
    assert read_deployed(world.paths)["rejected"]["4"]["reason"] == "its canary was not ready"
    world.run(4)
    assert read_deployed(world.paths)["rejected"] == {}
    assert not world.noted
