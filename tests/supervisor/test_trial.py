"""One bot's trial in a rollout, without processes: what decides it, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from processsupervisor.kernel.states import State
from processsupervisor.supervisor import trial
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.pins import Pins
from processsupervisor.supervisor.trial import Outcome, Trials


class _Bot:
    """A handle that moves as the test says."""

    def __init__(self) -> None:
        self.name, self.via, self.generation = "a", "zygote z-0", 1
        self.life = SimpleNamespace(state=State.RUNNING)
        self.last_exit = None
        self.spec = {"stop": {"timeout_s": 1}, "start_timeout_s": 1}

    def stop(self, *, is_restart: bool) -> bool:
        return is_restart


def _trials() -> tuple[Trials, _Bot, Callable[[State, int], None]]:
    pins = Pins()
    pins.tie("a", "z-0", "not yet")
    fleet: Any = SimpleNamespace(
        events=Events(), aftermath=SimpleNamespace(), zygotes=SimpleNamespace(pins=pins, is_alive=lambda key: key == "z-0")
    )
    bot = _Bot()

    def move(state: State, generation: int) -> None:
        bot.life.state, bot.generation = state, generation
        fleet.events.tell("transition", bot="a")

    return Trials(fleet), bot, move


async def test_a_start_that_the_system_refused_is_tried_again() -> None:
    """Nothing is known of the new zygote then: the start that follows by itself is the trial."""
    trials, bot, move = _trials()
    rolling = asyncio.create_task(trials.roll(bot))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    for state, generation in [(State.RESTARTING, 1), (State.INITIALIZING, 1), (State.STARTING, 2), (State.RECOVERING, 2), (State.STARTING, 3)]:
        move(state, generation)
        await asyncio.sleep(0)
        assert not rolling.done()
    move(State.RUNNING, 3)
    assert await rolling == (Outcome.ROLLED, "")


async def test_the_old_zygote_is_said_to_be_gone_only_if_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that came to no end in its time says so, and no more than that."""
    monkeypatch.setattr(trial, "_deadline_s", lambda _: 0.05)
    trials, bot, move = _trials()
    rolling = asyncio.create_task(trials.roll(bot))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    move(State.RECOVERING, 2)
    outcome, message = await rolling
    assert outcome is Outcome.FAILED
    assert "is still RECOVERING" in message and "gone" not in message
