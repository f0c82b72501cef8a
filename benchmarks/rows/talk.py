"""Talks to native bots over their own web.sock: one thing to each of many, or one thing after the other to some, with latencies."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import dataclass

from processsupervisor.kernel.paths import FleetPaths, short_socket_path

_AT_ONCE = 50
_TIMEOUT_S = 60.0
_POLL_EACH_S = 0.2


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


async def _connect(paths: FleetPaths, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = paths.bot_run(name) / "web.sock"
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        return await asyncio.open_unix_connection(short_socket_path(path, folder), limit=1 << 20)
    finally:
        os.close(folder)


def _write(writer: asyncio.StreamWriter, op: str, **fields: object) -> None:
    writer.write(json.dumps({"op": op, "conversation": "default", **fields}).encode() + b"\n")


async def post(paths: FleetPaths, name: str, number: str, text: str) -> None:
    """Post one message to a bot and wait until it is accepted, for no reply."""
    reader, writer = await _connect(paths, name)
    try:
        _write(writer, "post", id=number, text=text)
        await asyncio.wait_for(reader.readline(), _TIMEOUT_S)
    finally:
        writer.close()


async def _ask(paths: FleetPaths, name: str) -> bool:
    return await _reply_to(paths, name, "bench-1", name) == f"you said {name}"


def ask(paths: FleetPaths, name: str, text: str) -> str:
    """Say something to a bot and return its reply; TimeoutError after a minute, "" when the bot closes the connection."""
    return asyncio.run(asyncio.wait_for(_reply_to(paths, name, f"ask-{time.monotonic_ns()}", text), _TIMEOUT_S))


async def _reply_to(paths: FleetPaths, name: str, number: str, text: str) -> str:
    reader, writer = await _connect(paths, name)
    try:
        _write(writer, "subscribe", after=None)
        _write(writer, "post", id=number, text=text)
        while line := await reader.readline():
            event = json.loads(line)
            if event.get("op") == "event" and event.get("final") and event.get("reply_to") == number:
                return str(event["text"])
        return ""
    finally:
        writer.close()


class Pollster:
    """Asks each of some bots one thing after the other and notes how long each reply took, in ms."""

    def __init__(self, paths: FleetPaths, names: list[str]) -> None:
        self._paths = paths
        self._names = names
        self._samples: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_over = False

    async def begin(self) -> None:
        """Connect to all and go on asking until `end`."""
        for number, name in enumerate(self._names):
            reader, writer = await _connect(self._paths, name)
            _write(writer, "subscribe", after=None)
            self._tasks.append(asyncio.create_task(self._ask_on(reader, writer, number / len(self._names) * _POLL_EACH_S)))

    def take(self) -> list[float]:
        """Return the latencies since the last call. Raises what went wrong with one of the bots."""
        for task in self._tasks:
            if task.done():
                task.result()
        found, self._samples = self._samples, []
        return found

    async def end(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _ask_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, offset_s: float) -> None:
        await asyncio.sleep(offset_s)
        for number in itertools.takewhile(lambda _: not self._is_over, itertools.count()):
            began = time.perf_counter()
            _write(writer, "post", id=f"poll-{number}", text="hello")
            await asyncio.wait_for(self._reply(reader, f"poll-{number}"), _TIMEOUT_S)
            took_s = time.perf_counter() - began
            self._samples.append(1000 * took_s)
            await asyncio.sleep(max(0.0, _POLL_EACH_S - took_s))

    @staticmethod
    async def _reply(reader: asyncio.StreamReader, number: str) -> None:
        while line := await reader.readline():
            event = json.loads(line)
            if event.get("op") == "event" and event.get("final") and event.get("reply_to") == number:
                return
        raise ConnectionError("the bot closed the connection")
