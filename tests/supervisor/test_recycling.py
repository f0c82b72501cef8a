"""Recycling in a real fleet: a leak, age and messages start a bot anew, one of a type at a time, over the death of psvd."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import Visitor

from processsupervisor.kernel.clock import boottime
from processsupervisor.kernel.identity import Identity, start_boottime

LEAK = """
    import sys, time
    kept = []
    print("up", flush=True)
    while True:
        if len(kept) < int(sys.argv[1]):
            kept.append(bytearray(b"x" * (1 << 20)))
        time.sleep(0.02)
"""
BUSY = """
    print("up", flush=True)
    kept = bytearray(b"x" * (60 << 20))
    while True:
        pass
"""
NATIVE = """
    import asyncio
    from processsupervisor import Bot, Message
    bot = Bot()

    @bot.on_message
    async def answer(message: Message) -> str:
        if message.text == "slow":
            print("slow begins", flush=True)
            await asyncio.sleep(4)
        return message.text
"""


def exits(fleet: LiveFleet, bot: str) -> list[tuple[dict[str, Any], int]]:
    """Return the exits of a bot that are noted, and whether each counts for the restart windows."""
    with closing(sqlite3.connect(fleet.paths.database)) as db, db:
        return [(json.loads(row[0]), row[1]) for row in db.execute("SELECT record, counted FROM exits WHERE bot = ? ORDER BY id", (bot,))]


def test_a_leak_is_found_and_the_bot_recycled_when_it_is_quiet(fleet: LiveFleet) -> None:
    """Soft limit: reason memory-policy, the sizes in the message; it was passed at once, so it counts as a restart."""
    fleet.write("leak.py", LEAK)
    fleet.configure('[bots.leak]\nscript = "leak.py"\nargs = ["70"]\nready = { log = "up" }\nrecycle = { max_memory = "60MB" }')
    fleet.up()
    bot = fleet.until("leak", state="RUNNING", generation=2)
    assert bot["restarts"] == 1
    record, is_counted = exits(fleet, "leak")[0]
    assert (record["reason"], is_counted) == ("memory-policy", 1)
    assert "max_memory is 60.0 MB" in record["message"]


def test_a_busy_bot_keeps_its_moment_until_within_and_the_hard_limit_does_not_wait(fleet: LiveFleet) -> None:
    """Both hold 60 MB and are never quiet: the one with a hard limit goes at once, the other when its wait is over.

    What needs more than its limit is held back as a crash loop is, and all that is said of it names the limit.
    """
    fleet.write("busy.py", BUSY)
    fleet.configure("""
        [types.busy]
        script = "busy.py"
        ready = { log = "up" }
        [bots.hard]
        type = "busy"
        recycle = { max_memory = "30MB", max_memory_hard = "40MB", within = "1h" }
        restart = { policy = "never", window = [{ count = 1, within = "10m" }] }
        [bots.soft]
        script = "busy.py"
        ready = { log = "up" }
        recycle = { max_memory = "30MB", within = "6s" }
        [bots.patient]
        script = "busy.py"
        ready = { log = "up" }
        recycle = { max_memory = "30MB", within = "1h" }
    """)
    fleet.up()
    fleet.until("hard", generation=2)
    fleet.until("soft", generation=2)
    assert fleet.bot("patient")["generation"] == 1
    assert "max_memory_hard" in exits(fleet, "hard")[0][0]["message"]
    bot = fleet.until("hard", state="FAILED", reason="crash-loop", generation=2)
    assert bot["restarts"] == 1 and bot["next_start_in_s"] > 60
    assert "recycle limit" in fleet.detail("hard")["what_to_do"]
    notes = [note["message"] for note in fleet.call("fleet.status")["notes"] if note["subject"] == "hard"]
    assert any("max_memory_hard is 40.0 MB" in note and "raise that in fleet.toml" in note for note in notes), notes


def test_one_of_a_type_at_a_time(fleet: LiveFleet) -> None:
    """Four bots of a type are too old at once: while one is on its way the others run."""
    fleet.configure("""
        [types.old]
        command = ["sh", "-c", "echo up; exec sleep 1000"]
        ready = { after = "0.5s" }
        recycle = { max_age = "3s", within = "0s", jitter = 0 }
        [bots.a]
        type = "old"
        [bots.b]
        type = "old"
        [bots.c]
        type = "old"
        [bots.d]
        type = "old"
    """)
    fleet.up()
    names, most = ("a", "b", "c", "d"), 0

    def look() -> bool:
        nonlocal most
        bots = fleet.call("bot.list")
        most = max(most, sum(bot["state"] != "RUNNING" for bot in bots))
        return all(bot["generation"] >= 2 for bot in bots)

    eventually(look, "each has been recycled")
    assert most == 1
    for name in names:
        record, is_counted = exits(fleet, name)[0]
        assert (record["reason"], is_counted) == ("admin", 0) and record["message"].startswith("recycled: ") and "max_age" in record["message"]


def test_age_is_the_process_s_own_and_a_recycle_that_has_begun_is_completed(fleet: LiveFleet) -> None:
    """psvd is killed before the age is reached, and again in the middle of the end: one generation follows, with the reason."""
    fleet.configure("""
        [bots.old]
        command = ["python", "-c", "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); print('up', flush=True); time.sleep(1000)"]
        ready = { log = "up" }
        stop = { timeout = "3s" }
        recycle = { max_age = "6s", within = "0s", jitter = 0 }
    """)
    fleet.up()
    pid = fleet.bot("old")["pid"]
    eventually(lambda: _age_s(pid) > 3, "half of its age")
    fleet.kill_role("psvd")
    eventually(lambda: "asked" in fleet.output("old"), "it is asked to stop")
    assert _age_s(pid) < 12, "a new psvd has not begun to count anew"
    fleet.kill_role("psvd")
    fleet.until("old", state="RUNNING", generation=2)
    record, is_counted = exits(fleet, "old")[0]
    assert (len(exits(fleet, "old")), record["reason"], is_counted) == (1, "admin", 0)
    assert "max_age" in record["message"]


def test_messages_are_counted_by_the_bot_and_one_under_way_is_not_cut_off(fleet: LiveFleet) -> None:
    """A native bot that has handled its messages is recycled when none is under way, also by a psvd that was not there before."""
    fleet.write("echo.py", NATIVE)
    fleet.configure('[bots.echo]\nrun = "echo:bot"\nstop = { timeout = "1s" }\nrecycle = { max_messages = 3, within = "1h", jitter = 0 }')
    fleet.up()
    visitor = Visitor(fleet, "echo")
    visitor.post("1", "one")
    visitor.post("2", "two")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd")
    visitor.post("3", "three")
    visitor.post("4", "slow")
    fleet.until("echo", state="RUNNING", generation=2)
    assert {number: len(replies) for number, replies in visitor.replies().items()} == {"1": 1, "2": 1, "3": 1, "4": 1}
    assert fleet.output("echo").count("slow begins") == 1, "an end in the middle would have begun it again"
    record, is_counted = exits(fleet, "echo")[0]
    assert (record["reason"], is_counted) == ("admin", 0) and "max_messages is 3 messages" in record["message"]


def _age_s(pid: int) -> float:
    identity = Identity.of(pid)
    assert identity is not None
    return boottime() - start_boottime(identity)
