"""One run of a handler that may ask: it stops at a question, hands its replies over to be committed, and goes on with the answer.

The handler has a task of its own, so that it can wait while the conversation goes on. The row that it works for, and what it changes,
are those of the message that it got last. Run again from its journal (after a restart, or a failed try) it repeats nothing of what
it did before its last question: its replies, changes and drafts up to there are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from processsupervisor.bot.context import Context, set_context
from processsupervisor.bot.journal import Journal, JournalBroken
from processsupervisor.bot.noted import noted_row, row_noted
from processsupervisor.bot.schedules import BOT_NETWORK
from processsupervisor.bot.work import set_work
from processsupervisor.chat.turns import Turn
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.records import DialogState, InboxRow, Reply, Timer

DIALOG_TIMER = ":dialog"
"""Name and handler of the timer that ends a question; no author's name has a colon."""
Keep = Callable[["Run"], Awaitable[None]]
Body = Callable[[Context], Awaitable[list[Reply]]]
"""Calls the handler and collects what it answers."""


class Question(NamedTuple):
    """What a handler waits for: `choices` as they are offered, `number` counts the questions of this handler from 1."""

    reply: Reply
    choices: tuple[str, ...]
    deadline_at: float | None
    number: int


@dataclass(frozen=True, slots=True)
class Given:
    """What ended a question: the contact's message, or None for its deadline. `text` is the choice where there were any."""

    row: InboxRow | None
    text: str


class _Step(NamedTuple):
    replies: list[Reply]
    error: BaseException | None


_running: ContextVar[Run | None] = ContextVar("psv_run", default=None)


def running_run() -> Run | None:
    """Return the run of the handler that runs here, also in a task that it started."""
    return _running.get()


class Run:
    """One handler from its first message to its end. `question` is set while it waits."""

    def __init__(
        self, handler: str, context: Context, body: Body, *, keep: Keep, journal: Journal | None = None, given: Given | None = None
    ) -> None:
        self.handler = handler
        self.context = context
        """Where the handler stands: always the same object, with the row and the work of now."""
        self.question: Question | None = None
        self.journal = journal if journal is not None else Journal()
        self.head = context.row
        """The message that the handler was called for."""
        self._body = body
        self._given = given
        """What ends the question at which the journal ends."""
        self.questions = 0
        """How many it has asked."""
        self._keep = keep
        """Keeps the run, which waits from now on."""
        self._passes_on: Callable[[list[Reply]], None] | None = None
        """Ends the turn of the first message, in whose task the handler runs; None afterwards, and where it has a task of its own."""
        self._is_passed_on = False
        self._next = context
        self._task: asyncio.Task[None] | None = None
        self._step: asyncio.Future[_Step] | None = None
        self._answer: asyncio.Future[Given] | None = None
        if context.row.place.network != BOT_NETWORK:  # nobody can be asked there, so nothing is played again, however long it is
            context.work.journal = self.journal

    async def proceed(self, context: Context, given: Given | None = None) -> list[Reply]:
        """Let the handler run for the message of `context` until it asks or ends; `given` ends the question that it waits at.

        Returns its replies, the question last. Raises what the handler raises. Cancelled, it cancels the handler.
        """
        turn = context.work.turn
        if self._task is None and given is None and turn is not None and turn.pass_on is not None:
            return await self._begin_here(turn)
        loop = asyncio.get_running_loop()
        step: asyncio.Future[_Step] = loop.create_future()
        self._step = step
        self._next, self.question = context, None
        if self._task is None:
            self._task = loop.create_task(self._main())
        elif self._answer is not None and given is not None:
            self._answer.set_result(given)
        try:
            done = await step
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait((self._task,))  # for one that takes no notice the pump does not wait
            raise
        if done.error is not None:
            raise done.error
        if self.question is not None:
            await self._keep(self)
        return done.replies

    def abandon(self) -> None:
        """Give up waiting: what is kept on disk goes on later, or not at all. The handler does nothing any more."""
        self.question = None
        self.context.work.is_abandoned = True
        if self._task is not None:
            self._task.cancel()

    async def _begin_here(self, turn: Turn) -> list[Reply]:
        """Run the handler in the task of its first message: most ask nothing, and a task for each message would cost as much as all else.

        One that asks keeps the task; the turn ends there, and the conversation goes on in another.
        """
        self._task, self._passes_on = turn.task, turn.pass_on
        _running.set(self)
        try:
            replies = await self._body(self.context)
            self.journal.check_played()
        except BaseException as err:
            if not self._is_passed_on:
                raise
            self._end_step([], err)
            return []
        finally:
            _running.set(None)
        if self._is_passed_on:
            self._end_step(replies, None)
            return []
        return replies

    async def _main(self) -> None:
        replies: list[Reply] = []
        error: BaseException | None = None
        try:
            set_context(self.context)
            _running.set(self)
            replies = await self._body(self.context)
            self.journal.check_played()
        except BaseException as err:  # noqa: BLE001 - handed to the pump, whose business it is; SystemExit would end the loop from here
            error = err
        self._end_step(replies, error)

    def _end_step(self, replies: list[Reply], error: BaseException | None) -> None:
        if self._step is not None and not self._step.done():
            self._step.set_result(_Step(replies, error))

    # --- called by the handler, in its task ----------------------------------------------------------------------

    async def ask(self, reply: Reply, choices: tuple[str, ...], deadline_at: float | None) -> Given:
        """Ask, and return what ended the question. Raises UsageError in another task than the handler's own."""
        if asyncio.current_task() is not self._task:
            raise UsageError("a handler asks by itself, not by a task that it started", hint="for a deadline write timeout=")
        self.questions += 1
        entry = self.journal.step("ask", "")
        if len(entry) > 2:
            return _given_of(entry[2])
        if self._given is not None:
            if self.journal.is_replaying:
                raise JournalBroken("a question before the last one has no answer")
            given, self._given = self._given, None
        else:
            await self._hand_over(Question(reply, choices, deadline_at, self.questions))
            given = await self._answered()
        self._stand_in(self._next)
        entry[2:] = [{"row": None if given.row is None else noted_row(given.row), "text": given.text}]
        return given

    async def _hand_over(self, question: Question) -> None:
        """Give the pump what the handler has answered so far, with the question and what must be kept to go on behind it."""
        context, changes = self.context, self.context.work.changes
        journal = self.journal.text({"row": noted_row(self.head), "choices": question.choices, "number": question.number})
        changes.dialog = DialogState(context.row.place, self.handler, self.head.row_id, journal, question.deadline_at)
        changes.ends_dialog = False
        if question.deadline_at is None:
            changes.cancelled_timers.append((context.row.place, DIALOG_TIMER))
        else:
            payload = f"[{self.head.row_id},{question.number}]"
            changes.timers.append(Timer(context.row.place, DIALOG_TIMER, DIALOG_TIMER, question.deadline_at, payload))
        context.collected.add(question.reply)
        self.question = question
        self._answer = asyncio.get_running_loop().create_future()
        pass_on, self._passes_on = self._passes_on, None
        if pass_on is None:
            self._end_step(context.collected.take(), None)
            return
        await self._keep(self)
        self._is_passed_on = True
        pass_on(context.collected.take())

    async def _answered(self) -> Given:
        assert self._answer is not None
        try:
            return await self._answer
        except asyncio.CancelledError:
            # By us, or by a timeout of the author's own: there is no message to answer to, so nothing is changed from here on.
            self.context.work.is_abandoned = True
            raise

    def _stand_in(self, context: Context) -> None:
        """Work for another message from now on."""
        own = self.context
        own.row, own.work, own.points = context.row, context.work, context.points
        own.collected.become(context.collected)
        own.work.journal = self.journal
        set_work(own.work)


def _given_of(noted: dict[str, Any]) -> Given:
    return Given(None if noted["row"] is None else row_noted(noted["row"]), noted["text"])
