"""When each network of a bot last answered: the proof that the bot is connected. Whoever polls or receives says it, each time.

A bot is as connected as the network that has been silent for longest. Web chat and console are no networks: nothing can cut them off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from processsupervisor.kernel.clock import mono


class Proofs:
    """The last proofs of one bot's networks."""

    def __init__(self) -> None:
        self._last: dict[str, float | None] = {}
        self._say: Callable[[float | None], None] | None = None
        self._all = asyncio.Event()
        """Each network has answered."""

    def expect(self, network: str) -> None:
        """Count a network that has not answered yet."""
        self._last.setdefault(network, None)

    def prove(self, network: str) -> None:
        """Note that a network has answered just now."""
        self._last[network] = mono()
        if self._oldest() is not None:
            self._all.set()
        if self._say is not None:
            self._say(self._oldest())

    async def wait_first(self, within_s: float) -> bool:
        """Wait until each network has answered once, at most so long; False for a bot without a network."""
        if not self._last:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._all.wait()
        return True

    def announce(self, say: Callable[[float | None], None]) -> None:
        """Tell `say` the oldest of the last proofs, now and after each new one; nothing for a bot without a network."""
        self._say = say
        if self._last:
            say(self._oldest())

    def _oldest(self) -> float | None:
        oldest: float | None = None
        for at_mono in self._last.values():
            if at_mono is None:
                return None
            oldest = at_mono if oldest is None else min(oldest, at_mono)
        return oldest
