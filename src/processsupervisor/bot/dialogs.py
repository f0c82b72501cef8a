"""Every handler of a bot that waits for an answer: which message ends which question, also after a restart.

A handler that asks is kept in memory as long as there is room, and on disk with the message that it answered last. One that is on disk
alone is run again from its journal when the answer comes. A conversation has one dialog: the next message of who was asked ends the
question, a command of the bot stands beside it, and takes its place when it asks too. What the core answers itself never gets here.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from processsupervisor.bot.asking import DIALOG_TIMER, Given, Question, Run
from processsupervisor.bot.choices import button_of, chosen
from processsupervisor.bot.collecting import BadReply
from processsupervisor.bot.context import Context
from processsupervisor.bot.failure import blame
from processsupervisor.bot.handlers import Handler
from processsupervisor.bot.journal import JournalBroken, journal_of
from processsupervisor.bot.noted import row_noted
from processsupervisor.bot.questions import AskTimeout
from processsupervisor.bot.registry import Registry
from processsupervisor.bot.reply import collect
from processsupervisor.bot.work import Work
from processsupervisor.chat.consent import command_of
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Kind, Outgoing, Place, Reply, RoomKind

MAX_AWAKE = 1_000
MAX_DIALOGS = 10_000
CANCELLED = "Cancelled."
CLOSED = "This question is not open any more."
NOT_YOURS = "This question is for somebody else."
CHANGED = "Sorry, I was changed since I asked you, and cannot go on from there. Please begin again."
FORGOTTEN = "I have waited very long for your answer, and do not wait any more."
_CORE = frozenset({"help", "start"})
"""Commands that answer no question, although the bot need not define them."""
_log = logging.getLogger("processsupervisor.bot")

Answering = Callable[[Context], Awaitable[list[Reply]]]


class _Dialog:
    """What is known of a dialog without its handler: who is asked what; `sender` is "" where everybody may answer."""

    __slots__ = ("choices", "number", "row_id", "sender")

    def __init__(self, row_id: int, sender: str, choices: tuple[str, ...], number: int) -> None:
        self.row_id, self.sender, self.choices, self.number = row_id, sender, choices, number


class Dialogs:
    """The dialogs of one bot on one database; `show` gets what those hear that are ended because there are too many."""

    def __init__(
        self, database: BotDatabase, registry: Registry, show: Callable[[Outgoing], None], *,
        most: int = MAX_DIALOGS, most_awake: int = MAX_AWAKE,
    ) -> None:  # fmt: skip
        self._database = database
        self._registry = registry
        self._show = show
        self._most, self._most_awake = most, most_awake
        self._awake: OrderedDict[Place, Run] = OrderedDict()
        self._places: set[Place] | None = None
        """Conversations with a dialog on disk; read once."""
        self._moved: dict[Place, Place] = {}
        """Conversations that go on under another id: a handler may still run under the old one."""

    # --- a handler's first message ---------------------------------------------------------------------------------

    async def run(self, handler: Handler, context: Context) -> list[Reply]:
        """Run a handler for a message and return its replies, up to its first question if it asks. Raises what it raises."""
        return await Run(handler.name, context, _body(handler), keep=self._keep).proceed(context)

    # --- later ones --------------------------------------------------------------------------------------------------

    async def take(self, row: InboxRow) -> Answering | None:
        """Return what answers a message that belongs to a dialog, None for every other one."""
        if row.kind is Kind.SCHEDULE:
            return self._late if row.sender == DIALOG_TIMER else None
        if row.kind not in (Kind.MESSAGE, Kind.BUTTON):
            return None
        pressed = button_of(row)
        dialog = await self._dialog(row.place)
        if dialog is None:
            return _saying(CLOSED) if pressed is not None else None
        if row.envelope.room is not RoomKind.PRIVATE and dialog.sender and row.sender != dialog.sender:
            return _saying(NOT_YOURS) if pressed is not None else None
        if row.kind is Kind.BUTTON:
            if pressed is None:
                return None
            if pressed[:2] != (dialog.row_id, dialog.number) or not 0 <= pressed[2] < len(dialog.choices):
                return _saying(CLOSED)
            return lambda context: self._go_on(context, Given(row, dialog.choices[pressed[2]]))
        word = command_of(row.text)
        if word == "cancel":
            return self._cancel
        if word is not None and (word in _CORE or self._registry.command(word) is not None):
            return None
        return lambda context: self._go_on(context, Given(row, chosen(row.text, dialog.choices)))

    async def _go_on(self, context: Context, given: Given) -> list[Reply]:
        """Give the handler its answer, and return what it replies until its next question or its end."""
        place = context.row.place
        run = self._awake.pop(place, None)
        try:
            run = run or await self._wake(place, context, given)
            replies = await run.proceed(context, given)
        except JournalBroken as broken:
            _log.error("a dialog ended, because the code of its handler is another one since it asked: %s", broken)
            self._end(context)
            return await _saying(CHANGED)(context)
        except AskTimeout:
            self._end(context)
            return run.context.collected.take() if run is not None else []
        if run.question is None:
            self._end(context)
        return replies

    async def _wake(self, place: Place, context: Context, given: Given) -> Run:
        """Return the dialog on disk as a run that has not begun. Raises JournalBroken when it cannot go on."""
        state = await self._database.dialog(place)
        if state is None:
            raise JournalBroken("it is gone from the database")
        journal, head = journal_of(state.journal)
        handler = self._registry.named(state.handler)
        if handler is None:
            raise JournalBroken(f"there is no {state.handler} any more")
        before = Context(row_noted(head["row"]), Work(place), self._database, context.service)
        return Run(state.handler, before, _body(handler), keep=self._keep, journal=journal, given=given)

    async def _late(self, context: Context) -> list[Reply]:
        """End the question whose deadline has come, if it is still that one."""
        dialog = await self._dialog(context.row.place)
        if dialog is None or json.loads(context.row.text) != [dialog.row_id, dialog.number]:
            return []
        return await self._go_on(context, Given(None, ""))

    async def _cancel(self, context: Context) -> list[Reply]:
        run = self._awake.pop(context.row.place, None)
        if run is not None:
            run.abandon()
        self._end(context)
        return await _saying(CANCELLED)(context)

    # --- what is kept ------------------------------------------------------------------------------------------------

    def moved(self, old: Place, new: Place) -> None:
        """A conversation is known by another id from now on."""
        self._moved[old] = new
        if self._places is not None and old in self._places:
            self._places.discard(old)
            self._places.add(new)
        run = self._awake.pop(old, None)
        if run is not None:
            run.abandon()  # it is woken from disk under its new place

    def close(self) -> None:
        """Leave every dialog to the disk: handlers in memory do nothing any more."""
        for run in self._awake.values():
            run.abandon()
        self._awake.clear()

    async def _dialog(self, place: Place) -> _Dialog | None:
        run = self._awake.get(place)
        if run is not None and run.question is not None:
            return _dialog_of(run, run.question)
        if self._places is None:
            self._places = set(await self._database.dialog_places())
        if place not in self._places:
            return None
        state = await self._database.dialog(place)
        if state is None:
            self._places.discard(place)
            return None
        try:
            _, head = journal_of(state.journal)
            return _Dialog(state.row_id, _asked(row_noted(head["row"])), tuple(head["choices"]), head["number"])
        except (JournalBroken, KeyError, TypeError, ValueError):
            return _Dialog(state.row_id, "", (), 0)  # whoever answers is told that it cannot go on

    async def _keep(self, run: Run) -> None:
        """Keep a run that waits, and end what is too much: the oldest in memory sleep, the oldest on disk are forgotten."""
        if self._places is None:  # first: nothing else may come in between what follows
            self._places = set(await self._database.dialog_places())
        place = self._moved.get(run.context.row.place, run.context.row.place)
        before = self._awake.pop(place, None)
        if before is not None:
            before.abandon()
        self._awake[place] = run
        if len(self._awake) > self._most_awake:
            self._awake.popitem(last=False)[1].abandon()
        self._places.add(place)
        if len(self._places) > self._most:
            for told in await self._database.forget_dialogs(self._most - 1, FORGOTTEN):  # the new one is not committed yet
                self._places.discard(told.place)
                if (forgotten := self._awake.pop(told.place, None)) is not None:
                    forgotten.abandon()
                self._show(told)

    def _end(self, context: Context) -> None:
        changes = context.work.changes
        changes.dialog, changes.ends_dialog = None, True
        changes.cancelled_timers.append((context.row.place, DIALOG_TIMER))
        if self._places is not None:
            self._places.discard(self._moved.get(context.row.place, context.row.place))


def _saying(sentence: str) -> Answering:
    async def say(context: Context) -> list[Reply]:
        context.collected.add(Reply(sentence))
        return context.collected.take()

    return say


def _body(handler: Handler) -> Answering:
    async def body(context: Context) -> list[Reply]:
        try:
            return await collect(await handler.call(context), context.collected)
        except (BadReply, UsageError) as err:
            blame(err, getattr(handler, "function", None))
            raise

    return body


def _dialog_of(run: Run, question: Question) -> _Dialog:
    return _Dialog(run.head.row_id, _asked(run.head), question.choices, question.number)


def _asked(head: InboxRow) -> str:
    """Return who is asked by the handler of a message: nobody in particular by that of a schedule, which nobody wrote."""
    return "" if head.kind is Kind.SCHEDULE else head.sender
