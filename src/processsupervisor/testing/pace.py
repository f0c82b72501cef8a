"""How far a Lab's time runs: until the bot is quiet (`settle`), or to a given moment (`reach`).

Time moves only while somebody waits for one of the two, and only when nothing can run: from timer to timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processsupervisor.testing.virtualtime import Verdict, VirtualTime

PATIENCE_S = 3600.0
"""So much virtual time a bot may be busy with what it was told before `settle` gives up."""

BUSY_STEP_S = 0.001
"""What one turn of a loop that never rests takes of virtual time."""


class NeverQuiet(AssertionError):
    """The bot did not come to rest."""


class Pace:
    """Decides what an idle loop does. `is_quiet` tells whether the bot has nothing more to do now."""

    def __init__(self, virtual: VirtualTime, is_quiet: Callable[[], bool], on_stuck: Callable[[], str]) -> None:
        self._virtual = virtual
        self._is_quiet = is_quiet
        self._on_stuck = on_stuck
        """Says what the bot waits for, for the error."""
        self._settling: list[tuple[float, asyncio.Future[None]]] = []
        self._reaching: list[tuple[float, asyncio.Future[None]]] = []

    async def settle(self) -> None:
        """Wait until the bot is quiet. Raises NeverQuiet when it waits for what cannot come, or is busy for an hour."""
        await self._wait(self._settling, self._virtual.mono() + PATIENCE_S)

    async def reach(self, mono: float) -> None:
        """Wait until the virtual clock shows exactly `mono` and everything due by then has run."""
        await self._wait(self._reaching, mono)

    async def _wait(self, waiting: list[tuple[float, asyncio.Future[None]]], mono: float) -> None:
        entry = (mono, asyncio.get_running_loop().create_future())
        waiting.append(entry)
        try:
            await entry[1]
        finally:
            if entry in waiting:
                waiting.remove(entry)

    def idle(self, wait_s: float | None, waits_outside: bool) -> float | Verdict:
        """Let whoever waited long enough go on, or say how far time may jump."""
        if self._reaching:
            return self._step_to(min(mono for mono, _ in self._reaching), wait_s, waits_outside)
        if self._settling and self._is_quiet():
            return _free(self._settling)
        if waits_outside:
            return Verdict.WAIT
        if self._settling and (wait_s is None or self._virtual.mono() + wait_s > max(mono for mono, _ in self._settling)):
            return _free(self._settling, NeverQuiet(f"the bot does not come to rest: {self._on_stuck()}"))
        return Verdict.WAIT if wait_s is None else wait_s

    def busy(self, wait_s: float | None, waits_outside: bool) -> float | Verdict:
        """As `idle`, of a loop that never rests (`while True: await asyncio.sleep(0)`): time goes on in small steps, up to a deadline."""
        if not self._is_quiet() or not (self._settling or self._reaching):
            wait_s = BUSY_STEP_S if wait_s is None else min(wait_s, BUSY_STEP_S)
        return self.idle(wait_s, waits_outside)

    def _step_to(self, target: float, wait_s: float | None, waits_outside: bool) -> float | Verdict:
        left_s = target - self._virtual.mono()
        if waits_outside and not self._is_quiet():
            return Verdict.WAIT
        if wait_s is not None and wait_s <= left_s:
            return wait_s
        self._virtual.move(max(left_s, 0.0))
        due = [entry for entry in self._reaching if entry[0] <= target]
        for entry in due:
            self._reaching.remove(entry)
        return _free(due)


def _free(waiting: list[tuple[float, asyncio.Future[None]]], error: Exception | None = None) -> Verdict:
    for _, future in waiting:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
    waiting.clear()
    return Verdict.RUN
