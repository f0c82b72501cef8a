"""What lasts: a cause that was told is open until it is over, and then `recovered` is told. Kept in the queue's file.

A bot that failed, hung or looped has recovered when it has been ready for its `stable_after`: one that only comes and goes has not.
"""

from __future__ import annotations

from collections.abc import Mapping

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.units import format_duration
from processsupervisor.notify.causes import Notice, Turn, Until
from processsupervisor.notify.queue import Queue

Recovery = tuple[Notice, frozenset[str]]
"""A notice `recovered`, and the causes that are over: whoever was told of one of them is told of it."""

_BACK = {
    Until.PSVD: "psvd is back",
    Until.KEEPER: "the keeper is back",
    Until.SPACE: "the disk has room again",
    Until.DATABASE: "psv.db can be used again",
}
"""What is said when a trouble of the fleet as a whole is over."""


class Troubles:
    """One fleet's open troubles; `stable_after` gives seconds for each bot."""

    def __init__(self, queue: Queue, stable_after: Mapping[str, float]) -> None:
        self._queue = queue
        self._stable_after = stable_after
        self.bots = {str(bot) for (bot,) in queue.rows("SELECT DISTINCT bot FROM trouble")}
        """Of whom a trouble may be open; the fleet as a whole is the empty name."""
        for bot in self.bots - stable_after.keys() - {""}:
            self._drop(bot)

    def open(self, notice: Notice) -> None:
        """Note that a cause lasts."""
        if notice.until is not None:
            self.bots.add(notice.bot)
            self._do(
                "INSERT INTO trouble (cause, bot, until, at) VALUES (?,?,?,?) ON CONFLICT (cause, bot, until) DO UPDATE SET up = NULL",
                (notice.cause, notice.bot, notice.until, notice.at),
            )

    def has(self, notice: Notice) -> bool:
        """Tell whether that very trouble lasts."""
        query = "SELECT 1 FROM trouble WHERE cause = ? AND bot = ? AND until = ?"
        return bool(list(self._queue.rows(query, (notice.cause, notice.bot, notice.until))))

    def is_open(self, until: Until) -> bool:
        """Tell whether a trouble of the fleet as a whole lasts."""
        return bool(list(self._queue.rows("SELECT 1 FROM trouble WHERE bot = '' AND until = ?", (until,))))

    def turn(self, bot: str, turn: Turn) -> list[Recovery]:
        """Take what an event says about a bot."""
        match turn:
            case Turn.ROSE:
                self._do("UPDATE trouble SET up = ? WHERE bot = ? AND until = ? AND up IS NULL", (boottime(), bot, Until.UP))
            case Turn.FELL:
                self._do("UPDATE trouble SET up = NULL WHERE bot = ? AND up IS NOT NULL", (bot,))
            case Turn.RESTS:
                self._drop(bot)
            case Turn.IS_WELL:
                return self.over(bot, Until.UP)
        return []

    def over(self, bot: str, until: Until) -> list[Recovery]:
        """End the troubles of a bot, or of the fleet, that last until this."""
        rows = list(self._queue.rows("SELECT cause, at FROM trouble WHERE bot = ? AND until = ?", (bot, until)))
        if not rows:
            return []
        self._do("DELETE FROM trouble WHERE bot = ? AND until = ?", (bot, until))
        causes = sorted({str(cause) for cause, _ in rows})
        lasted_s = max(0.0, wall() - min(float(str(at)) for _, at in rows))
        text = f"{_BACK.get(until) or ' and '.join(causes) + ' is over'} after {format_duration(lasted_s)}"
        return [(Notice("recovered", bot, text, wall(), None), frozenset(causes))]

    def settle(self) -> list[Recovery]:
        """End the troubles of bots that have been ready for long enough; called now and then."""
        recovered: list[Recovery] = []
        for bot, up in list(self._queue.rows("SELECT bot, max(up) FROM trouble WHERE up IS NOT NULL GROUP BY bot")):
            if boottime() - float(str(up)) >= self._stable_after.get(str(bot), 0.0):
                recovered += self.over(str(bot), Until.UP)
        return recovered

    def _drop(self, bot: str) -> None:
        self.bots.discard(bot)
        self._do("DELETE FROM trouble WHERE bot = ?", (bot,))

    def _do(self, query: str, values: tuple[object, ...]) -> None:
        list(self._queue.rows(query, values))
