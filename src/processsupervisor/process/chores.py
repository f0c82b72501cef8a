"""The running steps of one bot: tasks on psvd's loop that somebody owns, so that none is lost and none fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Chores:
    """Tasks of one owner; `on_failed` hears what one of them raised, on the loop."""

    def __init__(self, on_failed: Callable[[BaseException], None]) -> None:
        self._on_failed = on_failed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in self._tasks:
            task.cancel()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (raised := task.exception()) is not None:
            self._on_failed(raised)
