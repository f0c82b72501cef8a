"""Sends committed rows of one network that must be sent to: in the order of each conversation, many conversations at once.

A row is committed as SENDING before the network is called, so that a send that a crash cut off is known, and marked: on a network
that takes keys it is simply repeated, elsewhere `chat.replies` decides. What a network's error asks for is done here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import assert_never

from processsupervisor.bot.failure import place_of_error
from processsupervisor.chat.points import Point, Points, armed_points
from processsupervisor.chat.settings import ChatSettings, Replies
from processsupervisor.connectors.base import Connector, ErrorKind, NetworkError
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Outgoing, Place

SEND_S = 120.0
"""What one send may take, a file included; whether it arrived is unknown then."""
GIVE_UP_S = 24 * 3600.0
_FIRST_S, _LAST_S = 1.0, 300.0
_STORAGE_RETRY_S = 1.0
_AGAIN_S = 10.0
_MANY_MOVES = 3
_ENDING_SHARE = 0.5  # of the time to drain: the rest is for sends that have begun
_log = logging.getLogger("processsupervisor.bot")


class Sender:
    """Sends for one connector; run() for the life of the bot, wake() after each commit, drain() once at the end."""

    def __init__(
        self, database: BotDatabase, connector: Connector, settings: ChatSettings, *, end: Callable[[NetworkError], None],
        points: Points | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._connector = connector
        self._settings = settings
        self._end = end
        self._points = armed_points() if points is None else points
        self._changed = asyncio.Event()
        self._quiet = asyncio.Event()
        """Nothing is being sent, and nothing may be at once."""
        self._active: dict[Place, asyncio.Task[None]] = {}
        self._unsure: set[str] = set()
        """Rows of which it is not known whether SENDING was committed; the network was not called."""
        self._began_at = clock.wall()
        """What waited while the bot was away has a day from here."""
        self._held_until = 0.0
        """Wall clock: the network wants nothing of this bot before."""
        self._is_closed = False
        self.failed: Callable[[Outgoing, str], None] = lambda _out, _why: None
        """Hears each message that the network refuses for good, and why."""
        self.unknown: Callable[[int], None] = lambda _count: None
        """Hears of how many messages it is unknown whether they arrived, and that they are not sent again."""
        self.moved: Callable[[Place, Place], None] = lambda _old, _new: None
        """Hears that a conversation goes on under another id."""

    def wake(self) -> None:
        """Look for what is to be sent: something was committed."""
        self._quiet.clear()
        self._changed.set()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is being sent, and nothing may be at once; something may wait for its time."""
        return not self._active and self._quiet.is_set()

    async def run(self) -> None:
        """Send until the bot ends."""
        while not self._database.is_used() and not self._is_closed:  # the first message makes the file
            self._quiet.set()
            await self._changed.wait()
            self._changed.clear()
        is_taken_over = False
        while not self._is_closed:
            self._changed.clear()
            try:
                if not is_taken_over:
                    await self._take_over()
                    is_taken_over = True
                wait_s = await self._send_due()
            except StorageError as err:
                _log.warning("messages to be sent wait for the database: %s", err)
                wait_s = _STORAGE_RETRY_S
            except Exception as err:  # noqa: BLE001 - the outermost loop of this task: a fault must not leave the bot mute for ever
                _log.error("sending failed, it goes on in %g s: %s", _AGAIN_S, place_of_error(err))
                wait_s = _AGAIN_S
            # A commit while the database was asked may not be in its answer: then another look comes first.
            if not self._active and not self._changed.is_set() and (wait_s is None or wait_s > 0):
                self._quiet.set()
            await self._wait(wait_s)
        self._quiet.set()

    async def drain(self, timeout_s: float) -> None:
        """Send what may be sent at once, then begin no further send; what is cut off at the end counts as unknown at the next start."""
        ends = asyncio.get_running_loop().time() + max(timeout_s, 0.0)
        if not self._is_closed:
            self.wake()
            await self._wait_quiet(ends - timeout_s * _ENDING_SHARE)
        self._is_closed = True
        self._changed.set()
        if self._active:
            _, late = await asyncio.wait(tuple(self._active.values()), timeout=max(ends - asyncio.get_running_loop().time(), 0.0))
            for task in late:
                task.cancel()
            if late:
                _log.warning("%d messages were being sent when the bot had to end; whether they arrived is unknown", len(late))
                await asyncio.wait(late, timeout=1.0)
        await self._wait_quiet(ends)  # what was just committed as being sent is given back: its network was not called

    async def _wait_quiet(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._quiet.wait()

    async def _wait(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(clock.look_again_s if wait_s is None else min(wait_s, clock.look_again_s)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _take_over(self) -> None:
        """Decide about what an earlier life was sending when it ended."""
        ended = 0
        try:
            for out in await self._database.left_sending(self._connector.network):
                if self._connector.capabilities.takes_key:
                    await self._database.send_again(out.id, 0.0)
                else:
                    ended += not await self._doubt(out, 0.0)
        finally:  # a database that fails meanwhile is asked again for those that are left
            if ended:
                self.unknown(ended)

    async def _send_due(self) -> float | None:
        """Begin what may be sent now; returns in how many seconds more may be, None: when something changes."""
        now = clock.wall()
        if self._held_until > now:
            return self._held_until - now
        free = self._settings.at_once - len(self._active)
        if free <= 0:
            return None
        await self._give_back()
        due = await self._database.sends_due(self._connector.network, now, free)
        ready = [out for out in due if out.place not in self._active]
        if ready:
            self._unsure.update(out.id for out in ready)
            begun = set(await self._database.sending([out.id for out in ready]))
            self._unsure.clear()
            for out in ready:
                if out.id not in begun:
                    continue
                if self._is_closed:  # the network was not called: the next life sends it
                    await self._database.send_again(out.id, 0.0)
                    continue
                task = asyncio.get_running_loop().create_task(self._send_one(out))
                self._active[out.place] = task
        following = await self._database.next_send_at(self._connector.network)
        return None if following is None else max(following - clock.wall(), 0.0)

    async def _give_back(self) -> None:
        """Let rows wait whose SENDING may have been committed although that failed: nobody sends them."""
        if self._unsure:
            left = await self._database.left_sending(self._connector.network)
            for out in left:
                if out.id in self._unsure:
                    await self._database.send_again(out.id, 0.0)
            self._unsure.clear()

    # --- one row -------------------------------------------------------------------------------------------------------

    async def _send_one(self, out: Outgoing) -> None:
        try:
            await self._send(out)
        except StorageError as err:
            _log.error("what became of a sent message could not be noted; the next start takes it for unknown: %s", err)
        finally:
            del self._active[out.place]
            self._changed.set()

    async def _send(self, out: Outgoing) -> None:
        self._points(Point.BEFORE_SEND)
        try:
            async with asyncio.timeout(SEND_S):
                network_id = (await self._connector.send(out)).network_id
        except NetworkError as err:
            await self._refused(out, err)
        except TimeoutError:
            late = f"{out.place.network}: no answer within {SEND_S:g} s"
            await self._refused(out, NetworkError(ErrorKind.TRANSIENT, late, is_uncertain=True))
        except (Exception, asyncio.CancelledError) as err:  # of a connector of somebody else's; what it did is not known
            if _is_cancelled():
                raise
            _log.error("a connector failed in send: %s", place_of_error(err))
            await self._refused(out, NetworkError(ErrorKind.TRANSIENT, type(err).__name__, is_uncertain=True))
        else:
            self._points(Point.AFTER_SEND)
            await self._database.sent(out.id, network_id)

    async def _refused(self, out: Outgoing, err: NetworkError) -> None:
        now = clock.wall()
        match err.kind:
            case ErrorKind.RATE:
                at = now + max(err.retry_after_s if err.retry_after_s is not None else _backoff_s(out.attempts), 0.0)
                if err.is_for_bot:
                    self._held_until = max(self._held_until, at)
                await self._database.send_again(out.id, at)
            case ErrorKind.TRANSIENT:
                await self._later(out, err, now + max(_backoff_s(out.attempts), err.retry_after_s or 0.0))
            case ErrorKind.PERMANENT:
                await self._fail(out, err.message)
            case ErrorKind.GONE:
                await self._gone(out, err)
            case ErrorKind.AUTH | ErrorKind.CONFLICT:
                self._is_closed = True
                await self._database.send_again(out.id, 0.0)
                self._end(err)
            case _:
                assert_never(err.kind)

    async def _later(self, out: Outgoing, err: NetworkError, at: float) -> None:
        is_unknown = err.is_uncertain and not self._connector.capabilities.takes_key
        if clock.wall() - max(out.at, self._began_at) > GIVE_UP_S:
            if is_unknown:
                await self._database.send_unknown(out.id, False)
            await self._fail(out, f"tried for a day: {err.message}")
        elif is_unknown:
            if not await self._doubt(out, at):
                self.unknown(1)
        else:
            await self._database.send_again(out.id, at)

    async def _doubt(self, out: Outgoing, at: float) -> bool:
        """Mark a row whose outcome is unknown for ever, then do what the settings say; returns whether it is sent again."""
        resend = self._settings.replies is Replies.AT_LEAST_ONCE
        await self._database.send_unknown(out.id, resend)
        if resend:
            await self._database.send_again(out.id, at)
        else:
            _log.warning("whether a message arrived is unknown, it is not sent again: %s", out.id)
        return resend

    async def _gone(self, out: Outgoing, err: NetworkError) -> None:
        if err.moved_to is not None:
            there = Place(out.place.network, err.moved_to)
            if there != out.place:
                await self._database.move_place(out.place, there)
                self.moved(out.place, there)
                _log.info("a conversation goes on under another id: %s", err.message)
            if there == out.place or out.attempts >= _MANY_MOVES:  # a network that leads in a circle is not called at once again
                await self._later(out, err, clock.wall() + _backoff_s(out.attempts))
            else:
                await self._database.send_again(out.id, 0.0)
            return
        await self._database.set_reachable(out.place, False)
        await self._fail(out, err.message)

    async def _fail(self, out: Outgoing, why: str) -> None:
        await self._database.send_failed(out.id, why)
        _log.error("a message cannot be sent: %s: %s", out.id, why)
        self.failed(out, why)


def _is_cancelled() -> bool:
    """Tell whether the send that runs here was cut off by us."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _backoff_s(attempts: int) -> float:
    return min(_FIRST_S * 2.0 ** min(attempts, 16), _LAST_S) * random.uniform(0.75, 1.0)


def senders_for(
    database: BotDatabase, connectors: Sequence[Connector], settings: ChatSettings, end: Callable[[NetworkError], None], points: Points
) -> dict[str, Sender]:
    """Return a sender for each connector that must be sent to, by network."""
    return {
        connector.network: Sender(database, connector, settings, end=end, points=points)
        for connector in connectors
        if not connector.is_pulled
    }  # fmt: skip
