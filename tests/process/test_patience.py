"""Deadlines that do not run while the loop does not: a stall is nobody's delay but ours."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from processsupervisor.process.patience import STEP_S, Countdown, wait_patiently

STALL_S = 2.5

Run = Callable[[Awaitable[object]], object]


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the two loops: they order overdue timers and readable sockets differently."""

    def runs(work: Awaitable[object]) -> object:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(work)  # type: ignore[arg-type]

    return runs


def test_what_came_during_a_stall_is_read_before_the_deadline_acts(run: Run) -> None:
    """The word of a bot lay in the socket all the time: it was not late."""

    async def scene() -> list[str]:
        happened: list[str] = []
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        countdown = Countdown(1.0, lambda: happened.append("deadline"))

        def on_word() -> None:
            happened.append(ours.recv(10).decode())
            countdown.cancel()

        loop.add_reader(ours.fileno(), on_word)
        theirs.send(b"ready")
        time.sleep(STALL_S)
        await asyncio.sleep(STEP_S + 0.5)
        loop.remove_reader(ours.fileno())
        ours.close()
        theirs.close()
        return happened

    assert run(scene()) == ["ready"]


def test_a_stall_counts_as_one_step_at_most(run: Run) -> None:
    """Of three seconds one may pass in the stall; the other two are still given."""

    async def scene() -> float:
        over = asyncio.Event()
        Countdown(3.0, over.set)
        time.sleep(STALL_S)
        began = time.monotonic()
        await over.wait()
        return time.monotonic() - began

    left_s = run(scene())
    assert isinstance(left_s, float)
    assert left_s >= 1.9


def test_without_a_stall_a_deadline_acts_in_its_time(run: Run) -> None:
    """Steps add up to the delay; a delay of zero acts at the next turn."""

    async def scene() -> float:
        over = asyncio.Event()
        began = time.monotonic()
        Countdown(1.2, over.set)
        await over.wait()
        took_s = time.monotonic() - began
        over.clear()
        Countdown(0.0, over.set)
        await asyncio.wait_for(over.wait(), 0.5)
        return took_s

    took_s = run(scene())
    assert isinstance(took_s, float)
    assert 1.2 <= took_s < 2.0


def test_a_cancelled_deadline_never_acts(run: Run) -> None:
    """Not in its first step and not in a later one."""

    async def scene() -> list[str]:
        happened: list[str] = []
        early, late = Countdown(0.1, lambda: happened.append("early")), Countdown(1.2, lambda: happened.append("late"))
        early.cancel()
        await asyncio.sleep(1.1)
        late.cancel()
        late.cancel()
        await asyncio.sleep(0.4)
        return happened

    assert run(scene()) == []


def test_waiting_patiently_tells_whether_the_event_came(run: Run) -> None:
    """True as soon as it comes, False at the end of the patience."""

    async def scene() -> tuple[bool, bool, float]:
        event = asyncio.Event()
        missed = await wait_patiently(event, 0.1)
        asyncio.get_running_loop().call_later(0.05, event.set)
        began = time.monotonic()
        came = await wait_patiently(event, 10.0)
        return missed, came, time.monotonic() - began

    missed, came, took_s = run(scene())  # type: ignore[misc]
    assert (missed, came) == (False, True)
    assert took_s < 2.0
