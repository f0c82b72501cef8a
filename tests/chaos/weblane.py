"""The lane of a native bot whose people talk over its web.sock, several messages each: readers who go on behind the last event they saw."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from tests.chaos.clients import SocketClient
from tests.chaos.fleet import ChaosFleet
from tests.chaos.lanes import NativeLane, Promise
from tests.chaos.people import Person

from processsupervisor.chat.points import Point


class WebLane(NativeLane):
    """Each person says `each` messages a round, one behind the other without waiting for an answer."""

    points = tuple(point for point in Point if point not in (Point.BEFORE_SEND, Point.AFTER_SEND))

    def __init__(self, name: str, people: Sequence[Person], fleet: ChaosFleet, each: int) -> None:
        super().__init__(name, Promise.ONCE, people, fleet)
        self._each = each
        path = fleet.paths.bot_run(name) / "web.sock"
        self._clients = [SocketClient(path, person) for person in people]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"people of {name}", daemon=True)
        self._thread.start()
        self._talking = asyncio.run_coroutine_threadsafe(self._talk(), self._loop)

    async def _talk(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(client.run())

    def say(self) -> None:
        asyncio.run_coroutine_threadsafe(self._say(), self._loop).result(10)

    async def _say(self) -> None:
        for _ in range(self._each):
            for client in self._clients:
                client.say(self._loop.time())

    def waits(self) -> int:
        return sum(len(person.unaccepted) for person in self.people)

    def close(self) -> None:
        self._talking.cancel()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), self._loop).result(5)  # what was cancelled runs to its end
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
