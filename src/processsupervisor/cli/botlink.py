"""One connection to a bot's web.sock, as a contact has it: JSON lines out and in, every wait with a deadline."""

from __future__ import annotations

import json
import select
import time
import uuid
from collections.abc import Iterator

from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.paths import FleetPaths

SEND_S = 10.0

Event = dict[str, object]


class BotLink:
    """One connection to a bot's web.sock: objects out, objects in, every wait with a deadline."""

    def __init__(self, paths: FleetPaths, name: str) -> None:
        self._socket = connect_unix(paths.bot_run(name) / "web.sock", SEND_S)
        self._pending = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, **message: object) -> None:
        """Send one object."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[Event]:
        """Return the whole objects among what has arrived; raises ConnectionError at the end."""
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the bot closed the connection")
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        self._pending = bytearray(rest)
        return [json.loads(line) for line in lines if line]

    def messages(self, deadline: float) -> Iterator[Event]:
        """Yield what the bot sends until the monotonic `deadline`."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self], [], [], left)[0]:
                return
            yield from self.receive()


def new_id() -> str:
    """Return an id for a message that no other message has."""
    return f"cli-{uuid.uuid4().hex}"


def last_seq(history: Event) -> int:
    """Return the highest event number in an answer to `history`, 0 for none."""
    messages = history.get("messages")
    rows = messages if isinstance(messages, list) else []
    numbers = [row.get("seq") for row in rows if isinstance(row, dict) and row.get("from") == "bot"]
    return max((number for number in numbers if isinstance(number, int)), default=0)
