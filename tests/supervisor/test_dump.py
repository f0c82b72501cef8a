"""`psv bot dump`: what a live bot is doing, told by itself, and no harm done; a clear refusal where nothing can be had."""

from __future__ import annotations

from typing import Any

from tests.supervisor.live import LiveFleet, eventually

BUSY = """
    import asyncio, threading, time

    def works():
        time.sleep(1000)

    async def inner():
        await asyncio.sleep(1000)

    async def outer():
        await inner()

    async def main():
        threading.Thread(target=works, daemon=True).start()
        task = asyncio.create_task(outer(), name="the-outer-task")
        while True:
            print("tick", flush=True)
            await asyncio.sleep(0.1)

    asyncio.run(main())
"""


def _dump(fleet: LiveFleet, name: str) -> dict[str, Any]:
    return dict(fleet.call("bot.dump", names=[name])[0])


def test_a_dump_names_threads_and_tasks_and_the_bot_goes_on(fleet: LiveFleet) -> None:
    """Stacks of every thread, each task with the way to where it waits; asked ten times, the bot is the same."""
    fleet.write("main.py", BUSY)
    fleet.write("bots.py", "from processsupervisor import Bot\nbot = Bot()\n")
    fleet.configure('[bots.old]\nscript = "main.py"\nready = { log = "^tick$" }\n[bots.native]\nrun = "bots:bot"\n')
    fleet.up()
    pid = fleet.bot("old")["pid"]
    for _ in range(10):
        found = _dump(fleet, "old")
        assert found["ok"] and found["pid"] == pid and found["missing"] == []
        assert "in works" in found["stacks"] and "in main" in found["tasks"]
        task = found["tasks"].partition("Task the-outer-task: outer\n")[2]
        assert [line.rpartition(" in ")[2] for line in task.splitlines()[:3]] == ["outer", "inner", "sleep"]
        assert "/processsupervisor/zygote/" not in found["stacks"]
    ticks = fleet.output("old").count("tick")
    eventually(lambda: fleet.output("old").count("tick") > ticks, "it goes on")
    native = _dump(fleet, "native")
    assert native["ok"] and "Life.run" in native["tasks"] and native["missing"] == []
    assert (fleet.bot("old")["pid"], fleet.bot("native")["restarts"]) == (pid, 0)
    assert (fleet.paths.bot_run("native") / "dump").stat().st_size == 0  # what it said may hold values; only the redacted answer stays


def test_who_can_give_no_dump_is_told_why(fleet: LiveFleet) -> None:
    """A program, a bot without a process, a script that runs no loop: each has its own words."""
    fleet.write("plain.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.configure("""
        [bots.program]
        command = ["sleep", "1000"]
        ready = { after = "0.1s" }
        [bots.plain]
        script = "plain.py"
        ready = { log = "^up$" }
        [bots.off]
        command = ["sleep", "1000"]
        autostart = false
    """)
    fleet.up()
    program, off, plain = _dump(fleet, "program"), _dump(fleet, "off"), _dump(fleet, "plain")
    assert (program["ok"], program["code"]) == (False, "refused")
    assert f"py-spy dump --pid {fleet.bot('program')['pid']}" in program["message"]
    assert (off["ok"], off["code"]) == (False, "refused") and "psv start off" in off["message"]
    assert plain["ok"] and "plain.py" in plain["stacks"] and "no event loop runs" in plain["tasks"]


def test_a_bot_that_does_not_answer_is_not_harmed(fleet: LiveFleet) -> None:
    """One that put the default action in place of ours would end by the signal, one that waits for all signals would take it for another.

    Nothing is sent to them, and what is missing is named.
    """
    fleet.write("waits.py", "import signal\nmost = signal.valid_signals() - {signal.SIGTERM}\nsignal.pthread_sigmask(signal.SIG_BLOCK, most)\n"
                            "print('up', flush=True)\nprint('got', signal.sigwait(most), flush=True)\n")
    fleet.write("reset.py", "import signal, time\nfor n in range(34, 65):\n    signal.signal(n, signal.SIG_DFL)\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.write("closes.py", "import os, time\nos.closerange(3, 99)\nprint('up', flush=True)\nfor n in os.listdir('/proc/self/fd'):\n"
                             "    if int(n) > 99 and os.readlink(f'/proc/self/fd/{n}').endswith('/dump'):\n        os.close(int(n))\n"
                             "print('closed', flush=True)\ntime.sleep(1000)\n")
    fleet.configure("""
        [bots.reset]
        script = "reset.py"
        ready = { log = "^up$" }
        [bots.waits]
        script = "waits.py"
        ready = { log = "^up$" }
        [bots.closes]
        script = "closes.py"
        ready = { log = "^closed$" }
    """)
    fleet.up()
    closes = _dump(fleet, "closes")
    for name in ("reset", "waits"):
        found = _dump(fleet, name)
        assert not found["ok"] and "has taken the signal away" in found["message"]
    assert "got" not in fleet.output("waits")
    assert not closes["ok"] and "it holds no dump file" in closes["message"]
    assert [fleet.bot(name)["restarts"] for name in ("reset", "waits", "closes")] == [0, 0, 0]
    assert {fleet.bot(name)["state"] for name in ("reset", "waits", "closes")} == {"RUNNING"}


def test_a_bot_whose_threads_are_busy_survives_its_dumps(fleet: LiveFleet) -> None:
    """Whoever walks the stacks of threads that run must have the interpreter's lock, or meets a frame that is gone."""
    fleet.write("busy.py", """
        import asyncio, threading

        def deep(n):
            return sorted(range(50), key=lambda x: -x) if n == 0 else deep(n - 1)

        def work():
            while True:
                deep(30)

        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()

        async def main():
            while True:
                await asyncio.sleep(0.1)

        asyncio.run(main())
    """)
    fleet.configure('[bots.busy]\nscript = "busy.py"\nready = { after = "0.1s" }\n')
    fleet.up()
    pid = fleet.bot("busy")["pid"]
    eventually(lambda: fleet.call("bot.dump", names=["busy"])[0]["stacks"].count("in work") >= 3, "all threads are at work")
    for _ in range(60):
        [dump] = fleet.call("bot.dump", names=["busy"])
        assert dump["stacks"].count("in work") >= 3 and dump["missing"] == []
    assert fleet.bot("busy")["pid"] == pid
