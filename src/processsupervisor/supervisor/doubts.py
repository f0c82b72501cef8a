"""Bots whose launch got no answer: the process may be born after all, long after, when a stopped keeper goes on.

Each is looked at until the keeper has been answering for a while; one that lives is adopted, and stopped if nobody wants it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processsupervisor.kernel.states import Wanted
from processsupervisor.process.handle import BotHandle

_LOOK_EVERY_S = 1.0
_LOOKS = 60


class Doubts:
    """`take_back` adopts a bot if a process of it lives; `is_served` tells whether a keeper answers."""

    def __init__(self, take_back: Callable[[BotHandle], bool], is_served: Callable[[], bool]) -> None:
        self._take_back = take_back
        self._is_served = is_served

    def add(self, handle: BotHandle) -> None:
        """Look whether the present generation of a bot was born after all, now and for a while."""
        self._look(handle, handle.generation, _LOOKS)

    def _look(self, handle: BotHandle, generation: int, looks: int) -> None:
        if handle.generation != generation or looks == 0:
            return  # a newer start has looked itself
        if self._take_back(handle):
            if handle.wanted is Wanted.DOWN:
                handle.stop()
            return
        left = looks - 1 if self._is_served() else looks
        asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look, handle, generation, left)
