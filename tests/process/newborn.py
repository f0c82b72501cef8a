"""What a BotHandle needs around it when the test itself makes the process: a keeper with nothing to say, and a launcher that gives it."""

from __future__ import annotations

import os
from typing import Any

from processsupervisor.kernel.identity import Identity
from processsupervisor.process.launcher import Launched


class SilentKeeper:
    """The keeper, who has nothing to say."""

    pid: int | None = os.getpid()

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        return {}

    def tell(self, op: str, **fields: Any) -> None:
        pass


class _Zygotes:
    """There are none."""

    def origin(self, bot: str) -> str:
        return ""

    def look(self, via: str) -> None:
        pass


class GivenLauncher:
    """Gives a real process of the test as the newborn, and counts."""

    zygotes = _Zygotes()

    def __init__(self, process: Identity) -> None:
        self.process = process
        self.launches = 0

    async def launch(self, *_: Any, **__: Any) -> Launched:
        self.launches += 1
        return Launched(self.process, "keeper")
