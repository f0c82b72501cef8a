"""Hearing of a process's end at once: a pidfd on psvd's loop, whoever's child the process is.

The descriptor is kept after the end, because it can then still say how: see kernel/pidfd.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.pidfd import exit_status

_LOOK_AGAIN_S = 1.0


class ExitWatch:
    """Watches one process at a time; `on_gone` is called once, on the loop, when it has ended."""

    def __init__(self) -> None:
        self._pidfd = -1
        self._is_listening = False
        self._identity: Identity | None = None
        self._again: asyncio.TimerHandle | None = None

    def begin(self, identity: Identity, on_gone: Callable[[], None]) -> bool:
        """Watch this very process; False, without a call, when it is gone already.

        At the descriptor limit it is looked at now and then instead: the keeper tells of an end in any case.
        """
        self.end()
        self._identity = identity
        try:
            descriptor = identity.open_pidfd()
        except SystemRefused:
            self._again = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._look_again, identity, on_gone)
            return True
        if descriptor is None:
            return False
        self._pidfd, self._is_listening = descriptor, True
        asyncio.get_running_loop().add_reader(descriptor, self._fire, on_gone)
        return True

    def _look_again(self, identity: Identity, on_gone: Callable[[], None]) -> None:
        if not self.begin(identity, on_gone):
            on_gone()

    def status(self) -> int | None:
        """Return the wait status of the process that was watched, once it has ended; None when nobody can tell any more."""
        return exit_status(self._pidfd, self._identity) if self._identity is not None else None

    def _fire(self, on_gone: Callable[[], None]) -> None:
        self._listen_no_more()
        on_gone()

    def _listen_no_more(self) -> None:
        if self._is_listening:
            self._is_listening = False
            asyncio.get_running_loop().remove_reader(self._pidfd)

    def end(self) -> None:
        """Let go of the process; doing it twice does nothing."""
        self._listen_no_more()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd, self._identity = -1, None
