"""What psvd is to hear of: counted while it is away, and told at most once in a while."""

from __future__ import annotations

import asyncio

from processsupervisor.bot.tally import Tally


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.is_there = True

    def __call__(self, count: int, why: str) -> bool:
        if self.is_there:
            self.heard.append((count, why))
        return self.is_there


async def test_what_comes_in_between_is_told_at_the_end_of_the_while():
    """The first at once, all others together, with the newest reason; nothing when there was nothing."""
    ear = Ear()
    tally = Tally(ear, 0.01)
    for why in ("one", "two", "three"):
        tally.add(why=why)
    assert ear.heard == [(1, "one")]
    while len(ear.heard) < 2:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.03)
    assert ear.heard == [(1, "one"), (2, "three")]


def test_nothing_is_lost_while_nobody_is_there():
    """It is told whole when somebody comes, once."""
    ear = Ear()
    ear.is_there = False
    tally = Tally(ear)
    tally.add(2)
    tally.add()
    assert ear.heard == []
    ear.is_there = True
    tally.flush()
    tally.flush()
    assert ear.heard == [(3, "")]
