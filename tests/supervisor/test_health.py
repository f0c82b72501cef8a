"""Bots that are alive and do not do their work: seen by their checks, replaced by them, and never for a single failure."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.notify.causes import Causes

SERVER = """
    import http.server, os, socketserver

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                word = open("answer").read() or "200"
            except OSError:
                word = "200"
            if word == "flap":
                word = "200" if "503" in open("asked").read().split()[-1:] else "503"
            with open("asked", "a") as file:
                file.write(word + "\\n")
            if word == "close":
                return
            self.send_response(int(word))
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", PORT), Page)
    if os.path.exists("answer"):
        os.unlink("answer")
    print("up", flush=True)
    server.serve_forever()
"""
READY = 'ready = { log = "^up$" }'


def serve(fleet: LiveFleet, port: int, health: str) -> None:
    """Start a fleet with one program that answers as the file `answer` says, healthy at first."""
    fleet.write("main.py", SERVER.replace("PORT", str(port)))
    fleet.configure(f'[bots.a]\nscript = "main.py"\n{READY}\nhealth = {{ {health} }}\n')
    fleet.up()
    fleet.until("a", health="healthy")


def asked(fleet: LiveFleet) -> list[str]:
    """Return what the program answered so far."""
    return (fleet.folder / "asked").read_text().split()


def exit_of_first(fleet: LiveFleet) -> dict[str, Any]:
    """Wait for the second generation and return how the first one ended."""
    assert fleet.until("a", state="RUNNING", generation=2)["restarts"] == 1
    return dict(fleet.detail("a")["last_exit"])


def test_a_page_that_fails_often_enough_in_a_row_is_replaced(fleet: LiveFleet, unused_port: int) -> None:
    """The exit says which check failed, with what and how often; the successor is healthy again."""
    serve(fleet, unused_port, f'http = "http://127.0.0.1:{unused_port}/healthz", every = 1, fail_after = 2')
    fleet.write("answer", "500")
    last = exit_of_first(fleet)
    assert (last["reason"], last["signal"]) == ("hang", "SIGKILL")
    assert last["message"] == f"unhealthy: http http://127.0.0.1:{unused_port}/healthz: status 500 (2 times in a row)"
    assert last["dump"]["stacks"]
    fleet.until("a", health="healthy")
    with ControlClient(fleet.paths) as client:
        told = [event for event in client.stream("fleet.events", {"names": ["a"]}) if event["kind"] == "health"]
    assert [event["health"] for event in told] == ["healthy", "unhealthy", "healthy"]


def test_one_failure_in_between_changes_nothing(fleet: LiveFleet, unused_port: int) -> None:
    """A page that fails now and then, never twice in a row, is healthy all the time."""
    serve(fleet, unused_port, f'http = "http://127.0.0.1:{unused_port}/", every = 1, fail_after = 2')
    fleet.write("answer", "flap")
    eventually(lambda: asked(fleet).count("503") >= 3, "it has failed several times")
    assert "503503" not in "".join(asked(fleet))
    found = fleet.bot("a")
    assert (found["health"], found["generation"]) == ("healthy", 1)


def test_without_an_action_it_is_only_shown(fleet: LiveFleet, unused_port: int) -> None:
    """Unhealthy with the reason, and healthy again when it answers; the process is the same."""
    serve(fleet, unused_port, f'http = "http://127.0.0.1:{unused_port}/", every = 1, fail_after = 1, action = "none"')
    fleet.write("answer", "close")
    found = fleet.until("a", health="unhealthy")
    assert found["health_message"].endswith(": closed without an answer")
    fleet.write("answer", "204")
    assert fleet.until("a", health="healthy")["health_message"] is None
    assert fleet.bot("a")["generation"] == 1


def test_a_port_that_closes_is_seen(fleet: LiveFleet, unused_port: int) -> None:
    """Whoever has closed it by itself is replaced."""
    fleet.write("main.py", f"""
        import os, socket, time
        server = socket.create_server(("127.0.0.1", {unused_port}))
        print("up", flush=True)
        while not os.path.exists("close"):
            time.sleep(0.05)
        os.unlink("close")
        server.close()
        time.sleep(1000)
    """)
    fleet.configure(f'[bots.a]\ncommand = ["python", "main.py"]\n{READY}\nhealth = {{ tcp = {unused_port}, every = 1, fail_after = 2 }}\n')
    fleet.up()
    fleet.until("a", health="healthy")
    fleet.write("close", "")
    assert exit_of_first(fleet)["message"] == f"unhealthy: tcp {unused_port}: connection refused (2 times in a row)"


PROBES = {
    "fails": ("echo it is bad >&2; exit 3", "exit code 3: it is bad"),
    "hangs": ("sleep 1000", "not done within 0.5 s"),
    "forks": ("sleep 1000 & setsid sleep 1000 & sleep 1000", "not done within 0.5 s"),
}


@pytest.mark.parametrize("kind", PROBES)
def test_a_command_that_fails_or_hangs_is_ended_with_all_of_it(fleet: LiveFleet, kind: str) -> None:
    """As the bot and in its folder, at its deadline killed with everything that it started; nobody is left."""
    body, message = PROBES[kind]
    fleet.write("sub/main.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.write("check.sh", f'#!/bin/sh\nset -e\ntest -e main.py\ntest -z "$SECRET"\ntest "$PORT" = 80\ntest -e ../bad || exit 0\n{body}\n').chmod(0o755)
    fleet.configure(f"""
        [bots.a]
        script = "sub/main.py"
        cwd = "sub"
        {READY}
        env = {{ SECRET = "x", PORT = "80" }}
        health = {{ exec = ["./check.sh"], env = ["PORT"], every = 1, timeout = 0.5, fail_after = 2 }}
    """)
    fleet.up()
    fleet.until("a", health="healthy")
    fleet.write("bad", "")
    fleet.until("a", generation=2)
    (fleet.folder / "bad").unlink()
    last = exit_of_first(fleet)
    assert last["message"].startswith("unhealthy: exec ") and message in last["message"]
    fleet.until("a", health="healthy")
    eventually(lambda: not sleepers(fleet), "nobody of the probe is left")


def test_a_command_that_cannot_be_run_says_so_and_so_does_the_bot(fleet: LiveFleet) -> None:
    """What is wrong with it, not the code 126; and what to do about the bot speaks of its checks, not of its event loop."""
    fleet.write("check.sh", "#!/nowhere/sh\n").chmod(0o755)
    fleet.configure(f"""
        [bots.a]
        command = ["sh", "-c", "echo up; sleep 1000"]
        {READY}
        restart = {{ policy = "never" }}
        health = {{ exec = ["./check.sh"], every = 2, timeout = 1.5, fail_after = 1 }}
    """)
    fleet.up()
    fleet.until("a", state="FAILED", reason="hang")
    found = fleet.detail("a")
    check = fleet.folder / "check.sh"
    assert found["last_exit"]["message"] == f"unhealthy: exec {check}: cannot run {check}: No such file or directory"
    assert "did not pass the checks that the last exit names" in found["what_to_do"]


def sleepers(fleet: LiveFleet) -> list[int]:
    """Return the processes of this fleet's folder that a probe left."""
    return [pid for pid, text in fleet._scan() if b"sleep\x001000" in text]


def test_silence_is_seen_and_a_line_now_and_then_ends_it(fleet: LiveFleet) -> None:
    """Who prints each second is healthy; who stops printing is replaced, although its process is well."""
    fleet.write("main.py", """
        import os, time
        print("up", flush=True)
        while not os.path.exists("hush"):
            print("tick", flush=True)
            time.sleep(1)
        os.unlink("hush")
        time.sleep(1000)
    """)
    fleet.configure(f'[bots.a]\nscript = "main.py"\n{READY}\nhealth = {{ log_silence = "3s" }}\n')
    fleet.up()
    fleet.until("a", health="healthy")
    eventually(lambda: fleet.output("a").count("tick") > 5, "it prints for longer than that")
    assert fleet.bot("a")["generation"] == 1
    fleet.write("hush", "")
    assert exit_of_first(fleet)["message"] == "unhealthy: log_silence: no output for 3 s"


def test_a_stalled_psvd_blames_nobody_and_sees_again_afterwards(fleet: LiveFleet, unused_port: int) -> None:
    """The bot fails only while psvd is stopped: the probe that was under way counts nothing."""
    serve(fleet, unused_port, f'http = "http://127.0.0.1:{unused_port}/", every = 1, fail_after = 1, timeout = 0.5')
    bot, psvd = fleet.bot("a")["pid"], fleet.role_pid("psvd")
    for _ in range(2):
        os.kill(bot, signal.SIGSTOP)
        os.kill(psvd, signal.SIGSTOP)
        time.sleep(1.5)  # the stall itself, for longer than a probe and its deadline
        os.kill(bot, signal.SIGCONT)
        os.kill(psvd, signal.SIGCONT)
        fleet.answers()
        before = len(asked(fleet))
        eventually(lambda: len(asked(fleet)) > before + 1, "it is asked again")
        found = fleet.bot("a")
        assert (found["health"], found["generation"]) == ("healthy", 1)
    assert fleet.role_pid("psvd") == psvd
    fleet.write("answer", "500")
    assert "status 500" in exit_of_first(fleet)["message"]


def test_a_probe_that_psvd_died_over_is_ended_and_not_counted(fleet: LiveFleet) -> None:
    """psvd is killed in the middle of a probe that would fail; the bot is not touched."""
    fleet.write("main.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.write("check.sh", "#!/bin/sh\ntest -e slow || exit 0\necho $$ > running\nsleep 1000\n").chmod(0o755)
    fleet.configure(f'[bots.a]\nscript = "main.py"\n{READY}\nhealth = {{ exec = ["./check.sh"], every = 20, timeout = 15, fail_after = 1 }}\n')
    fleet.write("slow", "")
    fleet.up()
    pid = fleet.bot("a")["pid"]
    eventually((fleet.folder / "running").exists, "the probe runs")
    fleet.kill_role("psvd")
    eventually(lambda: not sleepers(fleet), "the probe is ended")
    (fleet.folder / "slow").unlink()
    eventually(fleet.answers, "a new psvd")
    found = fleet.until("a", health="healthy")
    assert (found["pid"], found["generation"], found["restarts"]) == (pid, 1, 0)


NATIVE = """
    import asyncio, os
    from processsupervisor import Bot

    bot = Bot()
    plain = Bot()

    async def poll():
        while True:
            if not os.path.exists("outage"):
                bot.prove("telegram")
            await asyncio.sleep(0.1)

    @bot.on_start
    async def begin():
        bot.polling = asyncio.create_task(poll())
"""


def test_connected_is_a_proof_that_is_young_enough(fleet: LiveFleet) -> None:
    """An outage is shown, and makes a bot unhealthy, and restarts nobody; without a network there is nothing to be shown."""
    fleet.write("bots.py", NATIVE)
    fleet.configure('[bots.a]\nrun = "bots:bot"\nhealth = { connected_within = "6s" }\n[bots.plain]\nrun = "bots:plain"\n')
    fleet.up()
    found = fleet.until("a", health="healthy", connected=True)
    assert found["connected_age_s"] < 6.0
    plain = fleet.bot("plain")
    assert (plain["health"], plain["connected"], plain["connected_age_s"]) == ("healthy", None, None)
    fleet.write("outage", "")
    found = fleet.until("a", health="unhealthy", connected=False)
    assert "the last proof from its network is" in found["health_message"] and found["connected_age_s"] >= 6.0
    with ControlClient(fleet.paths) as client:
        events = list(client.stream("fleet.events", {"limit": 100}))
    assert [n.cause for event in events for n in Causes(()).of(event).notices] == ["deaf"]
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd")
    assert fleet.until("a", connected=False)["connected_age_s"] >= 6.0  # the bot tells it how old its last proof is
    (fleet.folder / "outage").unlink()
    found = fleet.until("a", health="healthy", connected=True)
    assert (found["generation"], found["restarts"]) == (1, 0)


def test_a_proof_that_is_not_told_yet_is_not_missed(fleet: LiveFleet) -> None:
    """A bot that proves all the time is connected all the time, although it tells of it every few seconds only."""
    fleet.write("bots.py", NATIVE)
    fleet.configure('[bots.a]\nrun = "bots:bot"\nhealth = { connected_within = "1s" }\n')
    fleet.up()
    fleet.until("a", health="healthy", connected=True)
    eventually(lambda: fleet.bot("a")["connected_age_s"] > 2.5, "it has told nothing for longer than the limit")
    eventually(lambda: fleet.bot("a")["connected_age_s"] < 1.0, "it tells again")
    with ControlClient(fleet.paths) as client:
        told = [event["health"] for event in client.stream("fleet.events", {"names": ["a"]}) if event["kind"] == "health"]
    assert told == ["healthy"]


def test_healthy_comes_after_grace_and_settle(fleet: LiveFleet, unused_port: int) -> None:
    """Ready and settling first, with nothing asked in the time of grace; healthy when the checks have passed for long enough."""
    fleet.write("main.py", SERVER.replace("PORT", str(unused_port)))
    fleet.configure(
        f'[bots.a]\nscript = "main.py"\n{READY}\n[bots.a.health]\ntcp = {unused_port}\nevery = 1\ngrace = "2s"\nsettle = "2s"\n'
    )
    fleet.up()
    assert fleet.bot("a")["health"] == "settling"
    fleet.until("a", health="healthy")
    assert fleet.bot("a")["uptime_s"] >= 3.5
