"""Message in to reply committed, one echo bot: budget row 11. Prints JSON.

    python benchmarks/bench_pump.py [--messages 20000] [--conversations 50] [--window 512] [--in-process] [--folder DIR]

By default the bot is a process of its own and messages come over its web.sock, as from the web process; the time ends
when the last reply, published after its commit, was read. `--in-process` leaves the socket out and measures the pump.
The database lies in --folder (default: the system's temporary folder): its disk decides what an fsync costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from processsupervisor.bot.api import Bot
from processsupervisor.bot.message import Message
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.pump import Pump
from processsupervisor.ipc.client_async import open_unix
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Incoming, Outgoing, Place

bot = Bot()


@bot.on_message
async def echo(message: Message) -> str:
    return f"echo {message.text}"


async def in_process(folder: Path, messages: int, conversations: int, window: int) -> dict[str, object]:
    """Post to the pump itself; the reply counts when it is published."""
    database = BotDatabase(folder / "bot.db")
    room = asyncio.Semaphore(window)
    sent: dict[str, float] = {}
    latencies: list[float] = []

    def publish(out: Outgoing) -> None:
        if out.reply_to is not None:
            latencies.append(time.perf_counter() - sent[out.reply_to])
            room.release()

    pump = Pump(bot, database, "A program answers.", Networks(publish=publish), reminded=lambda _: None)
    pump.open()
    started = time.perf_counter()
    for number in range(messages):
        await room.acquire()
        message_id = f"m{number}"
        sent[message_id] = time.perf_counter()
        pump.accept(Incoming(Place("bench", f"c{number % conversations}"), message_id, "bench", "hello"))
    await pump.wait_quiet()
    took = time.perf_counter() - started
    commits = database.writer.commits
    await database.close()
    return _result("in-process", messages, conversations, took, latencies) | {"messages_per_commit": round(messages / commits, 1)}


async def over_socket(path: Path, messages: int, conversations: int, window: int) -> dict[str, object]:
    """Post over web.sock, one connection to write and read; the reply counts when it was read."""
    while True:
        try:
            reader, writer = await open_unix(path, 1.0)
            break
        except OSError:
            await asyncio.sleep(0.02)
    for number in range(min(conversations, 16)):
        writer.write(json.dumps({"op": "subscribe", "conversation": f"c{number}", "after": None}).encode() + b"\n")
    conversations = min(conversations, 16)
    room = asyncio.Semaphore(window)
    sent: dict[str, float] = {}
    latencies: list[float] = []

    async def post() -> None:
        for number in range(messages):
            await room.acquire()
            sent[f"m{number}"] = time.perf_counter()
            line = {"op": "post", "id": f"m{number}", "text": "hello", "conversation": f"c{number % conversations}"}
            writer.write(json.dumps(line).encode() + b"\n")
            if number % 64 == 0:
                await writer.drain()

    started = time.perf_counter()
    posting = asyncio.create_task(post())
    while len(latencies) < messages:
        line = json.loads(await reader.readline())
        if line["op"] == "refused":
            raise SystemExit(f"refused: {line}")
        if line["op"] == "event" and line["reply_to"] is not None:
            latencies.append(time.perf_counter() - sent[line["reply_to"]])
            room.release()
    took = time.perf_counter() - started
    await posting
    writer.close()
    return _result("web.sock", messages, conversations, took, latencies)


def _result(way: str, messages: int, conversations: int, took: float, latencies: list[float]) -> dict[str, object]:
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return {
        "way": way, "messages": messages, "conversations": conversations, "seconds": round(took, 3), "per_s": round(messages / took),
        "latency_p50_ms": round(p50 * 1000, 2), "latency_p99_ms": round(p99 * 1000, 2), "goal_per_s": 2000,
    }  # fmt: skip


def serve(folder: str) -> int:
    """Be the bot: what a forked child runs."""
    from processsupervisor.bot import runner

    sys.path[0] = str(Path(__file__).parent)
    spec = {"name": "echo", "run": "bench_pump:bot", "options": {}, "log_level": "warning", "stop": {"timeout_s": 5.0}}
    return runner.main(SimpleNamespace(spec=spec, generation=1, secret_fd=-1, paths=FleetPaths(folder)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--conversations", type=int, default=16)
    parser.add_argument("--window", type=int, default=200, help="messages in flight")
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        sys.exit(serve(options.serve))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        counts = (options.messages, options.conversations, options.window)
        if options.in_process:
            print(json.dumps(asyncio.run(in_process(folder, *counts))))
            return
        paths = FleetPaths(folder)
        paths.ensure()
        child = subprocess.Popen([sys.executable, __file__, "--serve", name], stdin=subprocess.DEVNULL)
        try:
            print(json.dumps(asyncio.run(over_socket(paths.bot_run("echo") / "web.sock", *counts))))
        finally:
            child.terminate()
            child.wait(10)


if __name__ == "__main__":
    main()
