"""Any program as a bot: how it is found, run, judged ready, and refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually


@pytest.mark.parametrize(
    ("ready", "body"),
    [
        ('{ log = "port \\\\d+ open" }', "print('port 80 open', flush=True)"),
        ('{ after = "0.2s" }', ""),
        ("{ tcp = PORT }", "import socket; s = socket.create_server(('127.0.0.1', PORT))"),
        (
            '{ http = "http://127.0.0.1:PORT/health" }',
            "import http.server as h, threading\n"
            "class H(h.BaseHTTPRequestHandler):\n"
            "    def do_GET(self): self.send_response(200 if self.path == '/health' else 404); self.end_headers()\n"
            "threading.Thread(target=h.HTTPServer(('127.0.0.1', PORT), H).serve_forever, daemon=True).start()",
        ),
        (
            '{ notify = true }',
            "import os, socket\n"
            "a = os.environ['NOTIFY_SOCKET']\n"
            "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', chr(0) + a[1:])",
        ),
    ],
    ids=["log", "after", "tcp", "http", "notify"],
)
def test_each_kind_of_readiness_is_seen(fleet: LiveFleet, unused_port: int, ready: str, body: str) -> None:
    """A program is ready when its own sign says so."""
    body = body.replace("PORT", str(unused_port))
    fleet.write("other.py", f"{body}\nimport time\ntime.sleep(600)\n")
    fleet.configure(f'[bots.x]\ncommand = ["python", "other.py"]\nready = {ready.replace("PORT", str(unused_port))}\n')
    fleet.up()
    bot = fleet.until("x", state="RUNNING")
    environment = Path(f"/proc/{bot['pid']}/environ").read_bytes().split(b"\0")
    assert b"PSV_BOT=x" in environment
    assert b"PSV_FLEET=" + os.fsencode(fleet.folder) in environment


def test_no_sign_of_readiness_within_its_timeout_is_said_so(fleet: LiveFleet) -> None:
    """The tree is killed, the reason is start-timeout, and it is tried again as after any exit."""
    fleet.configure("""
        [bots.x]
        command = ["sleep", "600"]
        ready = { log = "never" }
        start_timeout = "0.5s"
        restart = { base = "60s", initial = "60s" }
    """)
    fleet.up(wait=False)
    bot = fleet.until("x", state="RECOVERING")
    assert bot["reason"] == "start-timeout"
    assert bot["next_start_in_s"] > 30
    assert fleet.detail("x")["last_exit"]["message"] == "not ready within 0.5 s: waited for a line of its output that matches never"


def test_a_bot_that_starts_says_what_it_waits_for(fleet: LiveFleet) -> None:
    """First its hook, then the sign that it is ready; who waits for the fleet in vain is told it too."""
    fleet.configure("""
        [bots.x]
        command = ["sleep", "600"]
        ready = { tcp = 1 }
        start_timeout = "1m"
        hooks = { before_start = ["sh", "-c", "until test -e go; do sleep 0.05; done"] }
    """)
    fleet.up(wait=False)
    waits = "waits for its hook before_start to end"
    eventually(lambda: fleet.detail("x")["what_to_do"] == waits, "the hook runs")
    fleet.write("go", "")
    waits = "waits for port 1 of 127.0.0.1 to accept, at most 1m (start_timeout)"
    eventually(lambda: fleet.detail("x")["what_to_do"] == waits, "it was born")
    assert fleet.detail("x")["waits_for"] is None, "nothing keeps its start back"
    found = fleet.call("fleet.wait", timeout_s=0.0)["not_ready"]
    assert [(row["name"], row["message"]) for row in found] == [("x", waits)]


def test_a_program_that_cannot_be_executed_names_the_way_out(fleet: LiveFleet) -> None:
    """No shebang: found by exec itself, with the bot's own failure and the others running."""
    plain = fleet.write("plain", "no program\n")
    plain.chmod(0o755)
    fleet.configure('[bots.bad]\ncommand = ["./plain"]\n[bots.good]\ncommand = ["sleep", "600"]\nready = { after = "0s" }\n')
    fleet.up()
    assert fleet.until("bad", state="FAILED")["reason"] == "exec-failed"
    assert "#!/" in fleet.detail("bad")["last_exit"]["message"]
    assert fleet.bot("good")["state"] == "RUNNING"


def test_a_ready_regex_that_explodes_fails_its_bot_only(fleet: LiveFleet) -> None:
    """A pattern that needs exponential time is cut off, named, and blocks nobody."""
    fleet.write("a.py", "import time\nprint('a' * 60 + '!', flush=True)\ntime.sleep(600)\n")
    fleet.configure("""
        [global]
        restart = { policy = "never" }
        [bots.bad]
        command = ["python", "a.py"]
        ready = { log = "^(a|aa)+$" }
        [bots.good]
        command = ["python", "a.py"]
        ready = { log = "^a+!$" }
    """)
    fleet.up(wait=False)
    assert fleet.until("bad", state="FAILED")["reason"] == "start-failed"
    assert "ready" in fleet.detail("bad")["last_exit"]["message"]
    fleet.until("good", state="RUNNING")


def test_output_reaches_the_log_however_it_is_written(fleet: LiveFleet) -> None:
    """stdout and stderr, with and without newline at the end, all of it, also what was written just before the exit."""
    fleet.write("loud.py", "import sys\nfor n in range(2000): print('line', n)\nsys.stderr.write('last words')\n")
    fleet.configure('[bots.x]\ncommand = ["python", "loud.py"]\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    fleet.up()
    fleet.until("x", state="TERMINATED")
    eventually(lambda: "last words" in fleet.output("x"), "everything is in the log")
    assert [line for line in fleet.output("x").splitlines() if line.startswith("line")] == [f"line {n}" for n in range(2000)]
    eventually(lambda: not list(fleet.paths.bot_run("x").glob("out-*")), "the FIFO goes when it is drained")
