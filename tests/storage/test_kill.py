"""SIGKILL at any moment: what was said to be committed is there, and nothing is there in half."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys

import pytest

from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Place, SendState

PROGRAM = """
import asyncio, sys
from pathlib import Path
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Incoming, Place, Reply

async def handle(database, life, number):
    name, place = f"{life}-{number}", Place("net", f"c{number % 5}")
    row = (await database.accept(Incoming(place, name, place.conversation, "hi", cursor=number), "A program answers.")).row
    print("accepted", name, flush=True)
    outs = await database.complete(row, [Reply("one"), Reply("two")], Changes(values={("bot", name): "1"}))
    await database.sending([outs[0].id])
    await database.sent(outs[0].id, name)
    print("done", name, flush=True)

async def main():
    database = BotDatabase(Path(sys.argv[1]))
    database.networks_to_send = frozenset({"net"})
    for number in range(0, 100_000, 20):
        await asyncio.gather(*(handle(database, sys.argv[2], number + n) for n in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 90, 400])
async def test_a_kill_loses_nothing_and_leaves_no_half(tmp_path, lines):
    """A few lives on one file, each killed after some lines: every line it said holds; done goes with both replies and the value."""
    path, said = tmp_path / "bot.db", []
    for life in range(3):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), str(life)], stdout=subprocess.PIPE, text=True)
        said += [process.stdout.readline().split() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
    with contextlib.closing(sqlite3.connect(path)) as db:
        states = dict(db.execute("SELECT network_id, state FROM inbox"))
        replies = dict(db.execute("SELECT reply_to, count(*) FROM outbox WHERE reply_to IS NOT NULL GROUP BY reply_to"))
        sent = {name for (name,) in db.execute("SELECT network_id FROM outbox WHERE state = ?", (int(SendState.SENT),))}
        values = {key for (key,) in db.execute("SELECT key FROM kv")}
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {name for word, name in said if word == "accepted"} <= states.keys()
    assert {name for word, name in said if word == "done"} <= sent
    done = {name for name, state in states.items() if state == 1}
    assert replies == dict.fromkeys(done, 2) and values == done
    database = BotDatabase(path)
    claimed = await database.claim()
    assert {row.id for row in claimed} == states.keys() - done
    for out in await database.left_sending("net"):
        assert out.reply_to in done
    assert await database.cursor("net") is not None
    assert len(await database.sends_due("net", 1e12, 100)) <= 5 and all(row.place in {Place("net", f"c{n}") for n in range(5)} for row in claimed)
    await database.close()
