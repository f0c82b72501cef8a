"""Says one thing to each of many native bots over their own web.sock and waits for the replies."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass

from processsupervisor.kernel.paths import FleetPaths, short_socket_path

_AT_ONCE = 50
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answers:
    """How many bots gave the right reply, and how long it took until the last had."""

    count: int
    seconds: float


def talk_to_all(paths: FleetPaths, names: list[str]) -> Answers:
    """Post one message to each bot; a wrong or missing reply is not counted."""
    began = time.monotonic()
    replies = asyncio.run(_talk(paths, names))
    return Answers(sum(replies), time.monotonic() - began)


async def _talk(paths: FleetPaths, names: list[str]) -> list[bool]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> bool:
        async with gate:
            try:
                return await asyncio.wait_for(_ask(paths, name), _TIMEOUT_S)
            except (OSError, TimeoutError) as err:
                print(f"  {name} gave no reply: {err!r}")
                return False

    return list(await asyncio.gather(*(one(name) for name in names)))


async def _ask(paths: FleetPaths, name: str) -> bool:
    path = paths.bot_run(name) / "web.sock"
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        reader, writer = await asyncio.open_unix_connection(short_socket_path(path, folder), limit=1 << 20)
    finally:
        os.close(folder)
    try:
        for request in ({"op": "subscribe", "conversation": "default", "after": None},
                        {"op": "post", "id": "bench-1", "text": name, "conversation": "default"}):
            writer.write(json.dumps(request).encode() + b"\n")
        while line := await reader.readline():
            event = json.loads(line)
            if event.get("op") == "event" and event.get("final") and event.get("reply_to") == "bench-1":
                return bool(event["text"] == f"you said {name}")
        return False
    finally:
        writer.close()
