"""Bots of ours under a real supervisor: they answer, are paused, killed and restarted, and lose nothing of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient, connect_unix

ECHO = """
    import asyncio, os
    from processsupervisor import Bot, Message

    WHO = os.environ.get("WHO", "nobody")
    bot = Bot()

    @bot.on_message
    async def answer(message: Message) -> str:
        if message.text == "slow":
            await asyncio.sleep(1)
        return f"{WHO} heard {message.text}"
"""


class Visitor:
    """One client of a bot's web.sock that posts and collects final replies by the message they answer."""

    def __init__(self, fleet: LiveFleet, bot: str) -> None:
        self._path = fleet.paths.bot_run(bot) / "web.sock"

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        with connect_unix(self._path, 10.0) as peer, peer.makefile("rb") as lines:
            peer.sendall(json.dumps(request).encode() + b"\n")
            return dict(json.loads(lines.readline()))

    def post(self, number: str, text: str) -> dict[str, Any]:
        """Post one message and return the answer of the connector."""
        return self._exchange({"op": "post", "id": number, "text": text, "conversation": "default"})

    def replies(self) -> dict[str, list[str]]:
        """Return `{message id: [final replies]}` of the whole conversation."""
        found: dict[str, list[str]] = {}
        with connect_unix(self._path, 0.3) as peer, peer.makefile("rb") as lines:
            peer.sendall(json.dumps({"op": "subscribe", "conversation": "default", "after": 0}).encode() + b"\n")
            try:
                for line in lines:
                    event = json.loads(line)
                    if event.get("op") == "event" and event.get("final") and event.get("reply_to"):
                        found.setdefault(event["reply_to"], []).append(event["text"])
            except TimeoutError:
                pass
        return found


def _up(fleet: LiveFleet, extra: str = "") -> None:
    fleet.write("bots.py", ECHO)
    fleet.configure(f'[types.echo]\nrun = "bots:bot"\n[bots.a]\ntype = "echo"\nenv = {{ WHO = "alice" }}\n[bots.b]\ntype = "echo"\nenv = {{ WHO = "bob" }}\n{extra}')
    fleet.up()


def test_two_bots_of_one_type_read_their_own_environment_at_import(fleet: LiveFleet) -> None:
    """The module is imported after the fork, so no bot sees another's token."""
    _up(fleet)
    for name, who in (("a", "alice"), ("b", "bob")):
        visitor = Visitor(fleet, name)
        assert visitor.post("m1", "hi")["op"] == "accepted"
        eventually(lambda v=visitor: v.replies().get("m1"), "the answer")
        assert visitor.replies()["m1"] == [f"{who} heard hi"]
    assert Path(f"/proc/{fleet.bot('a')['pid']}/cmdline").read_bytes().startswith(b"psv: bot a\0")


def test_a_restart_runs_the_code_that_is_on_disk(fleet: LiveFleet) -> None:
    """Edit, restart, and the answer is the new one."""
    _up(fleet)
    fleet.write("bots.py", ECHO.replace("heard", "now hears"))
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    visitor = Visitor(fleet, "a")
    visitor.post("m1", "hi")
    eventually(lambda: visitor.replies().get("m1") == ["alice now hears hi"], "the new answer")


def test_a_bot_killed_in_mid_answer_answers_exactly_once(fleet: LiveFleet) -> None:
    """What was accepted is committed; the next generation takes it up."""
    _up(fleet)
    visitor = Visitor(fleet, "a")
    for number in range(5):
        assert visitor.post(f"m{number}", "slow")["op"] == "accepted"
    os.kill(fleet.bot("a")["pid"], signal.SIGKILL)
    fleet.until("a", state="RUNNING", generation=2)
    eventually(lambda: len(visitor.replies()) == 5, "all are answered")
    assert visitor.replies() == {f"m{n}": ["alice heard slow"] for n in range(5)}


def test_a_message_that_kills_its_bot_is_given_up_after_three_deaths(fleet: LiveFleet) -> None:
    """It runs three times, no more, and its sender is told; the bot lives on, and handles it again when it is asked to."""
    fleet.write("bots.py", """
        import os
        from processsupervisor import Bot, Message

        bot = Bot()

        @bot.on_message
        async def answer(message: Message) -> str:
            if message.text == "die" and not os.path.exists("mended"):
                with open("deaths", "a") as file:
                    file.write("x")
                os._exit(3)
            return "alive"
    """)
    fleet.configure('[global]\nrestart = { base = "0s" }\n[bots.x]\nrun = "bots:bot"\n')
    fleet.up()
    visitor = Visitor(fleet, "x")
    visitor.post("1", "die")
    eventually(lambda: fleet.bot("x")["restarts"] == 3 and fleet.bot("x")["state"] == "RUNNING", "the third death")
    visitor.post("2", "still there?")
    replies = eventually(lambda: len(found := visitor.replies()) == 2 and found, "both answers")
    assert replies["2"] == ["alive"]
    assert (fleet.folder / "deaths").read_text() == "xxx"
    fleet.write("mended", "")
    assert fleet.call("bot.replay", name="x", letter=1) == {"name": "x", "ok": True, "message": ""}
    eventually(lambda: visitor.replies()["1"][-1:] == ["alive"], "the answer to the letter")
    assert "no letter" in fleet.call("bot.replay", name="x", letter=1)["message"]


def test_chat_goes_on_while_psvd_is_dead_and_the_link_comes_back(fleet: LiveFleet) -> None:
    """A bot needs no psvd to answer, and can be paused again by the next one."""
    _up(fleet)
    pid = fleet.bot("a")["pid"]
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    visitor = Visitor(fleet, "a")
    visitor.post("m1", "anyone there")
    eventually(lambda: visitor.replies().get("m1"), "the answer without psvd")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd")
    fleet.until("a", state="RUNNING", pid=pid)
    eventually(lambda: fleet.call("bot.pause", names=["a"])[0]["ok"], "the link is back")
    assert fleet.until("a", state="PAUSED")["wanted"] == "paused"


def test_pause_finishes_what_began_and_takes_nothing_new(fleet: LiveFleet) -> None:
    """Then resume goes on; the process stays the same."""
    _up(fleet)
    visitor = Visitor(fleet, "a")
    pid = fleet.bot("a")["pid"]
    visitor.post("m1", "slow")
    assert fleet.call("bot.pause", names=["a"])[0]["state"] == "PAUSED"
    assert visitor.replies() == {"m1": ["alice heard slow"]}
    refused = visitor.post("m2", "hi")
    assert (refused["op"], refused["code"]) == ("refused", "paused")
    assert fleet.call("bot.resume", names=["a"])[0]["state"] == "RUNNING"
    assert visitor.post("m2", "hi")["op"] == "accepted"
    eventually(lambda: visitor.replies().get("m2"), "the answer after resume")
    assert fleet.bot("a")["pid"] == pid


def test_a_paused_bot_comes_back_paused(fleet: LiveFleet) -> None:
    """What is wanted outlives the process."""
    _up(fleet)
    assert fleet.call("bot.pause", names=["a"])[0]["ok"]
    os.kill(fleet.bot("a")["pid"], signal.SIGKILL)
    fleet.until("a", state="PAUSED", generation=2)


def test_stop_is_graceful_and_quick(fleet: LiveFleet) -> None:
    """Asked over the link, the bot ends with code 0 long before its timeout."""
    _up(fleet)
    began = time.monotonic()
    assert fleet.call("bot.stop", names=["a"])[0]["state"] == "STOPPED"
    assert time.monotonic() - began < 5
    last = fleet.detail("a")["last_exit"]
    assert (last["reason"], last["exit_code"]) == ("admin", 0)


def test_mistakes_at_import_fail_their_bot_with_place_and_leave_the_others(fleet: LiveFleet) -> None:
    """Unknown attribute, syntax error, sys.exit and input at import: one line each, nothing loops."""
    fleet.write("good.py", ECHO)
    for name, text in {"syntax": "def broken(:\n", "exits": "import sys\nsys.exit(3)\n", "asks": "name = input('who? ')\n", "nobot": "bot = 42\n"}.items():
        fleet.write(f"{name}.py", text)
    bots = "".join(f'[bots.{n}]\nrun = "{n}:bot"\n' for n in ("good", "syntax", "exits", "asks", "nobot"))
    fleet.configure(f'[global]\nrestart = {{ policy = "never" }}\n{bots}')
    fleet.up()
    assert fleet.bot("good")["state"] == "RUNNING"
    for name in ("syntax", "exits", "asks", "nobot"):
        bad = fleet.until(name, state="FAILED")
        tail = eventually(lambda n=name: fleet.detail(n)["last_exit"]["log_tail"], f"the log of {name}")
        assert any(f"{name}.py" in line or name in line for line in tail), (name, tail)
        assert bad["restarts"] == 0


def test_a_message_that_is_given_up_is_told(fleet: LiveFleet) -> None:
    """One event alert, beside the apology: a message that was accepted has no reply."""
    fleet.write("bots.py", """
        import os, signal
        from processsupervisor import Bot, Message
        bot = Bot()

        @bot.on_message
        async def answer(message: Message) -> str:
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    fleet.configure('[bots.a]\nrun = "bots:bot"\nrestart = { initial = "0s", base = "0.1s", max = "0.1s" }\n')
    fleet.up()
    with contextlib.suppress(OSError, ValueError):  # it may die before it has acknowledged
        Visitor(fleet, "a").post("m1", "poison")

    def alerts() -> list[dict[str, Any]]:
        with ControlClient(fleet.paths, timeout_s=30) as client:
            return [event for event in client.stream("fleet.events", {"names": ["a"]}) if event["kind"] == "alert"]

    told = eventually(alerts, "it is told")
    assert [(event["bot"], event["what"]) for event in told] == [("a", "given-up")] and "a message given up" in told[0]["message"]
    assert fleet.until("a", state="RUNNING")["restarts"] == 3
    assert "went wrong" in Visitor(fleet, "a").replies()["m1"][0]


def test_preloaded_libraries_are_there_and_the_fleet_folder_is_not(fleet: LiveFleet) -> None:
    """`preload` is imported in the zygote; the bot's own module only after the fork."""
    fleet.write("bots.py", """
        import os, sys
        had = "decimal" in sys.modules, "colorsys" in sys.modules, "bots" in sys.modules
        from processsupervisor import Bot
        print("preloaded", "wsgiref.util" in sys.modules, "colorsys" in sys.modules, os.getppid(), flush=True)
        bot = Bot()
    """)
    fleet.configure('[bots.a]\nrun = "bots:bot"\npreload = ["wsgiref.util"]\n')
    fleet.up()
    eventually(lambda: "preloaded" in fleet.output("a"), "the line")
    assert f"preloaded True False {fleet.role_pid('keeper')}" in fleet.output("a")
    zygote = fleet.role_pid("zygote")
    environment = Path(f"/proc/{zygote}/environ").read_bytes()
    assert b"WHO=" not in environment
