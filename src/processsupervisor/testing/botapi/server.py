"""The double itself: HTTP on a loopback port, in a thread of its own, with the rules of Telegram's Bot API.

    with BotApi() as api:
        ada = api.bot("123456:token")        # the people around the bot of this token
        ada.says("hello")
        api.faults.add(Fault(FaultKind.RATE, "sendMessage", retry_after_s=2))
        ada.wait_for("You said hello.")

`api.url` takes the place of https://api.telegram.org. Any token of the right shape is a bot until it is revoked. The methods may be called
from any thread and return at once; those named wait_… wait, in async code by `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from types import TracebackType
from typing import Self

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.crowd import Crowd
from processsupervisor.testing.botapi.endpoint import Endpoint
from processsupervisor.testing.botapi.faults import Faults
from processsupervisor.testing.botapi.limits import Limits

TOKEN = re.compile(r"^\d{1,15}:[\w-]{1,80}$")
_START_S = 15.0


class BotApi:
    """Serves from `with` on. `conflict_pause_s` is how late the second 409 within that time comes; Telegram's is 3 s."""

    def __init__(self, *, conflict_pause_s: float = 3.0, seed: int = 1) -> None:
        self.faults = Faults(seed)
        self.heard = threading.Condition(threading.RLock())
        """Held while something is read or changed; notified when a bot has done something."""
        self._accounts: dict[str, Account] = {}
        self._endpoint = Endpoint(self.account, self.faults, self.heard, conflict_pause_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="botapi", daemon=True)

    @property
    def url(self) -> str:
        """Return the address that takes the place of https://api.telegram.org."""
        return f"http://127.0.0.1:{self._endpoint.port}"

    @property
    def tokens(self) -> list[str]:
        """Return the tokens of all bots that there are."""
        with self.heard:
            return list(self._accounts)

    @property
    def polls_begun(self) -> dict[str, list[float]]:
        """Return {token: monotonic times at which a poll began to wait}."""
        with self.heard:
            return {token: list(times) for token, times in self._endpoint.polls.begun.items()}

    def bot(self, token: str) -> Crowd:
        """Return the people around the bot of a token. Raises ValueError for what is no token."""
        return Crowd(self.known(token), self.heard)

    def known(self, token: str) -> Account:
        """Return what is kept of a token: calls counted, conflicts, the webhook. Raises ValueError for what is no token."""
        account = self.account(token)
        if account is None:
            raise ValueError(f"a token is NUMBER:LETTERS; these are {len(token)} other characters")
        return account

    def account(self, token: str) -> Account | None:
        """Return what is kept of a token, made at its first use; None when it has not the shape of one."""
        with self.heard:
            if not TOKEN.match(token):
                return None
            if token not in self._accounts:
                account = Account(token)
                account.wake = lambda: self._wake(account)
                self._accounts[token] = account
            return self._accounts[token]

    def revoke(self, token: str) -> None:
        """Have the token refused with 401 from now on."""
        with self.heard:
            self.known(token).is_revoked = True

    def limit(self, token: str, limits: Limits | None = None) -> None:
        """Enforce limits on what a bot sends, Telegram's when none are given; `known(token).gate` counts what it was refused."""
        with self.heard:
            self.known(token).gate.limits = limits or Limits()

    def wait_for_poll(self, token: str, count: int = 1, timeout_s: float = 10.0) -> float:
        """Return when the `count`-th poll of a token began to wait (monotonic); TimeoutError names how many did."""
        begun = self._endpoint.polls.begun
        with self.heard:
            if not self.heard.wait_for(lambda: len(begun.get(token, ())) >= count, timeout_s):
                raise TimeoutError(f"bot {token.partition(':')[0]} has begun {len(begun.get(token, ()))} polls, not {count}")
            return begun[token][count - 1]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._endpoint.open(), self._loop).result(_START_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._endpoint.close(), self._loop).result(_START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
        self._loop.close()

    def _wake(self, account: Account) -> None:
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._endpoint.wake, account)
