"""Hearing of a process's end at once: a pidfd on psvd's loop, whoever's child the process is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.identity import Identity

_LOOK_AGAIN_S = 1.0


class ExitWatch:
    """Watches one process at a time; `on_gone` is called once, on the loop, when it has ended."""

    def __init__(self) -> None:
        self._pidfd = -1
        self._again: asyncio.TimerHandle | None = None

    def begin(self, identity: Identity, on_gone: Callable[[], None]) -> bool:
        """Watch this very process; False, without a call, when it is gone already.

        At the descriptor limit it is looked at now and then instead: the keeper tells of an end in any case.
        """
        self.end()
        try:
            descriptor = identity.open_pidfd()
        except SystemRefused:
            self._again = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._look_again, identity, on_gone)
            return True
        if descriptor is None:
            return False
        self._pidfd = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._fire, on_gone)
        return True

    def _look_again(self, identity: Identity, on_gone: Callable[[], None]) -> None:
        if not self.begin(identity, on_gone):
            on_gone()

    def _fire(self, on_gone: Callable[[], None]) -> None:
        self.end()
        on_gone()

    def end(self) -> None:
        """Watch no longer; doing it twice does nothing."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
