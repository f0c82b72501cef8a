"""The message pump: accepts into the inbox, runs handlers in order, commits what they did, publishes it.

The next message of a conversation begins when the one before has handed over its changes, not when they are on disk: the
writer keeps their order, so a crash loses a tail, never the middle. Nothing is published before its commit. A handler
runs at least once; its reply appears once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from processsupervisor.bot.context import Context, set_context
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.dispatch import answer
from processsupervisor.bot.draft import Draft
from processsupervisor.bot.failure import place_of_error, stack_of_error
from processsupervisor.bot.reply import BadReply
from processsupervisor.bot.work import Work
from processsupervisor.chat.conversation import Conversations
from processsupervisor.kernel.errors import Refused, StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Accepted, Changes, HistoryEntry, InboxRow, Incoming, Outgoing, Place, Reply

APOLOGY = "Sorry, something went wrong here and I could not answer this message."
MAX_QUEUED = 10_000
MAX_QUEUED_CHARS = 16 << 20
MAX_UNCOMMITTED = 1024
MAX_LIVES = 3  # so often a message may be running when the process dies before it is given up
RETRY_AFTER_S = (0.5, 2.0)
_STORAGE_RETRY_S = 1.0
_log = logging.getLogger("processsupervisor.bot")


class Pump:
    """Runs the handlers of one bot on one database; `publish` shows committed rows and drafts."""

    def __init__(
        self, bot: Definition, database: BotDatabase, statement: str, publish: Callable[[Outgoing], None], *,
        reminded: Callable[[float], None], retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:  # fmt: skip
        self._bot = bot
        self._database = database
        self.statement = statement
        """What says that a program answers."""
        self._publish = publish
        self._reminded = reminded
        self._retry_after_s = tuple(retry_after_s)
        self._conversations = Conversations(self._handle)
        self.show_error: Callable[[BaseException], None] | None = None
        """Shows a handler's whole exception; only where the author is the one who reads it."""
        self.proved: Callable[[str], None] = lambda _network: None
        """Hears each proof of a network."""
        self.gave_up: Callable[[], None] = lambda: None
        """Hears each message that is given up because the bot died, or was killed, again and again while it ran."""
        self._closed: Refused | None = Refused("the bot is starting", code="starting")
        """Why nothing is taken, apart from a pause: starting, storage, stopping."""
        self._is_paused = False
        self._accepting_chars = 0
        self._recovered: set[int] = set()
        """Rows that an earlier life left, until this one begins them."""
        self._counted: set[int] = set()
        """Rows whose begin in this life is written down, until they end."""
        self._suspects = asyncio.Lock()
        """Rows that were running at a crash before run one at a time, so that the one at fault is found."""
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
        future = self._database.accept(incoming, self.statement)
        self._accepting_chars += size
        future.add_done_callback(lambda done: self._accepted(done, size))
        return future

    def _accepted(self, done: asyncio.Future[Accepted], size: int) -> None:
        self._accepting_chars -= size
        if done.cancelled() or done.exception() is not None:
            return
        accepted = done.result()
        if accepted.first_contact is not None:
            self._publish(accepted.first_contact)
        if accepted.row is not None:
            self._conversations.put(accepted.row)

    def prove(self, network: str) -> None:
        """Note that a network has answered just now."""
        self.proved(network)

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows of a place behind `seq`."""
        return await self._database.after(place, seq, limit)

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides."""
        return await self._database.history(place, limit)

    # --- life ------------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Queue what earlier lives left unfinished, then begin to accept. Raises StorageError; may be called again."""
        for row in await self._database.claim():
            self._recovered.add(row.row_id)
            self._conversations.put(row)
        self.open()

    def open(self) -> None:
        """Begin to accept; for a database without unfinished work."""
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
        return self._conversations.waiting + self._conversations.running + self._uncommitted + (self._accepting_chars > 0)

    async def wait_quiet(self) -> None:
        """Wait until nothing is queued, running or uncommitted."""
        while self._conversations.waiting or not self._conversations.is_idle or not self._settled.is_set() or self._accepting_chars:
            await self._conversations.wait_idle()
            await self._settled.wait()
            await asyncio.sleep(0.01)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, give what runs `timeout_s`; what is left stays in the inbox."""
        self.refuse(Refused("the bot is ending", code="stopping"))
        if not await self._conversations.drain(timeout_s):
            _log.warning("stopped before every message was handled; the next start takes them up")

    # --- handling --------------------------------------------------------------------------------------------------

    async def _handle(self, row: InboxRow) -> None:
        try:
            async with self._suspects if row.attempts else contextlib.nullcontext():
                reply, changes = await self._run_until_settled(row)
            await self._complete(row, reply, changes)
        except asyncio.CancelledError:
            if row.row_id in self._counted:  # the bot is stopped in good order: that is not this message's fault
                with contextlib.suppress(StorageError):
                    self._database.count_attempt(row, -1)
            raise
        except StorageError as err:
            _log.error("a message ended after the database was closed; the next start handles it again: %s", err)
        finally:
            self._counted.discard(row.row_id)

    async def _run_until_settled(self, row: InboxRow) -> tuple[str | None, Changes]:
        """Return reply and changes of a message; waits as long as the database fails, which is not the message's fault."""
        failures, shown = 0, ""
        while True:
            work = Work(row.place)
            try:
                if row.row_id in self._recovered:
                    await self._begin_again(row)
                if row.attempts >= MAX_LIVES - 1:  # and once in the life that accepted it
                    _log.error("message given up: the bot died %d times while it ran", row.attempts + 1)
                    self.gave_up()
                    return APOLOGY, Changes()
                return await self._run(row, work), work.changes
            except StorageError as err:
                _log.warning("a message waits for the database: %s", err)
                await asyncio.sleep(_STORAGE_RETRY_S)
            except (Exception, asyncio.CancelledError) as err:  # the author's code may raise anything
                task = asyncio.current_task()
                if isinstance(err, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise
                failures += 1
                if self.show_error is not None:
                    self.show_error(err)
                place = place_of_error(err)
                stack = f"\n{stack_of_error(err)}" if self.show_error is None and place != shown else ""  # the tries of a message are one
                shown = place
                if failures > len(self._retry_after_s) or isinstance(err, BadReply):
                    _log.error("handler failed, the contact got an apology: %s%s", place, stack)
                    return APOLOGY, Changes()
                wait_s = self._retry_after_s[failures - 1]
                _log.warning("handler failed, next try in %g s: %s%s", wait_s, place, stack)
                await asyncio.sleep(wait_s)
            finally:
                work.is_open = False

    async def _begin_again(self, row: InboxRow) -> None:
        if row.attempts < MAX_LIVES - 1:
            await self._database.count_attempt(row, 1)
            self._counted.add(row.row_id)
        self._recovered.discard(row.row_id)

    async def _run(self, row: InboxRow, work: Work) -> str | None:
        context = Context(row, work, self._database, self._bot.running)
        set_context(context)
        try:
            result = await answer(self._bot, self.statement, context)
            replies = await Draft(row, self._database, self._publish).collect(result)
            return replies[0].text if replies else None
        finally:
            set_context(None)

    async def _complete(self, row: InboxRow, reply: str | None, changes: Changes) -> None:
        future = self._database.complete(row, [] if reply is None else [Reply(reply)], changes)
        self._uncommitted += 1
        self._settled.clear()
        future.add_done_callback(lambda done: self._committed(done, changes))
        if self._uncommitted >= MAX_UNCOMMITTED:
            await asyncio.wait((future,))

    def _committed(self, done: asyncio.Future[list[Outgoing]], changes: Changes) -> None:
        self._uncommitted -= 1
        if not self._uncommitted:
            self._settled.set()
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            _log.error("a handled message could not be committed; the next start handles it again: %s", type(error).__name__)
            return
        for due in changes.reminders:
            self._reminded(due.due_at)
        self.handled += 1
        for out in done.result():
            self._publish(out)
