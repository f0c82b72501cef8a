"""One timer watches every turn, and finds each late one."""

from __future__ import annotations

import asyncio

from processsupervisor.chat.deadlines import Deadlines
from processsupervisor.chat.turns import Turn
from processsupervisor.storage.records import InboxRow, Place


def turn(number: int) -> Turn:
    return Turn(InboxRow(number, Place("web", "a"), f"m{number}", "x", "hi", 0.0))


async def test_only_what_is_still_watched_is_late_and_in_order():
    """One that was forgotten is not; one that began later is found later."""
    late: list[int] = []
    all_late = asyncio.Event()

    def hear(one: Turn) -> None:
        late.append(one.row.row_id)
        if len(late) == 3:
            all_late.set()

    deadlines = Deadlines(1.0, hear)  # far from what a busy machine takes for the four
    turns = [turn(number) for number in range(4)]
    for one in turns:
        deadlines.watch(one)
        await asyncio.sleep(0.005)
    deadlines.forget(turns[0])
    assert late == []
    async with asyncio.timeout(10):
        await all_late.wait()
    assert late == [1, 2, 3]
    deadlines.forget(turns[1])  # long gone
