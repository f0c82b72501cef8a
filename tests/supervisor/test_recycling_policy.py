"""supervisor.recycling on bots that are looked at by hand: who may go when, jitter, and whose memory is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.lifecycle import Lifecycle
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.recycling import Recycling

LIMITS = {"max_age_s": None, "max_memory_bytes": None, "max_memory_hard_bytes": None, "max_messages": None, "within_s": 0.0, "jitter": 0.0}


class FakeBot:
    """What recycling needs of a handle; `ended` is what it was ended for."""

    def __init__(self, name: str, process: Identity, limits: dict[str, Any] | None, **spec: Any) -> None:
        self.name, self.process, self.group, self.generation, self.wanted = name, process, None, 1, Wanted.UP
        self.spec = {"type": "t", "kind": "command", "schedule": None, "recycle": {**LIMITS, **(limits or {})}, **spec}
        self.life = Lifecycle(name, lambda _: None)
        self.life.state = State.RUNNING
        self.asked: list[dict[str, Any]] = []
        self.link = SimpleNamespace(send=self.asked.append)
        self.ended: list[tuple[Reason, str]] = []

    def end(self, reason: Reason, why: str, *, is_restart: bool = False) -> bool:
        assert is_restart
        self.ended.append((reason, why))
        self.life.state = State.RESTARTING
        return True


@pytest.fixture
def process() -> Iterator[Identity]:
    """A real process of some 10 MB that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(1000)"], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline()
        identity = Identity.of(running.pid)
        assert identity is not None
        yield identity
        running.kill()


def look(bots: list[FakeBot], *, is_held: bool = False, can_start: bool = True, reads: int = 9) -> Recycling:
    """Look at each bot once."""
    made = Recycling(Events(), cast(Any, {bot.name: bot for bot in bots}), lambda _bot: can_start)
    made.is_held = lambda: is_held
    made._reads_left = reads
    for watched in made._watched.values():
        made._look(watched)
    return made


def test_what_is_too_old_goes_one_after_the_other(process: Identity) -> None:
    """The second of the type waits until the first is ready again; one of another type does not, nor one that nobody wants."""
    first, second = (FakeBot(name, process, {"max_age_s": 0.001}) for name in "ab")
    other, down = FakeBot("c", process, {"max_age_s": 0.001}, type="u"), FakeBot("d", process, None, type="u")
    down.wanted, down.life.state = Wanted.DOWN, State.STOPPING
    look([first, second, other, down])
    assert [len(bot.ended) for bot in (first, second, other, down)] == [1, 0, 1, 0]
    for state in (State.INITIALIZING, State.STARTING, State.RECOVERING, State.UNKNOWN):
        first.life.state = state
        look([first, second])
    assert second.ended == []
    first.life.state = State.FAILED
    look([first, second])
    assert second.ended[0][0] is Reason.ADMIN and "max_age" in second.ended[0][1]


def test_nobody_goes_during_a_rollout_or_without_a_keeper(process: Identity) -> None:
    """Not even above the hard limit: what ends now could not be started."""
    bot = FakeBot("a", process, {"max_memory_hard_bytes": 1 << 20})
    look([bot], is_held=True)
    look([bot], can_start=False)
    assert bot.ended == []
    look([bot])
    assert bot.ended[0][0] is Reason.MEMORY_POLICY


def test_who_is_about_to_be_stopped_is_not_started_anew(process: Identity) -> None:
    """Its stop waits for those that depend on it: until then it runs, and nobody wants it."""
    bot = FakeBot("a", process, {"max_memory_hard_bytes": 1 << 20})
    bot.wanted = Wanted.DOWN
    look([bot])
    assert bot.ended == []


def test_a_soft_limit_waits_for_the_bot_to_say_that_nothing_is_under_way(process: Identity) -> None:
    """A native bot is asked; what it said before, or says of a message that runs, is no quiet moment."""
    bot = FakeBot("a", process, {"max_messages": 5, "within_s": 1e9}, kind="native")
    made = look([bot])
    assert bot.asked == [{"op": "work"}]
    watched = made._watched["a"]
    for handled, running, is_gone in ((4, 0, False), (5, 1, False), (5, 0, True)):
        made.hear("a", handled, running)
        made._look(watched)
        assert bool(bot.ended) is is_gone


def test_a_paused_bot_is_quiet(process: Identity) -> None:
    """Nothing runs in it."""
    bot = FakeBot("a", process, {"max_age_s": 0.001, "within_s": 1e9}, kind="native")
    bot.life.state = State.PAUSED
    look([bot])
    assert bot.ended


def test_jitter_takes_a_limit_earlier_and_is_another_for_each_life(process: Identity) -> None:
    """Never later than said, never by more than its part, and the same for a psvd that comes anew."""
    bots = [FakeBot(str(number), process, {"max_age_s": 1000.0, "jitter": 0.1}) for number in range(200)]
    limits = [watched.limit("max_age", 1000.0) for watched in look(bots)._watched.values()]
    assert all(900 <= limit <= 1000 for limit in limits) and max(limits) - min(limits) > 80
    assert limits == [watched.limit("max_age", 1000.0) for watched in look(bots)._watched.values()]
    bots[0].generation = 2
    assert look(bots)._watched["0"].limit("max_age", 1000.0) != limits[0]


def test_far_from_its_limit_nothing_is_measured_and_a_turn_without_a_measure_forgets_nothing(process: Identity) -> None:
    """Many near their limit: those that are not measured now keep what was found before."""
    far, near = FakeBot("far", process, {"max_memory_bytes": 1 << 40}), FakeBot("near", process, {"max_memory_bytes": 1 << 20, "within_s": 1e9})
    made = look([far, near], reads=1)
    assert made._watched["far"].read_mono == 0.0 and made._reads_left == 0
    watched = made._watched["near"]
    assert watched.read_mono > 0 and watched.since_mono is not None
    before = watched.since_mono
    made._look(watched)
    assert watched.since_mono == before and watched.memory is not None


def test_a_bot_without_a_limit_and_a_task_are_not_looked_at(process: Identity) -> None:
    """They cost nothing."""
    made = look([FakeBot("a", process, None), FakeBot("b", process, {"max_age_s": 1.0}, schedule={"every_s": 60.0})])
    assert made._watched == {}
