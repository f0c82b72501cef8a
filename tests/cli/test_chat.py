"""Laws of `psv chat`, against a bot's socket that speaks the contract; the real bot is in test_fleet_run."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, Psv, Server, environment
from tests.commands.fakefleet import FakeFleet

from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths


class EchoBot:
    """The other side of web.sock: accepts each id once, answers "echo: …" in two pieces; `cut` ends so many connections early."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.outbox: list[dict[str, object]] = []
        self.cut = 0
        self.refusal: dict[str, object] | None = None
        self.silent = False
        self.ended = threading.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(message: dict[str, object]) -> None:
            writer.write(json.dumps(message).encode() + b"\n")
            await writer.drain()

        while line := await reader.readline():
            asked = json.loads(line)
            match asked["op"]:
                case "history":
                    rows = [{"id": e["id"], "from": "bot", "text": e["text"], "at": 1.0, "seq": e["seq"]} for e in self.outbox]
                    await send({"op": "history", "messages": rows})
                case "subscribe":
                    for event in self.outbox:
                        if asked["after"] is not None and event["seq"] > asked["after"]:  # type: ignore[operator]
                            await send(event)
                case "post":
                    if not await self.take(asked, send):
                        break
        writer.close()
        self.ended.set()

    async def take(self, asked: dict[str, str], send: object) -> bool:
        assert callable(send)
        if self.refusal is not None:
            await send({"op": "refused", "id": asked["id"], **self.refusal})
            return True
        await send({"op": "accepted", "id": asked["id"]})
        is_new = asked["id"] not in self.posts
        if is_new:
            self.posts.append(asked["id"])
            self.outbox.append({"op": "event", "seq": len(self.outbox) + 1, "id": f"r{len(self.outbox)}", "reply_to": asked["id"],
                                "text": f"echo: {asked['text']}", "final": True})
        if self.cut:
            self.cut -= 1
            return False
        if is_new and not self.silent:
            await send({"op": "event", "seq": None, "id": "other", "reply_to": None, "text": "a reminder", "final": True})
            await send(self.outbox[-1] | {"seq": None, "text": "ec", "final": False})
            await send(self.outbox[-1])
        return True


@pytest.fixture
def bot(folder: Path) -> Iterator[EchoBot]:
    """A bot "echo" in the applied configuration, served on its web.sock; keeper.sock answers."""
    paths = FleetPaths(folder)
    bots = [{"name": "echo", "kind": "native"}, {"name": "old", "kind": "script"}]
    write_json(paths.applied, {"version": 1, "fleet": {"name": "demo"}, "bots": bots})
    echo = EchoBot()

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    servers = [Server(paths.bot_run("echo") / "web.sock", echo.talk), Server(paths.socket("keeper"), nothing)]
    yield echo
    for server in servers:
        server.close()


def test_one_shot_prints_the_final_reply(psv: Psv, bot: EchoBot) -> None:
    """TEXT is sent once; the reply to it is printed, no draft, no other message; psvd is not needed."""
    done = psv("chat", "echo", "hello", "wörld")
    assert (done.returncode, done.stdout) == (0, "echo: hello wörld\n")
    assert done.stderr == "a reminder\n", "what the bot says of itself goes beside the reply"
    assert len(bot.posts) == 1


def test_standard_input_is_a_message(psv: Psv, bot: EchoBot) -> None:
    """Without TEXT and without a terminal, standard input is what is said; an empty one is an error."""
    assert psv("chat", "echo", stdin="from a pipe\n").stdout == "echo: from a pipe\n"
    assert psv("chat", "echo").returncode == 1


def test_broken_connection_sends_the_same_id_again(psv: Psv, bot: EchoBot) -> None:
    """A bot that dies between accepting and replying has handled one message, and its reply is found."""
    bot.cut = 2
    done = psv("chat", "echo", "hi")
    assert (done.returncode, done.stdout) == (0, "echo: hi\n")
    assert len(bot.posts) == 1


def test_no_reply_in_time(psv: Psv, bot: EchoBot) -> None:
    """A bot that accepts and stays silent: status 1 and what to look at."""
    bot.silent = True
    done = psv("chat", "echo", "hi", "--timeout", "500ms")
    assert done.returncode == 1
    assert "has taken the message and not answered within 0.5 s" in done.stderr


def test_refused_message(psv: Psv, bot: EchoBot) -> None:
    """A paused bot's refusal is status 5 with its words."""
    bot.refusal = {"code": "paused", "message": "the bot is paused"}
    done = psv("chat", "echo", "hi")
    assert done.returncode == 5
    assert "the bot is paused" in done.stderr


def test_programs_cannot_be_talked_to(psv: Psv, bot: EchoBot) -> None:
    """A script has no chat: status 5; an unknown bot: status 4."""
    assert psv("chat", "old", "hi").returncode == 5
    unknown = psv("chat", "ehco", "hi")
    assert unknown.returncode == 4
    assert 'did you mean "echo"?' in unknown.stderr


def test_no_fleet_at_all(psv: Psv, folder: Path) -> None:
    """Where nothing runs and could come back, it is said at once."""
    assert psv("chat", "echo", "hi").returncode == 3
    write_json(FleetPaths(folder).applied, {"bots": [{"name": "echo", "kind": "native"}]})
    done = psv("chat", "echo", "hi")
    assert done.returncode == 3
    assert "echo does not run and no supervisor runs" in done.stderr


def test_conversation_in_a_terminal(bot: EchoBot, folder: Path) -> None:
    """Lines are answered as they come, a reminder is shown too, Ctrl-D ends with 0; a restart in between is survived."""
    leader, follower = pty.openpty()
    ends = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = subprocess.Popen([*PSV, "chat", "echo"], cwd=folder, env=environment(TERM="xterm"), **ends)
    os.close(follower)
    shown = ""

    def expect(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(leader, 65536).decode()

    expect("> ")
    os.write(leader, b"one\n")
    expect("echo: a reminder")
    expect("echo: echo: one")
    bot.cut = 1
    os.write(leader, b"two\n")
    expect("is back")
    expect("echo: echo: two")
    os.write(leader, b"\x04")
    assert process.wait(20) == 0
    os.close(leader)
    assert len(bot.posts) == 2


def test_a_bot_that_rests_is_told_with_what_to_do(psv: Psv, folder: Path, fleet: FakeFleet, keeper: None) -> None:
    """Another start would fail again; psv bot status knows better, and its words are given."""
    write_json(FleetPaths(folder).applied, {"version": 1, "bots": [{"name": "alice", "kind": "native"}]})
    fleet.facts["alice"] = {"state": "FAILED", "reason": "config", "pid": None, "what_to_do": "correct the program"}
    told = psv("chat", "alice", "hi").stderr
    assert "alice takes no message: it is FAILED (config); correct the program" in told, told
    fleet.facts["alice"] = {"state": "STOPPED", "reason": "admin", "pid": None, "what_to_do": ""}
    assert "it is STOPPED; start it: psv start alice" in psv("chat", "alice", "hi").stderr
    fleet.facts["alice"] = {"state": "RECOVERING", "reason": "code", "pid": None, "what_to_do": ""}
    assert "alice took no message within 0.5 s: it is RECOVERING (code); see psv" in psv("chat", "--timeout", "0.5", "alice", "hi").stderr


def test_where_only_psv_dev_runs_its_folder_is_named(psv: Psv, folder: Path) -> None:
    """The fleet of psv dev is one of its own."""
    assert "psv-dev" not in psv("chat", "echo", "hi").stderr
    (folder / ".psv-dev" / "rt" / ".psv").mkdir(parents=True)
    told = psv("chat", "echo", "hi").stderr
    assert f"no fleet has run in {folder}" in told and f"what psv dev runs there is reached by psv -C {folder}/.psv-dev/rt …" in told, told
    assert ".psv-dev/rt" in psv("logs", "echo").stderr
