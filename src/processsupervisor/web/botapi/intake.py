"""Reading ahead: one long poll to Telegram after the other, each batch committed before the next poll confirms it.

It begins when the bot has asked for updates for the first time and goes on while the bot is away. What stands in the way is kept as
`problem`, which the bot is told when it asks and nothing waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TypeVar

from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.errors import StorageError
from processsupervisor.web.botapi.backlog import Backlog
from processsupervisor.web.botapi.upstream import Upstream
from processsupervisor.web.botapi.values import Answer, Json, Told, Unreachable

T = TypeVar("T")

POLL_S = 50
MOST_WAITING = 10_000
"""So many updates wait for a bot; more are left with Telegram, which keeps them for a day."""
MOST_BYTES = 256 << 20
"""Of the file: a hundred updates more may come on top."""
_DELAYS_S = (0.2, 1.0, 3.0, 10.0, 30.0)
_EXPIRE_EACH_S = 60.0
_LASTING = (401, 404, 409)
"""What Telegram says of the token and its use; everything else is a disturbance that passes."""
_log = logging.getLogger(__name__)


class Intake:
    """Fills one bot's backlog. `on_new` is called when something came, and when `problem` is another one."""

    def __init__(self, bot: str, backlog: Backlog, upstream: Upstream, keep_s: float, on_new: Callable[[], None]) -> None:
        self._bot = bot
        self._backlog = backlog
        self._upstream = upstream
        self._keep_s = keep_s
        self._on_new = on_new
        self._task: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self._allowed = ""
        self._turn = asyncio.Lock()
        self._next_expiry = 0.0
        self._is_full = False
        self.problem: Told | None = None

    async def call(self, work: Callable[..., T], *arguments: object) -> T:
        """Run a method of the backlog in a thread, one at a time; carried to its end also when the caller is cancelled."""
        return await asyncio.shield(self._alone(work, *arguments))

    async def _alone(self, work: Callable[..., T], *arguments: object) -> T:
        async with self._turn:
            return await asyncio.to_thread(work, *arguments)

    async def resume(self) -> None:
        """Go on if the bot has ever asked for updates. Raises StorageError."""
        allowed: str | None = await self.call(self._backlog.fact, "allowed")
        self._allowed = allowed or ""
        if await self.call(self._backlog.fact, "is_polling") == "yes":
            self._begin()

    async def want(self, allowed: str) -> None:
        """The bot asks for updates, of the kinds in `allowed` (JSON text; "" = as before). Raises StorageError."""
        if not _is_list(allowed):
            allowed = ""  # Telegram passes over what it cannot read
        if allowed and allowed != self._allowed:
            self._allowed = allowed
            await self.call(self._backlog.set_fact, "allowed", allowed)
            await self.stop()
        if self._task is None or self._task.done():
            await self.call(self._backlog.set_fact, "is_polling", "yes")
            self._begin()

    async def give_up(self) -> None:
        """Stop for good: the bot takes updates by a webhook now. Raises StorageError."""
        await self.call(self._backlog.set_fact, "is_polling", "no")
        await self.stop()

    async def stop(self) -> None:
        """End the poll under way; what it would have brought stays with Telegram."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def forgive(self) -> None:
        """Forget the problem and try again now: the bot has done what may have removed it."""
        self.problem = None
        self._again.set()

    def hasten(self) -> None:
        """Go on at once if the backlog was full: the bot has taken updates."""
        if self._is_full:
            self._again.set()

    def _begin(self) -> None:
        if self._task is None or self._task.done():  # two polls may have come at once, each waiting for the disk
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        failures = 0
        while True:
            # While something is wrong the poll only looks: a long one that succeeds would say so after 50 s.
            poll_s = POLL_S if self.problem is None else 0
            self._again.clear()  # before, not after: what happens during the poll must not be forgotten
            delay_s = await self._once(poll_s)
            if delay_s is None:
                failures = failures if poll_s == 0 else 0
            else:
                failures += 1
                if failures == len(_DELAYS_S) and self.problem is None:
                    _log.warning("%s: Telegram has not answered %d times; it is asked again each %g s", self._bot, failures, _DELAYS_S[-1])
                await self._rest(max(delay_s, _DELAYS_S[min(failures, len(_DELAYS_S)) - 1]))

    async def _rest(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._again.wait()
        except TimeoutError:
            return

    async def _once(self, poll_s: int) -> float | None:
        """Poll once; return None when all is well, else how long to wait at least."""
        try:
            await self._expire()
            self._is_full = await self.call(self._is_enough)
            if self._is_full:
                return 1.0
            answer = await self._upstream.ask("getUpdates", await self._question(poll_s), poll_s + 10.0)
            updates = _updates_of(answer)
            if updates is None:
                if answer.status in _LASTING:
                    self._tell(Told(answer.status, answer.description))
                return answer.retry_after_s
            added = await self.call(self._backlog.add, updates, wall()) if updates else 0
        except Unreachable:
            return 0.0  # not the bot's affair: what waits is given, and Telegram keeps the rest
        except StorageError as err:
            _log.error("%s: updates cannot be kept: %s", self._bot, err)
            self._tell(Told(500, f"Internal Server Error: {err.message}"))
            return 1.0
        self._tell(None)
        if added:
            self._on_new()
        return 1.0 if updates and not added else None  # the same ones for ever must not become a fast circle

    def _is_enough(self) -> bool:
        return self._backlog.waiting() >= MOST_WAITING or self._backlog.used_bytes() >= MOST_BYTES

    async def _question(self, poll_s: int) -> Json:
        question: Json = {"timeout": poll_s, "limit": 100}
        if offset := await self.call(self._backlog.offset):
            question["offset"] = offset
        if self._allowed:
            question["allowed_updates"] = json.loads(self._allowed)
        return question

    async def _expire(self) -> None:
        if mono() < self._next_expiry:
            return
        self._next_expiry = mono() + _EXPIRE_EACH_S
        dropped = await self.call(self._backlog.expire, wall() - self._keep_s, wall())
        if dropped:
            _log.warning("%s: %d updates waited longer than telegram_proxy.keep and were dropped", self._bot, dropped)

    def _tell(self, problem: Told | None) -> None:
        is_other = (problem and problem.message) != (self.problem and self.problem.message)
        self.problem = problem
        if is_other:
            if problem is not None:
                _log.warning("%s: Telegram gives no updates: %s", self._bot, problem.message)
            self._on_new()


def _updates_of(answer: Answer) -> list[Json] | None:
    result = answer.json.get("result")
    if not answer.is_ok or not isinstance(result, list):
        return None
    return [update for update in result if isinstance(update, dict) and isinstance(update.get("update_id"), int)]


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
