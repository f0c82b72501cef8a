"""Many messages to native bots over their web.sock as fast as they answer: `python -m benchmarks.flood FOLDER LOAD`, prints JSON.

A process of its own, so that its work is in nobody else's; lines are made before the clock starts and answers are cut out of the bytes, not
parsed, because the load shares the machine with what it measures. A message counts when its reply, published after the commit, was read.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from processsupervisor.kernel.paths import FleetPaths, short_socket_path

_REPLY = b'"reply_to":"'
_WITHIN_S = 300.0
MOST_CONVERSATIONS = 16
"""So many conversations one connection may read."""


@dataclass(frozen=True)
class Load:
    """`messages` to each of `bots`, over so many conversations, `window` of them on their way at the same time."""

    bots: list[str]
    messages: int
    conversations: int
    window: int


def flood(folder: Path, load: Load) -> dict[str, float]:
    """Run the load in a process of its own; returns its figures. Raises RuntimeError when it failed."""
    argv = [sys.executable, "-m", "benchmarks.flood", str(folder), json.dumps(asdict(load))]
    done = subprocess.run(argv, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    if done.returncode:
        raise RuntimeError(f"the load failed: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout))


class _Talker(asyncio.Protocol):
    """One connection to one bot."""

    def __init__(self, load: Load, run: str) -> None:
        self._load = load
        self._lines = [
            json.dumps({"op": "post", "id": f"{run}-{n}", "text": "hello", "conversation": f"c{n % load.conversations}"}).encode() + b"\n"
            for n in range(load.messages)
        ]
        self._sent = [0.0] * load.messages
        self._next = 0
        self._rest = b""
        self._mark = _REPLY + run.encode() + b"-"
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        for number in range(self._load.conversations):
            transport.write(json.dumps({"op": "subscribe", "conversation": f"c{number}", "after": None}).encode() + b"\n")

    def begin(self) -> None:
        """Send as much as the window lets."""
        self._send(self._load.window)

    def _send(self, count: int) -> None:
        until = min(self._next + count, len(self._lines))
        if self._next < until:
            now = time.perf_counter()
            self._sent[self._next : until] = [now] * (until - self._next)
            self._transport.write(b"".join(self._lines[self._next : until]))
            self._next = until

    def data_received(self, data: bytes) -> None:
        now, before = time.perf_counter(), len(self.latencies)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            start = line.find(self._mark)
            if start >= 0:
                start += len(self._mark)
                self.latencies.append(now - self._sent[int(line[start : line.index(b'"', start)])])
            elif b'"op":"refused"' in line and not self.done.done():
                self.done.set_exception(RuntimeError(line.decode()))
        self._send(len(self.latencies) - before)
        if len(self.latencies) == self._load.messages and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the bot closed the connection"))


async def _flood(paths: FleetPaths, load: Load) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    run = f"{os.getpid():x}"
    talkers = []
    for bot in load.bots:
        path = paths.bot_run(bot) / "web.sock"
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            _, talker = await loop.create_unix_connection(lambda: _Talker(load, run), short_socket_path(path, folder))
        finally:
            os.close(folder)
        talkers.append(talker)
    used = _cpu_s()
    began = time.perf_counter()
    for talker in talkers:
        talker.begin()
    await asyncio.wait_for(asyncio.gather(*(talker.done for talker in talkers)), _WITHIN_S)
    took_s = time.perf_counter() - began
    latencies = sorted(s for talker in talkers for s in talker.latencies)
    return {
        "per_s": len(latencies) / took_s, "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100], "client_us_each": 1e6 * (_cpu_s() - used) / len(latencies),
    }  # fmt: skip


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _main() -> None:
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(_flood(FleetPaths(sys.argv[1]), Load(**json.loads(sys.argv[2]))))))


if __name__ == "__main__":
    _main()
