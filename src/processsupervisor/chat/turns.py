"""A turn: one message being handled (or several that debounce made one), and everything that may end it early.

A turn can be ended by its deadline, by a newer message (interrupt) or by the bot's stop. The first two are told apart from
the third by `ended_by`; both cancel the task at its next await, but never inside of a step (bot/steps.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from processsupervisor.storage.records import InboxRow, Reply

GRACE_S = 1.0
"""What a handler may take to end once its deadline has cancelled it; then it is left behind."""


class End(StrEnum):
    """What ended a turn before its handler did."""

    DEADLINE = "deadline"
    INTERRUPT = "interrupt"


class Turn:
    """One run of work in a conversation. Everything happens on the loop's thread."""

    __slots__ = (
        "_timer", "ended_by", "is_answer", "is_firm", "is_left_behind", "is_open", "is_passed_on", "others", "pass_on", "row", "steps",
        "task", "wants_interrupt",
    )  # fmt: skip

    def __init__(self, row: InboxRow, others: tuple[InboxRow, ...] = ()) -> None:
        self.row = row
        """What the handler gets: the text of all messages, under the number of the last."""
        self.others = others
        """The messages before, which end when `row` does."""
        self.task: asyncio.Task[None] | None = None
        self.is_open = False
        """The author's code runs, or waits to be tried again: the turn can be ended."""
        self.steps = 0
        """How many steps the handler stands in; it is not interrupted then."""
        self.is_answer = False
        """It goes on with a handler that has asked: no newer message ends that, which would answer the question once more."""
        self.wants_interrupt = False
        self.is_firm = False
        """No newer message ends it any more."""
        self.ended_by: End | None = None
        self.is_left_behind = False
        """The handler took no notice of its end. What it still does counts for nothing."""
        self.pass_on: Callable[[list[Reply]], None] | None = None
        """Ends the turn with these replies from inside of its handler, which keeps the task and goes on as part of a later turn."""
        self.is_passed_on = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the turn has ended although its task has not."""
        return self.is_left_behind or self.is_passed_on

    def open(self) -> None:
        """Let the turn be ended from now on."""
        self.is_open = True
        self.is_answer = False
        if self.wants_interrupt:
            self._interrupt_soon()

    def close(self) -> None:
        """The handler has ended, or passed the turn on: nothing ends it any more."""
        self.is_open = False
        self.pass_on = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def interrupt(self) -> None:
        """End the turn for a newer message: now, or as soon as it is open and in no step."""
        self.wants_interrupt = True
        is_kept = self.is_firm or self.is_answer or self.steps
        if self.is_open and not is_kept and self.ended_by is None and self.task is not None:
            self.ended_by = End.INTERRUPT
            self.task.cancel()

    def hold_fast(self) -> None:
        """Let no newer message end the turn: its handler had come to an end, or to the end of a step, and has to run again."""
        self.is_firm, self.ended_by = True, None

    def enter_step(self) -> None:
        """Keep newer messages from ending the turn."""
        self.steps += 1

    def leave_step(self) -> None:
        """End what enter_step began; an interrupt that waited for it takes hold at the next await."""
        self.steps -= 1
        if self.wants_interrupt:
            self._interrupt_soon()

    def _interrupt_soon(self) -> None:
        """Interrupt the handler where it waits next: a task that is cancelled while it runs could be hit inside of its next step."""
        asyncio.get_running_loop().call_soon(self.interrupt)

    def expire(self, left_behind: Callable[[Turn], None]) -> None:
        """End the turn for its deadline; `left_behind` is called when its handler has not ended GRACE_S later."""
        self.ended_by = End.DEADLINE
        if self.task is not None:
            self.task.cancel()
        self._timer = asyncio.get_running_loop().call_later(GRACE_S, self._leave_behind, left_behind)

    def _leave_behind(self, left_behind: Callable[[Turn], None]) -> None:
        self._timer = None
        self.is_open = False
        self.is_left_behind = True
        left_behind(self)
