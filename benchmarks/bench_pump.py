"""What a message costs between network and committed reply, without a socket: the pump of an echo bot in this process. Prints JSON.

    python benchmarks/bench_pump.py [--messages 20000] [--conversations 16] [--window 200] [--profile] [--folder DIR]

Row 11 of `make bench` is the whole way, over the socket of bots under psv; this says where the time goes. With --profile every call is
counted, which makes all of it slower: `profile` then lists for the loop and for the database's thread what took most of their own time.
The database lies in --folder (default: the system's temporary folder): its disk decides what an fsync costs.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path

from processsupervisor.bot.api import Bot
from processsupervisor.bot.message import Message
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.pump import Pump
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Incoming, Outgoing, Place
from processsupervisor.storage.writer import Writer

_LISTED = 15
bot = Bot()


@bot.on_message
async def echo(message: Message) -> str:
    return f"echo {message.text}"


async def pumped(folder: Path, messages: int, conversations: int, window: int) -> dict[str, object]:
    """Hand messages to the pump; a reply counts when it is published, which is behind its commit."""
    database = BotDatabase(folder / "bot.db")
    room = asyncio.Semaphore(window)
    sent: dict[str, float] = {}
    latencies: list[float] = []

    def publish(out: Outgoing) -> None:
        if out.reply_to is not None:
            latencies.append(time.perf_counter() - sent[out.reply_to])
            room.release()

    bot.registry.resolve()
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
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return {
        "messages": messages, "conversations": conversations, "seconds": round(took, 3), "per_s": round(messages / took),
        "latency_p50_ms": round(p50 * 1000, 2), "latency_p99_ms": round(p99 * 1000, 2), "messages_per_commit": round(messages / commits, 1),
    }  # fmt: skip


def profiled(folder: Path, counts: tuple[int, int, int]) -> dict[str, object]:
    """The same with each call counted, in both threads."""
    loop, database = cProfile.Profile(), cProfile.Profile()
    run = Writer._run
    Writer._run = lambda writer: database.runcall(run, writer)  # type: ignore[method-assign]  # the thread's own function
    result = loop.runcall(asyncio.run, pumped(folder, *counts))
    return result | {"profile": {name: _most(found, counts[0]) for name, found in (("loop", loop), ("database", database))}}


def _most(profile: cProfile.Profile, messages: int) -> list[str]:
    """Return the functions that took most time of their own, with microseconds and calls a message."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # the documented table, unknown to the stubs
    rows = sorted(((own_s, calls, place) for place, (_, calls, own_s, _, _) in stats.items()), reverse=True)
    return [f"{1e6 * own_s / messages:6.1f} us {calls / messages:5.2f} x  {Path(file).name}:{line} {name}"
            for own_s, calls, (file, line, name) in rows[:_LISTED]]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--conversations", type=int, default=16)
    parser.add_argument("--window", type=int, default=200, help="messages in flight")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        counts = (options.messages, options.conversations, options.window)
        result = profiled(Path(name), counts) if options.profile else asyncio.run(pumped(Path(name), *counts))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
