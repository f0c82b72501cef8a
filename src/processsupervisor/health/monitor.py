"""The round over all bots, once a second: every check looks at every bot that runs, and its verdicts are told to one place.

No other part of psvd looks for trouble by itself, and nothing here acts on what is found. psvd's own stalls are noticed by the
sweep that came late; a suspend of the machine stops its clock and those of the bots alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from processsupervisor.health.verdict import SWEEP_S, Check, Sweep, Verdict, Watched
from processsupervisor.kernel.states import State
from processsupervisor.process.patience import STALLED_S

_log = logging.getLogger("psv.monitor")
JUDGED = frozenset({State.STARTING, State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
"""Stopping bots have the deadlines of their stop."""
_PIECE = 50
"""Bots looked at before other work of the loop gets its turn."""


class Monitor:
    """Sweeps over `bots()`; every verdict goes to `tell`, again in each sweep for as long as it holds."""

    def __init__(self, bots: Callable[[], Iterable[Watched]], checks: Sequence[Check], tell: Callable[[Verdict], None]) -> None:
        self._bots = bots
        self._checks = checks
        self._tell = tell
        self._complained: set[str] = set()

    async def run(self) -> None:
        """Sweep for ever."""
        loop = asyncio.get_running_loop()
        due, number = loop.time() + SWEEP_S, 0
        while True:
            await asyncio.sleep(due - loop.time())
            late_s = loop.time() - due
            await self.sweep(Sweep(number, is_late=late_s > STALLED_S))
            number += 1
            due = max(due, loop.time() - STALLED_S) + SWEEP_S

    async def sweep(self, sweep: Sweep) -> None:
        """Look at every bot once."""
        for number, bot in enumerate(list(self._bots())):
            if number % _PIECE == _PIECE - 1:
                await asyncio.sleep(0)
            runs = bot.process is not None and bot.life.state in JUDGED
            for check in self._checks:
                if not runs:
                    check.forget(bot.name)
                elif (verdict := self._look(check, bot, sweep)) is not None:
                    self._tell(verdict)

    def _look(self, check: Check, bot: Watched, sweep: Sweep) -> Verdict | None:
        """Look at one bot; whatever is wrong with a check, it must not end the sweeps, nor psvd."""
        try:
            return check.look(bot, sweep)
        except Exception:  # noqa: BLE001 - see above; the bot is not judged
            if bot.name not in self._complained:
                self._complained.add(bot.name)
                _log.exception("a bot cannot be looked at", extra={"bot": bot.name})
            return None
