"""Bots that end before anybody could know them: the reason is true, nothing is stuck, every exit is counted once."""

from __future__ import annotations

import pytest
from tests.supervisor.live import LiveFleet, eventually


def test_a_native_bot_that_dies_before_its_hello_says_why(fleet: LiveFleet) -> None:
    """Its module cannot even be imported: code, exception and place are known, and it is tried again."""
    fleet.write("bots.py", "import json\nraise RuntimeError('no bot today')\n")
    fleet.configure('[bots.x]\nrun = "bots:bot"\nrestart = { initial = "60s", base = "60s", window = [{ count = 1, within = "10m" }] }\n')
    fleet.up(wait=False)
    bot = fleet.until("x", state="RECOVERING")
    assert (bot["pid"], bot["generation"]) == (None, 1)
    last = eventually(lambda: (r := fleet.detail("x")["last_exit"])["log_tail"] and r, "its last words")
    assert (last["exit_code"], last["uptime_s"]) == (bot["exit_code"], None)
    assert last["exception"]["type"] == "RuntimeError" and last["exception"]["line"] == 2
    assert fleet.call("bot.stop", names=["x"])[0]["state"] == "STOPPED"


@pytest.mark.parametrize(("command", "reason", "code"), [("true", "clean", 0), ("exit 3", "code", 3), ("kill -9 $$", "signal", None)])
def test_a_command_that_ends_at_once_is_known_by_its_own_status(fleet: LiveFleet, command: str, reason: str, code: int | None) -> None:
    """Ended before its birth was reported: the status is kept for it; fifty such bots at once confuse nobody."""
    fleet.configure(f'[global]\ncommand = ["sh", "-c", "{command}"]\nrestart = {{ policy = "never" }}\nready = {{ after = "60s" }}\n'
                    + "".join(f"[bots.b{n}]\n" for n in range(50)))  # fmt: skip
    fleet.up()
    found = fleet.call("bot.list")
    assert {(b["reason"], b["exit_code"], b["generation"], b["pid"]) for b in found} == {(reason, code, 1, None)}
    assert {b["state"] for b in found} == {"TERMINATED" if code == 0 else "FAILED"}
    eventually(lambda: not list(fleet.paths.run.glob("bots/*/out-*")), "every FIFO is gone")
