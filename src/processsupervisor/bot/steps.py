"""`async with step():` marks what must not be torn in a handler: in mode interrupt a newer message waits for its end.

What a handler has changed up to the end of a step is kept when it is interrupted behind it; what it changed after is dropped.
"""

from __future__ import annotations

from types import TracebackType

from processsupervisor.bot.work import Work, open_work


class step:
    """A step of the handler that runs here; steps may stand in each other. Outside of a handler it does nothing."""

    def __init__(self) -> None:
        self._work: Work | None = None

    async def __aenter__(self) -> None:
        self._work = open_work()
        if self._work is not None and self._work.turn is not None:
            self._work.turn.enter_step()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        work, self._work = self._work, None
        if work is None or work.turn is None:
            return
        if kind is None:
            work.keep()
        work.turn.leave_step()
