"""Order in a conversation, many at once, pause and drain."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from processsupervisor.chat.conversation import Conversations
from processsupervisor.chat.settings import ChatSettings, Mode
from processsupervisor.chat.turns import Turn
from processsupervisor.storage.records import InboxRow, Place


def row(number: int, conversation: str = "a") -> InboxRow:
    return InboxRow(number, Place("web", conversation), f"m{number}", "x", "hi", 0.0)


class Handler:
    """Records what began; messages wait for `gate`."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()

    async def __call__(self, turn: Turn) -> None:
        item = turn.row
        self.begun.append(item.row_id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            self.ended.append(item.row_id)
        finally:
            self.running -= 1


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_conversation_is_handled_in_order_and_one_at_a_time():
    """The second message begins when the first has ended."""
    handler = Handler()
    conversations = Conversations(handler)
    for number in range(50):
        conversations.put(row(number))
    await settle()
    assert handler.begun == [0]
    handler.gate.set()
    await conversations.wait_idle()
    assert handler.ended == list(range(50)) and handler.most == 1 and conversations.waiting == 0


async def test_conversations_run_beside_each_other_up_to_the_limit():
    """A slow conversation holds up no other one, and no more than the limit run at once."""
    handler = Handler()
    conversations = Conversations(handler, ChatSettings(at_once=4))
    for number in range(40):
        conversations.put(row(number, f"c{number % 10}"))
    await settle()
    assert handler.begun == [0, 1, 2, 3]
    handler.gate.set()
    await conversations.wait_idle()
    assert sorted(handler.ended) == list(range(40)) and handler.most == 4
    for key in range(10):
        mine = [number for number in handler.ended if number % 10 == key]
        assert mine == sorted(mine)


async def test_pause_ends_what_runs_and_begins_nothing():
    """What is queued at a pause stays queued, in order, until resume."""
    handler = Handler()
    conversations = Conversations(handler)
    for number in range(3):
        conversations.put(row(number))
    await settle()
    conversations.pause()
    handler.gate.set()
    await conversations.wait_idle()
    conversations.put(row(3))
    await settle()
    assert handler.ended == [0] and conversations.waiting == 3
    conversations.resume()
    await conversations.wait_idle()
    assert handler.ended == [0, 1, 2, 3]


OLD, NEW = Place("web", "old"), Place("web", "new")


async def test_a_conversation_that_moves_is_one_line():
    """What comes under its new id waits for what waits under the old one; so it is when both had work, which then ends first."""
    for running, queued in (("old", "new"), ("new", "old")):
        handler = Handler()
        conversations = Conversations(handler)
        for number, place in ((1, running), (2, "old"), (3, queued), (4, running)):
            conversations.put(row(number, place))
        await settle()
        conversations.moved(OLD, NEW)
        for number, place in ((5, "new"), (6, "old"), (7, "other")):
            conversations.put(row(number, place))
        begun = list(handler.begun)
        handler.gate.set()
        await conversations.wait_idle()
        mine = [number for number in handler.begun if number != 7]
        assert len(begun) == 2 and sorted(begun) == mine[:2] and mine[2:] == sorted(mine[2:]) and len(mine) == 6
        assert not conversations._lanes and conversations.waiting == 0


async def test_two_that_run_when_they_become_one_both_end_first():
    """Also when it moves once more meanwhile: the message behind them runs alone."""
    gates = {number: asyncio.Event() for number in range(6)}
    running: set[int] = set()
    seen = []

    async def handle(turn: Turn) -> None:
        running.add(turn.row.row_id)
        seen.append(set(running))
        await gates[turn.row.row_id].wait()
        running.discard(turn.row.row_id)

    conversations = Conversations(handle)
    for number, place in ((0, "old"), (1, "new"), (2, "newest"), (3, "old"), (4, "new")):
        conversations.put(row(number, place))
    await settle()
    conversations.moved(OLD, NEW)
    conversations.moved(NEW, Place("web", "newest"))
    for number in (1, 2, 0):
        assert len(seen) == 3
        gates[number].set()
        await settle()
    assert seen[3:] == [{3}]
    gates[3].set()
    gates[4].set()
    await conversations.wait_idle()
    assert seen[3:] == [{3}, {4}] and not conversations._lanes


async def test_a_message_that_says_where_its_conversation_went_waits_there():
    """As those do that an earlier life left."""
    handler = Handler()
    conversations = Conversations(handler)
    for number, place in ((1, "old"), (2, "new"), (3, "old")):
        conversations.put(replace(row(number, place), moved_to=NEW if place == "old" else None))
    handler.gate.set()
    await conversations.wait_idle()
    assert handler.ended == [1, 2, 3] and handler.most == 1


async def test_drain_does_not_wait_for_a_task_that_is_left_to_itself():
    """A handler that asks when the bot ends: its turn is over, its task waits on."""
    turns: list[Turn] = []
    answer = asyncio.Event()

    async def handle(turn: Turn) -> None:
        turns.append(turn)
        await answer.wait()

    conversations = Conversations(handle)
    conversations.put(row(1))
    await settle()
    [turn] = turns

    def ask() -> None:
        turn.is_passed_on = True
        conversations.leave(turn)

    asyncio.get_running_loop().call_later(0.01, ask)
    async with asyncio.timeout(10):
        assert await conversations.drain(60.0) is True
    answer.set()


async def test_drain_waits_then_cancels():
    """Within the time what runs ends by itself; after it, it is cancelled, and drain says so."""
    handler = Handler()
    conversations = Conversations(handler)
    conversations.put(row(1))
    await settle()
    asyncio.get_running_loop().call_later(0.02, handler.gate.set)
    assert await conversations.drain(5.0) is True
    assert handler.ended == [1]

    stuck = Handler()
    conversations = Conversations(stuck)
    conversations.put(row(1))
    conversations.put(row(2))
    await settle()
    assert await conversations.drain(0.02) is False
    assert stuck.begun == [1] and stuck.ended == [] and conversations.waiting == 1


async def test_a_turn_that_is_run_anew_comes_before_what_waits_and_its_old_task_is_left_to_itself():
    """In a task of its own, with the messages that were one; nothing newer interrupts it once it has to hold fast."""
    begun: list[tuple[int, bool]] = []
    waits = asyncio.Event()

    async def handle(turn: Turn) -> None:
        begun.append((turn.row.row_id, turn.wants_interrupt))
        if len(begun) == 1:
            turn.is_passed_on = True
            asyncio.get_running_loop().call_soon(conversations.again, turn)
            await waits.wait()
            return
        if turn.row.row_id == 1:
            turn.hold_fast()
            turn.open()
            conversations.put(row(3))
            await settle()
            assert turn.ended_by is None and turn.wants_interrupt
            turn.close()

    conversations = Conversations(handle, ChatSettings(mode=Mode.INTERRUPT))
    conversations.put(row(1))
    conversations.put(row(2))
    await conversations.wait_idle()
    waits.set()
    assert [number for number, _ in begun] == [1, 1, 2, 3] and conversations.waiting == 0 and conversations.running == 0


async def test_a_turn_that_is_to_run_anew_is_kept_over_a_pause():
    """It counts as waiting, and is the first when the bot goes on."""
    begun: list[int] = []

    async def handle(turn: Turn) -> None:
        begun.append(turn.row.row_id)
        if len(begun) == 1:
            turn.is_passed_on = True
            conversations.pause()
            conversations.again(turn)

    conversations = Conversations(handle)
    conversations.put(row(1))
    conversations.put(row(2))
    await conversations.wait_idle()
    assert begun == [1] and conversations.waiting == 2
    conversations.resume()
    await conversations.wait_idle()
    assert begun == [1, 1, 2] and conversations.waiting == 0
