"""All clients in one process outside of the fleet: `python -m tests.chaos.crowd`, told by JSON lines what to do.

A process of its own, so that what the harness does besides (reading /proc, logs) is in nobody's latency. `Crowd` is the
harness's end of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.clients import Client, HttpClient, SocketClient
from tests.chaos.tally import Tally

from processsupervisor.kernel.paths import FleetPaths

_HERE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Load:
    """`per_s` messages a second over the socket of each of `bots`, 1 a second over HTTP to each of `http`; every n-th takes a while."""

    bots: list[str]
    http: list[str]
    per_s: float
    slow_every: int = 0


class CrowdFailed(Exception):
    """The clients' process ended or did not answer."""


class Crowd:
    """The running process of all clients; `close` ends it."""

    def __init__(self, folder: Path, load: Load) -> None:
        argv = [sys.executable, "-m", "tests.chaos.crowd", str(folder), json.dumps(asdict(load))]
        self._process = subprocess.Popen(argv, cwd=_HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._buffer = b""

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Have one thing done and return the answer; raises CrowdFailed when there is none in time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                data = os.read(self._process.stdout.fileno(), 1 << 20) if selector.select(timeout_s) else b""
                if not data:
                    raise CrowdFailed(f"no answer to {op}")
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def pause_until_quiet(self, within_s: float) -> dict[str, Any]:
        """Send nothing new until every message has its answer; returns counts, faults and who still waits."""
        return self.ask("quiet", within_s + 10, within_s=within_s)

    @property
    def pid(self) -> int:
        """The process's pid: what the load itself costs can be read there."""
        return self._process.pid

    def close(self) -> None:
        """End the process; doing it twice does nothing."""
        self._process.kill()
        self._process.wait(5)
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                end.close()


class _Clients:
    """The clients inside the process."""

    def __init__(self, paths: FleetPaths, load: Load) -> None:
        self._is_paused = False
        self._load = load
        self._sockets = [SocketClient(paths.bot_run(bot) / "web.sock", Tally(f"{bot}-sock", load.slow_every)) for bot in load.bots]
        self._https = [HttpClient(paths, bot, Tally(f"{bot}-http", load.slow_every)) for bot in load.http]

    @property
    def all(self) -> list[Client]:
        return [*self._sockets, *self._https]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for client in self.all:
                tasks.create_task(client.run())
            for number, client in enumerate(self._sockets):
                tasks.create_task(self._talk(client, 1 / self._load.per_s, number / len(self._sockets)))
            for number, client in enumerate(self._https):
                tasks.create_task(self._talk(client, 1.0, number / len(self._https)))
            await self._obey()
            os._exit(0)

    async def _talk(self, client: Client, every_s: float, phase: float) -> None:
        """Say something at fixed times, whatever became of the messages before."""
        loop = asyncio.get_running_loop()
        due = loop.time() + phase * every_s
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not self._is_paused:
                client.say(due)
            due += every_s

    async def _obey(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            request = json.loads(line)
            match request["op"]:
                case "quiet":
                    answer = await self._become_quiet(float(request["within_s"]))
                case "go":
                    self._is_paused = False
                    answer = {}
                case "counts":
                    answer = self._counts() | {
                        "latencies": [s for c in self.all for s in c.tally.latencies],
                        "late": [pair for c in self.all for pair in c.tally.late],
                    }
                case _:
                    answer = await self._audit()
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    async def _become_quiet(self, within_s: float) -> dict[str, Any]:
        self._is_paused = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while loop.time() < deadline and not all(c.tally.is_quiet for c in self.all):
            await asyncio.sleep(0.02)
        return self._counts()

    def _counts(self) -> dict[str, Any]:
        tallies = [c.tally for c in self.all]
        faults = [fault for t in tallies for fault in t.faults]
        for tally in tallies:
            tally.faults.clear()
        waiting = {t.name: {"no_answer": t.waiting[:5], "not_accepted": list(t.unaccepted)[:5]} for t in tallies if not t.is_quiet}
        sums = {key: sum(getattr(t, key) for t in tallies) for key in ("sent", "accepted", "answered", "apologies")}
        return {**sums, "faults": faults, "waiting": waiting}

    async def _audit(self) -> dict[str, Any]:
        """Read every socket conversation again from its beginning."""
        wrong: list[str] = []
        for client in self._sockets:
            wrong += client.tally.audit(await client.everything(30.0))
        return {"faults": wrong}


if __name__ == "__main__":
    asyncio.run(_Clients(FleetPaths(Path(sys.argv[1])), Load(**json.loads(sys.argv[2]))).run())
