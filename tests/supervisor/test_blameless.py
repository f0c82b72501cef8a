"""Silence that is not a bot's fault: nobody is judged for psv's own stalls, a full output, or a loop that has ended."""

from __future__ import annotations

import os
import signal
import time

from tests.supervisor.live import LiveFleet, eventually

STALL_S = 6.0

TICKS = """
    import asyncio

    async def main():
        print("up", flush=True)
        while True:
            await asyncio.sleep(0.05)

    asyncio.run(main())
"""


def _beat_age_s(fleet: LiveFleet, name: str) -> float:
    age_s = fleet.detail(name)["beat_age_s"]
    return float(age_s) if age_s is not None else -1.0


def test_the_time_in_which_psvd_was_stopped_is_not_counted(fleet: LiveFleet) -> None:
    """A bot is silent while psvd is stopped, for longer than hang_after; psvd finds it so when it goes on, and waits all the same."""
    fleet.write("main.py", """
        import asyncio, os, time

        async def main():
            print("up", flush=True)
            while not os.path.exists("block"):
                await asyncio.sleep(0.02)
            print("blocked", flush=True)
            while not os.path.exists("go"):
                time.sleep(0.02)
            await asyncio.sleep(1000)

        asyncio.run(main())
    """)
    fleet.configure('[bots.a]\nscript = "main.py"\nhang_after = "4s"\nready = { log = "^up$" }\n')
    fleet.up()
    bot, psvd = fleet.bot("a")["pid"], fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    fleet.write("block", "")
    eventually(lambda: "blocked" in fleet.output("a"), "its loop is held up")
    time.sleep(STALL_S)
    os.kill(psvd, signal.SIGCONT)
    eventually(fleet.answers, "psvd answers")
    assert _beat_age_s(fleet, "a") > 4.0, "the bot is silent, and psvd sees it"
    time.sleep(1.0)  # whoever counted the stall would judge now
    fleet.write("go", "")
    eventually(lambda: _beat_age_s(fleet, "a") < 1.5, "it beats again")
    assert (fleet.bot("a")["pid"], fleet.bot("a")["restarts"]) == (bot, 0)


def test_waiting_for_ones_own_output_is_no_hang(fleet: LiveFleet) -> None:
    """While nobody reads, a bot that prints is silent for longer than hang_after; it goes on when logd does."""
    fleet.write("main.py", """
        import asyncio, os

        async def main():
            print("up", flush=True)
            while not os.path.exists("print"):
                await asyncio.sleep(0.02)
            os.unlink("print")
            for number in range(1000):
                print(number, "x" * 1000, flush=True)
            print("printed", flush=True)
            await asyncio.sleep(1000)

        asyncio.run(main())
    """)
    fleet.configure('[bots.a]\nscript = "main.py"\nhang_after = "2s"\nready = { log = "^up$" }\n')
    fleet.up()
    pid = fleet.bot("a")["pid"]
    logd = fleet.kill_role("logd", signal.SIGSTOP)
    fleet.write("print", "")
    try:
        eventually(lambda: _beat_age_s(fleet, "a") > 4.5, "it is silent for more than twice hang_after")
        assert (fleet.bot("a")["pid"], fleet.bot("a")["state"]) == (pid, "RUNNING")
    finally:
        os.kill(logd, signal.SIGCONT)
    eventually(lambda: "printed" in fleet.output("a"), "it goes on")
    assert (fleet.bot("a")["pid"], fleet.bot("a")["restarts"]) == (pid, 0)


def test_a_loop_that_has_ended_and_one_that_nobody_judges_may_be_silent(fleet: LiveFleet) -> None:
    """A script may go on without its loop, and `hang_after = 0` judges nobody, stopped or not."""
    fleet.write("ended.py", "import asyncio, time\nasyncio.run(asyncio.sleep(1.5))\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.write("free.py", "import asyncio, time\nasync def main():\n    print('up', flush=True)\n    time.sleep(1000)\nasyncio.run(main())\n")
    fleet.write("held.py", TICKS)
    fleet.configure("""
        [global]
        ready = { log = "^up$" }
        [bots.ended]
        script = "ended.py"
        hang_after = "2s"
        [bots.free]
        script = "free.py"
        hang_after = 0
        [bots.held]
        script = "held.py"
        hang_after = "2s"
    """)
    fleet.up()
    eventually(lambda: _beat_age_s(fleet, "free") > 4.0, "one that nobody judges is silent")
    assert fleet.detail("ended")["beat_age_s"] is None
    assert [fleet.bot(name)["restarts"] for name in ("ended", "free", "held")] == [0, 0, 0]


def test_a_script_that_executes_another_program_is_not_judged_by_the_loop_it_left(fleet: LiveFleet) -> None:
    """Many bots restart themselves so, out of a handler: the loop is gone without having ended, and its pulse with it."""
    fleet.write("main.py", """
        import asyncio, os, sys

        async def main():
            await asyncio.sleep(1.5)
            os.execv(sys.executable, [sys.executable, "-c", "import time; print('another', flush=True); time.sleep(1000)"])

        asyncio.run(main())
    """)
    fleet.configure('[bots.a]\nscript = "main.py"\nhang_after = "2s"\nready = { log = "^another$" }\n')
    fleet.up()
    pid = fleet.bot("a")["pid"]
    eventually(lambda: fleet.detail("a")["beat_age_s"] is None, "that it cannot is known")
    assert (fleet.bot("a")["pid"], fleet.bot("a")["state"], fleet.bot("a")["restarts"]) == (pid, "RUNNING", 0)
    dump = fleet.call("bot.dump", names=["a"])[0]
    assert not dump["ok"] and "it holds no dump file" in dump["message"]


def test_a_bot_without_its_vitals_runs_and_is_not_judged(fleet: LiveFleet) -> None:
    """Whatever lies where its pulse and its dump belong: it starts as ever, and what it cannot give is named."""
    fleet.write("main.py", "import asyncio, time\nasync def main():\n    print('up', flush=True)\n    time.sleep(1000)\nasyncio.run(main())\n")
    fleet.configure('[bots.a]\nscript = "main.py"\nhang_after = "2s"\nready = { log = "^up$" }\nautostart = false\n')
    fleet.up()
    for name in ("pulse", "dump"):
        (fleet.paths.bot_run("a") / name).mkdir()
    fleet.call("bot.start", names=["a"])
    pid = fleet.until("a", state="RUNNING")["pid"]
    eventually(lambda: fleet.bot("a")["uptime_s"] > 4.0, "it would have been judged")
    found = fleet.detail("a")
    assert (found["pid"], found["beat_age_s"], found["restarts"]) == (pid, None, 0)
    dump = fleet.call("bot.dump", names=["a"])[0]
    assert not dump["ok"] and "it holds no dump file" in dump["message"]
