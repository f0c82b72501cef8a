"""The lane of a native bot on a network in memory that takes keys: the network outlives every process of the fleet.

It keeps a message until it was acknowledged and brings it again to whoever connects; it shows a send once, however often its key comes.
Each send takes a moment, half of them before it is shown and half behind it, as on the Telegram lanes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.fleet import ChaosFleet
from tests.chaos.lanes import NativeLane, Promise
from tests.chaos.people import Person

from processsupervisor.connectors.base import Capabilities
from processsupervisor.storage.records import Outgoing, Place
from processsupervisor.testing.network import MemoryNetwork

SEND_TAKES_S = 0.1
_ENTRY_POINT = "[processsupervisor.connectors]\nparlour = parlour:make\n"


def install(folder: Path) -> None:
    """Put the connector into a folder of the import path, as a package with its entry point."""
    shutil.copy(Path(__file__).with_name("parlour.py"), folder)
    facts = folder / "parlour-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: parlour\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(_ENTRY_POINT)


class ParlourLane(NativeLane):
    """Each person says one message a round."""

    def __init__(self, name: str, people: Sequence[Person], fleet: ChaosFleet) -> None:
        super().__init__(name, Promise.ONCE, people, fleet)
        self._by_name = {person.name: person for person in people}
        self._path = fleet.folder / "parlour.sock"
        self._network = MemoryNetwork("parlour", Capabilities(takes_key=True))
        self._taken = 0
        self._waiting: dict[str, dict[str, str]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._turns = itertools.cycle((True, False))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    def settings(self) -> str:
        return f'networks.parlour = {{ socket = "{self._path}" }}\n'

    def say(self) -> None:
        asyncio.run_coroutine_threadsafe(self._say(), self._loop).result(10)

    async def _say(self) -> None:
        for person in self.people:
            message_id, text = person.say()
            self._waiting[message_id] = {"id": message_id, "conversation": person.name, "text": text}
            self._bring(self._waiting[message_id])

    def waits(self) -> int:
        return len(self._waiting)

    def collect(self) -> None:
        looks = self._network.looks[self._taken :]
        self._taken += len(looks)
        for look in looks:
            self._by_name[look.shown.place.conversation].on_text(look.text)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # --- the network

    async def _serve(self) -> None:
        self._server = await asyncio.start_unix_server(self._meet, self._path)

    async def _end(self) -> None:
        self._server.close()
        if self._writer is not None:
            self._writer.close()
        await asyncio.sleep(0.1)  # what was being sent comes to its end

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        for message in list(self._waiting.values()):
            self._bring(message)
        try:
            while line := await reader.readline():
                self._take(json.loads(line), writer)
        except OSError:
            pass
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None

    def _bring(self, message: dict[str, str]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _take(self, line: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if "acknowledge" in line:
            person = self._waiting.pop(line["acknowledge"], {}).get("conversation", "")
            if person:
                self._by_name[person].on_accepted(line["acknowledge"])
            return
        task = asyncio.get_running_loop().create_task(self._send(line, writer))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send(self, line: dict[str, str], writer: asyncio.StreamWriter) -> None:
        is_first = next(self._turns)
        if is_first:
            await asyncio.sleep(SEND_TAKES_S)
        network_id = self._network.take(Outgoing(1, line["key"], Place("parlour", line["conversation"]), None, line["text"], 0.0), [])
        if not is_first:
            await asyncio.sleep(SEND_TAKES_S)
        if not writer.is_closing():
            writer.write(json.dumps({"sent": line["send"], "network_id": network_id}).encode() + b"\n")
