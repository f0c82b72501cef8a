"""psvd is stopped for longer than a bot's deadline and goes on: the bot did nothing wrong, and nothing is done to it."""

from __future__ import annotations

import os
import signal
import time

from tests.supervisor.live import LiveFleet, eventually

STALL_S = 4.5


def test_a_start_has_all_its_time_although_psvd_was_stopped_in_it(fleet: LiveFleet) -> None:
    """A program that is ready after five and a half seconds of psvd's four and the stall is not killed for being late."""
    fleet.write("main.py", "import time\nprint('begun', flush=True)\ntime.sleep(5.5)\nprint('ready', flush=True)\ntime.sleep(1000)\n")
    fleet.configure('[bots.a]\nscript = "main.py"\nready = { log = "^ready" }\nstart_timeout = "4s"\n')
    fleet.up(wait=False)
    eventually(lambda: "begun" in fleet.output("a"), "the first line")
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    time.sleep(STALL_S)  # the stall itself
    os.kill(psvd, signal.SIGCONT)
    assert fleet.until("a", state="RUNNING")["generation"] == 1
    assert fleet.role_pid("psvd") == psvd


def test_a_stop_has_all_its_time_although_psvd_was_stopped_in_it(fleet: LiveFleet) -> None:
    """A program that needs five seconds of psvd's four and the stall is not killed because psvd was away for most of them."""
    fleet.write("main.py", """
        import signal, sys, time

        def end(*_):
            time.sleep(5)
            sys.exit(0)

        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        while True:
            time.sleep(1000)
    """)
    fleet.configure('[bots.a]\nscript = "main.py"\nready = { log = "^ready" }\nstop = { timeout = "4s" }\n')
    fleet.up()
    psvd = fleet.role_pid("psvd")
    fleet.call("bot.stop", names=["a"], wait=False)
    os.kill(psvd, signal.SIGSTOP)
    time.sleep(STALL_S)  # the stall itself; half a second is left to the program
    os.kill(psvd, signal.SIGCONT)
    fleet.until("a", state="STOPPED")
    assert fleet.detail("a")["last_exit"]["exit_code"] == 0
