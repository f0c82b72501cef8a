"""getUpdates: one long poll per token, and what becomes of a second one.

As at Telegram, a poll that has to wait sends the one that waits already away with 409; one that gets something at once does not. A further
409 within three seconds comes three seconds late, so that two pollers of one token do not turn in a fast circle.
"""

from __future__ import annotations

import asyncio
import threading
import time

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.values import Json, Rejected

_OTHER_POLL = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_BY_WEBHOOK = "Conflict: terminated by setWebhook request"
_HAS_WEBHOOK = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
MOST_TIMEOUT_S = 50


class Polls:
    """The long polls under way; belongs to the double's loop."""

    def __init__(self, heard: threading.Condition, conflict_pause_s: float) -> None:
        self._heard = heard
        self._pause_s = conflict_pause_s
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._next_conflict: dict[str, float] = {}
        self.begun: dict[str, list[float]] = {}
        """{token: monotonic times at which a poll began to wait}."""

    async def get_updates(self, account: Account, params: Params) -> list[Json]:
        """Return updates, waiting for some up to `timeout`. Raises Rejected (409) when another poll or a webhook has the token."""
        offset, limit = params.integer("offset"), params.integer("limit", 100)
        until = time.monotonic() + min(params.integer("timeout"), MOST_TIMEOUT_S)
        with self._heard:
            account.updates.allow(params.array("allowed_updates"))
        while True:
            with self._heard:
                if account.hook is not None:
                    account.conflicts += 1
                    reason = _HAS_WEBHOOK
                    break
                updates = account.updates.take(offset, limit)
                if updates or time.monotonic() >= until:
                    return updates
                poll = self._begin(account)
            reason = await self._wait(account.token, poll, until)
            if reason:
                break
        await self._pause(account.token)
        raise Rejected(409, reason)

    def wake(self, account: Account) -> None:
        """Have the poll of a token look again; called on the loop."""
        poll = self._waiting.get(account.token)
        if poll is not None and not poll.done():
            poll.set_result(_BY_WEBHOOK if account.hook is not None else "")

    def _begin(self, account: Account) -> asyncio.Future[str]:
        earlier = self._waiting.get(account.token)
        if earlier is not None and not earlier.done():
            account.conflicts += 1
            earlier.set_result(_OTHER_POLL)
        poll = self._waiting[account.token] = asyncio.get_running_loop().create_future()
        self.begun.setdefault(account.token, []).append(time.monotonic())
        self._heard.notify_all()
        return poll

    async def _wait(self, token: str, poll: asyncio.Future[str], until: float) -> str:
        try:
            await asyncio.wait({poll}, timeout=until - time.monotonic())
            return poll.result() if poll.done() else ""
        finally:
            poll.cancel()
            if self._waiting.get(token) is poll:
                del self._waiting[token]

    async def _pause(self, token: str) -> None:
        now = time.monotonic()
        if now < self._next_conflict.get(token, 0.0):
            await asyncio.sleep(self._pause_s)
        else:
            self._next_conflict[token] = now + self._pause_s
