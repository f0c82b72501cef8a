"""The message pump: accepts into the inbox, has turns answered in order, commits what they did, brings it to the networks.

The next message of a conversation begins when the one before has handed over its changes, not when they are on disk: the
writer keeps their order, so a crash loses a tail, never the middle. Nothing is shown before its commit. A handler
runs at least once; its reply appears once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from processsupervisor.bot.answering import Answering, Settled
from processsupervisor.bot.backlog import Backlog
from processsupervisor.bot.contention import MOST_LOST, Commit, Contention, contended, is_lost
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.doubts import Doubts
from processsupervisor.bot.earlier import Earlier
from processsupervisor.bot.fitting import fit_replies
from processsupervisor.bot.lookups import Lookups
from processsupervisor.bot.networks import Networks
from processsupervisor.chat.conversation import Conversations
from processsupervisor.chat.points import Point, Points, armed_points
from processsupervisor.chat.settings import ChatSettings, Groups
from processsupervisor.chat.turns import Turn
from processsupervisor.connectors.base import NetworkError
from processsupervisor.kernel.errors import Refused, StorageError
from processsupervisor.storage.alone import Key
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Accepted, Changes, InboxRow, Incoming, Kind, Outcome, Place, RoomKind

MAX_QUEUED = 10_000
MAX_QUEUED_CHARS = 16 << 20
MAX_UNCOMMITTED = 1024
_DEFAULTS = ChatSettings()
_log = logging.getLogger("processsupervisor.bot")


class Pump(Lookups):
    """Runs the handlers of one bot on one database; committed rows and drafts go to `networks`."""

    def __init__(
        self, bot: Definition, database: BotDatabase, statement: str, networks: Networks, *, reminded: Callable[[float], None],
        settings: ChatSettings = _DEFAULTS, points: Points | None = None,
    ) -> None:  # fmt: skip
        super().__init__(database)
        self._networks = networks
        self._reminded = reminded
        self._settings = settings
        self._points = armed_points() if points is None else points
        self.answering = Answering(bot, database, networks, settings, statement, self._points)
        self.answering.left = self._leave
        self._conversations = Conversations(self._handle, settings)
        self.answering.is_ending = lambda: self._conversations.is_ending
        self._backlog = Backlog(settings, self._conversations.following)
        self.proved: Callable[[str], None] = lambda _network: None
        """Hears each proof of a network."""
        self.ended: Callable[[NetworkError], None] = lambda _error: None
        """Hears that a network takes the bot no longer."""
        self.gave_up: Callable[[], None] = lambda: None
        """Hears each message that is given up because the bot died, or was killed, again and again while it ran."""
        self.committed: Callable[[Changes], None] = lambda _changes: None
        """Hears what each message changed, once that is on disk."""
        self._closed: Refused | None = Refused("the bot is starting", code="starting")
        """Why nothing is taken, apart from a pause: starting, storage, stopping."""
        self._is_paused = False
        self._accepting_chars = 0
        self._earlier = Earlier(database)
        self._contention = Contention(database.alone)
        self._open_rows: set[int] = set()
        """Messages that are queued, running, or handled and not yet on disk."""
        self._doubts = Doubts(database, self._open_rows, self._queue, networks.show)
        self._uncommitted = 0
        self.handled = 0
        """Messages handled and committed in this life."""
        self._settled = asyncio.Event()
        self._settled.set()

    # --- the port of the connectors ------------------------------------------------------------------------------

    def accept(self, incoming: Incoming) -> asyncio.Future[Accepted]:
        """Commit a message. Raises Refused when nothing is taken now, StorageError at once or by the future."""
        if self._closed is not None:
            raise self._closed
        if self._is_paused:
            raise Refused("the bot is paused", code="paused")
        if self._conversations.waiting >= MAX_QUEUED or self._conversations.waiting_chars + self._accepting_chars > MAX_QUEUED_CHARS:
            raise Refused("too many messages wait for this bot", code="busy")
        size = len(incoming.text)
        self._points(Point.BEFORE_ACCEPT)
        future = self._database.accept(incoming, self.answering.statement, opens=self._concerns_us(incoming))
        self._accepting_chars += size
        future.add_done_callback(lambda done: self._accepted(done, size))
        return future

    def _concerns_us(self, incoming: Incoming) -> bool:
        """Tell whether anything is to be handled: not what people in a group say to each other, nor that the bot was sent away."""
        kind, envelope = incoming.kind, incoming.envelope
        if kind is Kind.LEFT:
            return False
        is_answered = envelope.is_addressed or envelope.room is RoomKind.PRIVATE or kind in (Kind.BUTTON, Kind.JOINED)
        return is_answered or self._settings.groups is Groups.ALL

    def _accepted(self, done: asyncio.Future[Accepted], size: int) -> None:
        self._accepting_chars -= size
        if done.cancelled() or done.exception() is not None:
            return
        self._points(Point.AFTER_ACCEPT)
        accepted = done.result()
        if accepted.first_contact is not None:
            self._networks.show(accepted.first_contact)
        if accepted.row is not None and accepted.row.fence:  # 0: another process has the conversation
            self.put([accepted.row])

    def look_again(self) -> None:
        """Queue messages that were committed although that was told to have failed, in front of those accepted since."""
        self._doubts.look()

    def end(self, error: NetworkError) -> None:
        """End the bot, for its network takes it no longer."""
        self.refuse(Refused("the bot is ending", code="stopping"))
        self.ended(error)

    async def moved(self, old: Place, new: Place) -> None:
        """Take a conversation for another from now on."""
        await self._database.move_place(old, new)
        self.has_moved(old, new)

    def has_moved(self, old: Place, new: Place) -> None:
        """Hear that a conversation goes on under another id, which is committed."""
        self.answering.dialogs.moved(old, new)
        self._conversations.moved(old, new)

    def prove(self, network: str) -> None:
        """Note that a network has answered just now."""
        self.proved(network)

    # --- life ------------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Queue what earlier lives left unfinished, then begin to accept. Raises StorageError; may be called again."""
        while rows := await self._database.claim():
            self._earlier.add(rows)
            self._backlog.came_back()
            self.put(rows)
        self.open()

    def put(self, rows: Iterable[InboxRow]) -> None:
        """Queue committed messages, also those that no connector brought: of schedules, replayed ones."""
        self._doubts.put(rows)

    def _queue(self, row: InboxRow) -> None:
        self._open_rows.add(row.row_id)
        self._conversations.put(row)

    def open(self) -> None:
        """Begin to accept, unless the bot is ending; for a database without unfinished work."""
        if self._closed is not None and self._closed.code != "stopping":
            self._closed = None

    def refuse(self, reason: Refused) -> None:
        """Take nothing new, for this reason."""
        self._closed = reason

    async def pause(self) -> None:
        """Take nothing new and finish what has begun; what is queued stays queued."""
        self._is_paused = True
        self._conversations.pause()
        await self._conversations.wait_idle()
        await self._settled.wait()

    def resume(self) -> None:
        """Go on after a pause."""
        self._is_paused = False
        if self._closed is None or self._closed.code != "stopping":
            self._conversations.resume()

    @property
    def unfinished(self) -> int:
        """Return how many messages are accepted and not through: being committed, queued, running, or handled and not yet on disk."""
        queued = self._conversations.waiting + self._doubts.waiting
        return queued + self._conversations.running + self._uncommitted + (self._accepting_chars > 0)

    async def wait_quiet(self) -> None:
        """Wait until nothing is queued, running or uncommitted."""
        while self.unfinished or not self._settled.is_set():
            await self._conversations.wait_idle()
            await self._settled.wait()
            await asyncio.sleep(0.01)

    async def wait_committed(self, timeout_s: float) -> None:
        """Wait until what handlers have done is on disk, at most `timeout_s`: a failing disk can take for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, give what runs `timeout_s`; what is left stays in the inbox."""
        self.refuse(Refused("the bot is ending", code="stopping"))
        if not await self._conversations.drain(timeout_s):
            _log.warning("stopped before every message was handled; the next start takes them up")

    def abandon(self) -> None:
        """Begin nothing new: the process ends as it is, and whatever it cancels stays in the inbox."""
        self._conversations.abandon()

    # --- handling --------------------------------------------------------------------------------------------------

    async def _handle(self, turn: Turn) -> None:
        row = turn.row
        try:
            while True:
                if self._contention.has_lost(turn):
                    await self._contention.before_run(turn)
                settled = await (self._settle_alone(turn) if row.attempts else self._settle(turn))
                if turn.is_elsewhere or await self._complete(turn, settled):
                    break
        except asyncio.CancelledError:
            if not turn.is_elsewhere:
                self._earlier.stopped(turn)
            raise
        except (SystemExit, KeyboardInterrupt):
            self.abandon()
            raise
        except StorageError as err:
            _log.error("a message ended after the database was closed; the next start handles it again: %s", err)
        finally:
            if not turn.is_elsewhere:
                self._ended(turn)

    def _ended(self, turn: Turn) -> None:
        self._earlier.ended(turn)
        self._contention.end(turn)

    async def _settle_alone(self, turn: Turn) -> Settled:
        await self._earlier.wait_alone(turn)
        try:
            return await self._settle(turn)
        finally:
            self._earlier.clear(turn)

    async def _settle(self, turn: Turn) -> Settled:
        if (expired := self._backlog.expired(turn)) is not None:
            return expired
        if not await self._earlier.begin(turn):
            lives = turn.row.attempts + 1
            _log.error("message given up: the bot died %d times while it ran", lives)
            self.gave_up()
            return self.answering.dead(turn.row, "crashed", f"the bot died {lives} times while it ran", 1)
        return await self.answering.settle(turn)

    async def _complete(self, turn: Turn, settled: Settled) -> bool:
        """Hand over what a turn did; False when it has to run again. It waits only for what read and changed values of the whole bot."""
        keys = contended(settled.changes)
        if self._database.alone.holder:
            await self._contention.before_commit(turn, settled.changes)
        future = self._commit(turn, settled)
        if keys or self._uncommitted >= MAX_UNCOMMITTED:
            await asyncio.wait((future,))
        return not (keys and is_lost(future) and self._again(turn, settled, keys))

    def _again(self, turn: Turn, settled: Settled, keys: frozenset[Key]) -> bool:
        """Prepare a turn that lost against another one to be run again; False when it is given up."""
        if settled.changes.dialog is not None or settled.changes.ends_dialog:
            self.answering.dialogs.undo(turn.row)
        if self._contention.lost(turn, keys):
            return True
        _log.error("message given up: what it read and changes was changed by others %d times meanwhile", MOST_LOST)
        self._commit(turn, self.answering.dead(turn.row, "error", f"others were faster {MOST_LOST} times", settled.tries))
        return False

    def _commit(self, turn: Turn, settled: Settled) -> Commit:
        row = turn.row
        self._points(Point.AFTER_HANDLER)
        future = self._database.complete(
            row, fit_replies(settled.replies, self._networks, row.place.network), settled.changes, outcome=settled.outcome,
            reason=settled.reason, detail=settled.detail, tries=settled.tries, also=turn.others,
        )  # fmt: skip
        self._uncommitted += 1
        self._settled.clear()
        future.add_done_callback(lambda done: self._committed(done, turn, settled))
        return future

    def _leave(self, turn: Turn, settled: Settled) -> None:
        """End a turn whose task goes on: at once, or when it is known whether it has to run again."""
        self._earlier.clear(turn)
        keys = contended(settled.changes)
        with contextlib.suppress(StorageError):  # the file is closed: the next start handles it again
            future = self._commit(turn, settled)
            if keys:
                future.add_done_callback(lambda done: self._left(done, turn, settled, keys))
                return
        self._ended(turn)
        self._conversations.leave(turn)

    def _left(self, done: Commit, turn: Turn, settled: Settled, keys: frozenset[Key]) -> None:
        with contextlib.suppress(StorageError):
            if is_lost(done) and self._again(turn, settled, keys):
                self._database.alone.give(turn.row.row_id)  # it has no worker, and those that have one may wait for this
                self._conversations.again(turn)
                return
        self._ended(turn)
        self._conversations.leave(turn)

    def _committed(self, done: Commit, turn: Turn, settled: Settled) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._not_committed(turn, settled, error)
        self._uncommitted -= 1
        if not self._uncommitted:
            self._settled.set()
        shown = None if done.cancelled() or error is not None else done.result()
        if shown is None:
            return
        self._open_rows.difference_update((turn.row.row_id, *(row.row_id for row in turn.others)))
        changes = settled.changes
        self._points(Point.AFTER_COMPLETE)
        for due in changes.reminders:
            self._reminded(due.due_at)
        self.committed(changes)
        self.handled += 1
        self._networks.show_answer((*turn.others, turn.row), shown)

    def _not_committed(self, turn: Turn, settled: Settled, error: BaseException) -> None:
        """Give a message up whose changes no database takes (half a character, a number beyond all bounds), unless the file is closed."""
        if isinstance(error, StorageError) or settled.outcome is Outcome.DEAD:
            _log.error("a handled message could not be committed; the next start handles it again: %s", type(error).__name__)
            return
        _log.error("what a handler answered or changed cannot be kept, the message is given up: %s", type(error).__name__)
        self.answering.dialogs.undo(turn.row)
        with contextlib.suppress(StorageError):
            self._commit(turn, self.answering.dead(turn.row, "bad-reply", type(error).__name__, settled.tries))
