"""Messages that read and change the same values of the whole bot at the same time: the first to be committed wins, the others run again.

Nothing of a loser is written, so it runs anew as if it had come later. One that has lost PATIENCE times has its keys to itself: what
others change of them waits before its commit meanwhile (storage/alone.py). Few things can still be faster than that one (the first
question of a dialog, which does not wait), which is why there is an end to it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from processsupervisor.chat.turns import Turn
from processsupervisor.kernel import clock
from processsupervisor.storage.alone import Alone, Key
from processsupervisor.storage.records import Changes, Outgoing

PATIENCE = 3
MOST_LOST = 30
"""So often a message loses before it is given up."""
_TELL_EVERY_S = 60.0
_log = logging.getLogger("processsupervisor.bot")

Commit = asyncio.Future[list[Outgoing] | None]


def contended(changes: Changes) -> frozenset[Key]:
    """Return the keys that were read and are changed: those that another message may have changed in between."""
    return frozenset(key for key in changes.reads if key in changes.values) if changes.reads else frozenset()


def is_lost(commit: Commit) -> bool:
    """Tell whether a commit, which is done, wrote nothing because another one was faster."""
    return not commit.cancelled() and commit.exception() is None and commit.result() is None


class _Loser(NamedTuple):
    times: int
    keys: frozenset[Key]


_NEVER = _Loser(0, frozenset())


class Contention:
    """Who has lost how often, by the number of the message. Everything happens on the loop's thread."""

    def __init__(self, alone: Alone) -> None:
        self._alone = alone
        self._losers: dict[int, _Loser] = {}
        self._told_mono = -_TELL_EVERY_S

    def has_lost(self, turn: Turn) -> bool:
        """Tell whether a turn is one that is run again."""
        return turn.row.row_id in self._losers

    async def before_run(self, turn: Turn) -> None:
        """Prepare another run of a turn that has lost; one that has lost too often waits for its turn to be alone."""
        turn.hold_fast()
        loser = self._losers[turn.row.row_id]
        if loser.times >= PATIENCE:
            await self._alone.take(turn.row.row_id, loser.keys)

    async def before_commit(self, turn: Turn, changes: Changes) -> None:
        """Wait while somebody else has one of the changed keys to itself."""
        if self._alone.holder != turn.row.row_id and self._alone.has(changes.values):
            await self._alone.take(turn.row.row_id, contended(changes))

    def lost(self, turn: Turn, keys: frozenset[Key]) -> bool:
        """Note that another one was faster; False when the turn has lost so often that it is given up."""
        before = self._losers.get(turn.row.row_id, _NEVER)
        times = before.times + 1
        self._losers[turn.row.row_id] = _Loser(times, before.keys | keys)
        if times == PATIENCE and clock.mono() >= self._told_mono + _TELL_EVERY_S:
            self._told_mono = clock.mono()
            _log.warning(
                "a handler was run %d times, because others changed what it had read of bot.store and changes: it waits for its turn now; "
                "let it read such values as late as it can", times,
            )  # fmt: skip
        return times < MOST_LOST

    def end(self, turn: Turn) -> None:
        """Forget a turn that is through, and let the next one be alone."""
        self._losers.pop(turn.row.row_id, None)
        self._alone.give(turn.row.row_id)
