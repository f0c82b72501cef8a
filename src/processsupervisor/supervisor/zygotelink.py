"""psvd's link to one zygote: what it said of itself, fork requests and their answers, and telling it to end.

Which zygote a bot comes from is decided next door in zygotes.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import ProtocolError, SystemRefused

PRELOAD_TIMEOUT_S = 120.0
FORK_TIMEOUT_S = 20.0
_FORKS_UNDER_WAY = 8
"""Requests in one zygote's socket at a time: more would only wait there, and a full socket cannot take a descriptor."""


class ZygoteGone(SystemRefused):
    """A zygote ended while somebody waited for it: another one is worth a try."""

    code = "zygote-gone"


class Zygote:
    """One running zygote: its link and what it said of itself."""

    def __init__(self, key: str, link: LineSocket, on_lost: Callable[[Zygote], None]) -> None:
        self.key = key
        self.is_retired = False
        self.hello: dict[str, Any] = {}
        self._link = link
        self._on_lost = on_lost
        self._slots = asyncio.Semaphore(_FORKS_UNDER_WAY)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending: dict[tuple[str, int], asyncio.Future[dict[str, Any]]] = {}
        asyncio.get_running_loop().add_reader(link.fileno(), self._readable)

    async def ready(self, timeout_s: float = PRELOAD_TIMEOUT_S) -> None:
        """Wait until the preload is done; raises SystemRefused when it takes too long or the zygote dies."""
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ready)
        except TimeoutError as err:
            self.close()
            raise SystemRefused(f"the preload took more than {timeout_s:g} s", hint="see .psv/logs/psv/zygote-*.err") from err

    def look(self) -> None:
        """Let the zygote see now whether its files have changed: a fork that follows within a second finds it known."""
        self._link.send({"op": "look"})

    async def fork(self, bot: str, generation: int, group: str | None, secret_fd: int, *, is_stale_ok: bool) -> dict[str, Any]:
        """Return the zygote's answer to one fork request; raises SystemRefused when the zygote is gone or silent.

        `group` is the folder of the bot's cgroup, in which it is born where that can be; a zygote of an older psv ignores it.
        With `is_stale_ok` it forks although its files have changed; a zygote of an older psv ignores that and answers `stale`.
        """
        request: dict[str, Any] = {"op": "fork", "bot": bot, "generation": generation, "group": group, "has_secret": secret_fd >= 0}
        if is_stale_ok:
            request["stale_ok"] = True
        async with self._slots:
            return await self._fork(request, secret_fd)

    async def _fork(self, request: dict[str, Any], secret_fd: int) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        key = str(request["bot"]), int(request["generation"])
        self._pending[key] = answer
        try:
            if not self._link.send(request, (secret_fd,) if secret_fd >= 0 else ()):
                self.close()
                raise SystemRefused("the zygote is gone")
            reach(CrashPoint.PSVD_FORK_SENT)
            async with asyncio.timeout(FORK_TIMEOUT_S):
                return await answer
        except TimeoutError as err:
            raise SystemRefused("the zygote gives no answer") from err
        finally:
            self._pending.pop(key, None)
            if self.is_retired:
                self.retire()

    def retire(self) -> None:
        """Tell the zygote to end, after the forks that are under way; its bots go on."""
        self.is_retired = True
        if not self._pending:
            reach(CrashPoint.PSVD_BEFORE_RETIRE)
            self._link.send({"op": "retire"})
            reach(CrashPoint.PSVD_AFTER_RETIRE)
            self.close()

    def _readable(self) -> None:
        try:
            messages = self._link.receive()
        except ProtocolError:
            messages = None
        if messages is None:
            self.close()
            return
        for message in messages:
            if message.get("op") == "hello":
                self.hello = message
                if not self._ready.done():
                    self._ready.set_result(None)
                continue
            waiting = self._pending.get((str(message.get("bot")), int(message.get("generation", -1))))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    def close(self) -> None:
        """Close the link; whoever waits is told that the zygote is gone. Does nothing the second time."""
        if self._link.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        gone = ZygoteGone("the zygote is gone", hint="a new one is made at the next start")
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(gone)
        if not self._ready.done():
            self._ready.set_exception(gone)
            self._ready.exception()  # retrieved, so that nobody is warned about a zygote that no one waited for
        self._on_lost(self)
