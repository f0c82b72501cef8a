"""The breaker: refused starts wait together, are tried one at a time with growing delay, and all go when there is room."""

from __future__ import annotations

from collections.abc import Callable

from processsupervisor.supervisor.breaker import FIRST_DELAY_S, LONGEST_DELAY_S, Breaker


class _Later:
    """Timers that fire when the test says so."""

    def __init__(self) -> None:
        self.planned: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay_s: float, act: Callable[[], None]) -> _Later:
        self.planned = [(delay_s, act)]
        return self

    def cancel(self) -> None:
        self.planned = []

    def fire(self) -> float:
        (delay_s, act) = self.planned.pop()
        act()
        return delay_s


class _System:
    """Bots b0…bN over a system with `room`; every attempt is counted."""

    def __init__(self, room: int) -> None:
        self.later = _Later()
        self.breaker = Breaker(self.later)
        self.room = room
        self.attempts: list[str] = []
        self.running: list[str] = []

    def start(self, bot: str) -> bool:
        if not self.breaker.admits(bot):
            self.breaker.hold(bot, lambda: self.start(bot))
            return False
        self.attempts.append(bot)
        if len(self.running) < self.room:
            self.running.append(bot)
            self.breaker.done(bot)
        else:
            self.breaker.refused(bot, "no room", lambda: self.start(bot))
        return True


def test_without_refusals_nothing_is_held_back() -> None:
    """A closed breaker is no obstacle, and says nothing."""
    system = _System(100)
    for number in range(100):
        system.start(f"b{number}")
    assert len(system.running) == 100
    assert system.breaker.problem == ""


def test_after_a_refusal_one_start_is_tried_at_a_time_with_growing_delay() -> None:
    """Twenty bots without room: one attempt a delay, the delay doubled to its limit, and status says why."""
    system = _System(0)
    for number in range(20):
        system.start(f"b{number}")
    assert system.attempts == ["b0"]
    delays = [system.later.fire() for _ in range(8)]
    assert delays == [FIRST_DELAY_S, 1.0, 2.0, 4.0, 8.0, LONGEST_DELAY_S, LONGEST_DELAY_S, LONGEST_DELAY_S]
    assert system.attempts == ["b0", *(f"b{n}" for n in range(8))], "each try is another bot's turn"
    assert "no room" in system.breaker.problem and "wait: 20" in system.breaker.problem


def test_when_there_is_room_again_all_go_without_delay() -> None:
    """The first success lets the next one go at once; afterwards the delay is forgotten."""
    system = _System(0)
    for number in range(20):
        system.start(f"b{number}")
    system.room = 100
    assert system.later.fire() == FIRST_DELAY_S
    while system.later.planned:
        assert system.later.fire() == 0.0
    assert len(system.running) == 20
    assert len(system.attempts) == 21
    assert not system.breaker.is_open


def test_a_refusal_in_between_makes_the_rest_wait_longer() -> None:
    """Room for five of twenty: no return to the first delay while somebody waits."""
    system = _System(0)
    for number in range(20):
        system.start(f"b{number}")
    system.room = 5
    while len(system.running) < 5:
        system.later.fire()
    assert system.later.fire() == 0.0
    assert [system.later.fire() for _ in range(2)] == [1.0, 2.0]


def test_refusals_of_starts_under_way_are_one_refusal() -> None:
    """What was launched before the breaker opened tells nothing new, and waits like the others."""
    system = _System(0)
    system.start("b0")
    for number in range(1, 16):
        system.breaker.refused(f"b{number}", "no room", lambda: True)
    assert system.breaker.refusals == 1
    assert len(system.breaker.waiting) == 16
    assert system.later.fire() == FIRST_DELAY_S


def test_a_bot_that_is_stopped_meanwhile_holds_up_nobody() -> None:
    """A start that has become void is passed over; with nobody left the breaker closes."""
    system = _System(0)
    system.breaker.refused("b0", "no room", lambda: False)
    system.breaker.hold("b1", lambda: False)
    system.later.fire()
    assert not system.breaker.is_open
    assert system.start("b2")
