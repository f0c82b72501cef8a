"""What becomes of one turn: answered, expired, not readable, tried again, given up as a dead letter, or interrupted.

Runs the author's code and nothing else here does: whatever it raises, returns or never ends with comes out as a `Settled`, which
the pump commits. Waits as long as the database fails, for that is no fault of the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from processsupervisor.bot.collecting import BadReply, acknowledged
from processsupervisor.bot.context import Context, set_context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.dialogs import Dialogs
from processsupervisor.bot.dispatch import Dispatch
from processsupervisor.bot.draft import Draft
from processsupervisor.bot.failure import is_useless_again, place_of_error, stack_of_error
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.typing import Typing
from processsupervisor.bot.work import Work
from processsupervisor.chat.deadlines import Deadlines
from processsupervisor.chat.points import Point, Points
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.chat.turns import End, Turn
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, InboxRow, Kind, Outcome, Place, Reply, RoomKind

_STORAGE_RETRY_S = 1.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 60.0
_UNASKED = (Kind.SCHEDULE, Kind.JOINED, Kind.LEFT)
"""Nobody asked for anything: nobody is told that it failed."""
_log = logging.getLogger("processsupervisor.bot")


@dataclass(slots=True)
class Settled:
    """How a turn ended, to be committed. `tries` is how often the handler was run for it."""

    replies: Sequence[Reply] = ()
    changes: Changes = field(default_factory=Changes)
    outcome: Outcome = Outcome.DONE
    reason: str = ""
    detail: str = ""
    tries: int = 1


class Answering:
    """Answers the turns of one bot."""

    def __init__(
        self, bot: Definition, database: BotDatabase, networks: Networks, settings: ChatSettings, statement: str, points: Points,
    ) -> None:  # fmt: skip
        self._bot = bot
        self._database = database
        self._networks = networks
        self._settings = settings
        self._points = points
        self.statement = statement
        """What says that a program answers."""
        self._deadlines = Deadlines(settings.deadline_s, lambda turn: turn.expire(self._leave_behind))
        self.retry_after_s: Sequence[float] = retry_waits(settings.retries)
        self.dialogs = Dialogs(database, bot.registry, networks.show)
        self._dispatch = Dispatch(bot, self.dialogs)
        self.show_error: Callable[[BaseException], None] | None = None
        """Shows a handler's whole exception; only where the author is the one who reads it."""
        self.left: Callable[[Turn, Settled], None] = lambda _turn, _settled: None
        """Called for a turn that ends before its task does: the handler takes no notice of its deadline, or waits for an answer."""
        self.is_ending: Callable[[], bool] = lambda: False
        """Tells whether the bot ends, and cancels what runs."""

    async def settle(self, turn: Turn) -> Settled:
        """Run the handler of a turn until it is through. Raises CancelledError when the bot ends meanwhile."""
        if turn.row.kind is Kind.UNREADABLE:
            is_meant = turn.row.envelope.is_addressed or turn.row.envelope.room is RoomKind.PRIVATE
            return Settled([Reply(self._settings.sentence("unreadable"))]) if is_meant else Settled(outcome=Outcome.IGNORED)
        failed: list[str] = []
        """The places of the failures so far."""
        while True:
            try:
                return await self._run(turn, len(failed) + 1)
            except StorageError as err:
                _log.warning("a message waits for the database: %s", err)
                await asyncio.sleep(_STORAGE_RETRY_S)
            except _Failed as failure:
                if (ended := self._given_up(turn.row, failure.error, failed)) is not None:
                    return ended
                if (ended := await self._wait(turn, self.retry_after_s[len(failed) - 1])) is not None:
                    return ended

    def _given_up(self, row: InboxRow, err: BaseException, failed: list[str]) -> Settled | None:
        """Log a failure and add it to those before; returns the end of a message that is not tried again."""
        place = place_of_error(err)
        is_news = not failed or failed[-1] != place  # the tries of a message are one
        stack = f"\n{stack_of_error(err)}" if self.show_error is None and is_news else ""
        if self.show_error is not None:
            self.show_error(err)
        failed.append(place)
        if len(failed) <= len(self.retry_after_s) and not is_useless_again(err):
            _log.warning("handler failed, next try in %g s: %s%s", self.retry_after_s[len(failed) - 1], place, stack)
            return None
        told = "" if row.kind in _UNASKED else ", the contact got an apology"
        _log.error("handler failed%s: %s%s", told, place, stack)
        reason = "bad-reply" if isinstance(err, BadReply) else "usage" if is_useless_again(err) else "error"
        return self.dead(row, reason, place, len(failed))

    def dead(self, row: InboxRow, reason: str, detail: str, tries: int = 1) -> Settled:
        """Return the end of a message that is given up, with the sentence that its contact gets."""
        sentence = self._settings.sentence("late" if reason == "timeout" else "failed")
        told = [] if row.kind in _UNASKED else acknowledged([Reply(sentence)], row)
        return Settled(told, Changes(), Outcome.DEAD, reason, detail, tries)

    # --- one run -------------------------------------------------------------------------------------------------------

    async def _run(self, turn: Turn, tries: int) -> Settled:
        """Run the handler once. Raises _Failed with what it raised, StorageError, and CancelledError when the bot ends."""
        row = turn.row
        self._points(Point.BEFORE_HANDLER)
        attempt = _Attempt(self, turn, tries)
        work, draft = attempt.work, attempt.draft
        context = Context(row, work, self._database, self._bot.running, self._points, draft)
        if not row.attempts:  # what may have killed the bot keeps its turn: one of them runs at a time
            turn.pass_on = attempt.pass_on
        turn.open()
        self._deadlines.watch(turn)
        set_context(context)
        try:
            replies = await self._dispatch.answer(self.statement, context)
            return Settled(replies, work.changes, tries=tries)
        except (SystemExit, KeyboardInterrupt):
            raise  # the author ends the bot: the message is kept, and given up like one that kills it
        except BaseException as err:
            if turn.is_passed_on:
                raise
            if (ended := self._ended(turn, work, draft, tries)) is not None:
                return ended
            if isinstance(err, StorageError) or (isinstance(err, asyncio.CancelledError) and self.is_ending()):
                raise
            raise _Failed(err) from None
        finally:
            attempt.close()
            set_context(None)
            await self._shed_cancels(turn)

    def begin_typing(self, place: Place) -> Typing | None:
        """Begin to show that an answer is made, where that can be shown."""
        return Typing(place, self._networks.typing) if self._settings.typing and self._networks.can(place.network).typing else None

    def draft_of(self, row: InboxRow) -> Draft:
        """Return what shows the growing replies to a message."""
        return Draft(row, self._database, self._networks)

    def close(self, turn: Turn) -> None:
        """Let nothing end a turn any more."""
        self._deadlines.forget(turn)
        turn.close()

    def _ended(self, turn: Turn, work: Work, draft: Draft, tries: int) -> Settled | None:
        """Return how a turn ends that was ended early; None for one that was not, or whose bot ends."""
        if turn.ended_by is End.DEADLINE:
            return self._late(turn, tries)
        if turn.ended_by is End.INTERRUPT:
            return Settled(acknowledged(draft.shown(), turn.row), work.kept or Changes(), tries=tries)
        return None

    def _late(self, turn: Turn, tries: int) -> Settled:
        _log.error("handler took longer than %g s and was ended, the contact was told", self._settings.deadline_s)
        return self.dead(turn.row, "timeout", f"longer than {self._settings.deadline_s:g} s", tries)

    def _leave_behind(self, turn: Turn) -> None:
        _log.error("handler takes no notice of its end and is left behind; it uses the bot's time as long as it runs")
        self.left(turn, self._late(turn, 1))

    async def _wait(self, turn: Turn, wait_s: float) -> Settled | None:
        """Wait until the next try; how the turn ends when a newer message interrupts the wait."""
        turn.open()
        try:
            await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            if turn.ended_by is None:
                raise
            return Settled(acknowledged([], turn.row))
        finally:
            turn.close()
            await self._shed_cancels(turn)
        return None

    async def _shed_cancels(self, turn: Turn) -> None:
        """Take back a turn's cancellations, by us or by its handler itself: its worker goes on. Raises CancelledError when the bot ends."""
        task = turn.task
        if task is None or turn.is_elsewhere or not task.cancelling() or self.is_ending():
            return
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # one that has not taken hold yet would hit the next message
        if self.is_ending():
            raise asyncio.CancelledError
        while task.cancelling():
            task.uncancel()


class _Attempt:
    """One run of a handler: what it changes and shows, until it ends or passes its turn on."""

    __slots__ = ("_answering", "_tries", "_turn", "_typing", "draft", "work")

    def __init__(self, answering: Answering, turn: Turn, tries: int) -> None:
        self._answering = answering
        self._turn = turn
        self._tries = tries
        self.work = Work(turn.row.place, turn=turn)
        self.draft = answering.draft_of(turn.row)
        self._typing = answering.begin_typing(turn.row.place)

    def close(self) -> None:
        """Change and show nothing any more; a second call does nothing."""
        self._answering.close(self._turn)
        self.work.is_open = False
        self.draft.close()
        if self._typing is not None:
            self._typing.end()

    def pass_on(self, replies: list[Reply]) -> None:
        """End the turn with these replies; the handler goes on later, for another message."""
        self.close()
        self._turn.is_passed_on = True
        self._answering.left(self._turn, Settled(replies, self.work.changes, tries=self._tries))


class _Failed(Exception):
    """The author's code raised `error`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def retry_waits(retries: int) -> tuple[float, ...]:
    """Return how long to wait before each further try."""
    return tuple(min(_FIRST_RETRY_S * 4.0**number, _LAST_RETRY_S) for number in range(min(retries, 100)))
