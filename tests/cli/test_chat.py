"""Laws of `psv chat`, against a bot's socket that speaks the contract; the real bot is in test_fleet_run."""

from __future__ import annotations

import asyncio
import getpass
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

from processsupervisor.cli.heard import Heard
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
        self.is_mute_to = ""
        self.more: list[str] = []
        """What each reply consists of besides its first message."""
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
        if asked["text"] == self.is_mute_to:
            await send({"op": "unanswered", "id": asked["id"]})
            return True
        is_new = asked["id"] not in self.posts
        if is_new:
            self.posts.append(asked["id"])
            first = len(self.outbox)
            for text in (f"echo: {asked['text']}", *self.more):
                self.says(text, asked["id"])
        if self.cut:
            self.cut -= 1
            return False
        if is_new and not self.silent:
            await send({"op": "event", "seq": None, "id": "other", "reply_to": None, "text": "a reminder", "final": True})
            await send(self.outbox[first] | {"seq": None, "text": "ec", "final": False})
            for event in self.outbox[first:]:
                await send(event)
        return True

    def says(self, text: str, reply_to: str | None = None, **more: object) -> None:
        """Commit something to be read; nobody hears of it now."""
        number = len(self.outbox) + 1
        self.outbox.append({"op": "event", "seq": number, "id": f"r{number}", "reply_to": reply_to, "text": text, "final": True, **more})


@pytest.fixture
def bot(folder: Path) -> Iterator[EchoBot]:
    """A bot "echo" in the applied configuration, served on its web.sock; keeper.sock answers."""
    paths = FleetPaths(folder)
    paths.bot_data("echo").mkdir(parents=True)
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


def test_each_line_of_standard_input_is_a_message(psv: Psv, bot: EchoBot) -> None:
    """Without TEXT and without a terminal, as on a console: said one after the other, each answered; without any it is an error."""
    assert psv("chat", "echo", stdin="from a pipe\n").stdout == "echo: from a pipe\n"
    done = psv("chat", "echo", stdin="one\n\n  \ntwo two\r\nthree")
    assert (done.returncode, done.stdout) == (0, "echo: one\necho: two two\necho: three\n")
    assert len(bot.posts) == 4
    assert psv("chat", "echo").returncode == 1
    assert "nothing to say" in psv("chat", "echo", stdin="\n\n").stderr


def test_text_of_several_lines_is_one_message(psv: Psv, bot: EchoBot) -> None:
    """As an argument; what is piped beside it is not read."""
    assert psv("chat", "echo", "one\ntwo", stdin="three\n").stdout == "echo: one\ntwo\n"
    assert len(bot.posts) == 1


def test_lines_behind_one_without_an_answer_are_not_said(psv: Psv, bot: EchoBot) -> None:
    """Whoever scripts a conversation goes by its answers."""
    bot.silent = True
    done = psv("chat", "echo", "--timeout", "300ms", stdin="one\ntwo\n")
    assert (done.returncode, done.stdout, len(bot.posts)) == (1, "", 1)


def test_a_reply_of_several_messages_is_printed_whole(psv: Psv, bot: EchoBot) -> None:
    """Nothing of it is left for the next call."""
    bot.more = ["second", "third"]
    assert psv("chat", "echo", "hi").stdout == "echo: hi\nsecond\nthird\n"
    bot.more = []
    assert psv("chat", "echo", "hi").stderr == "a reminder\n"


def test_buttons_and_files_are_told_in_words(psv: Psv, bot: EchoBot, folder: Path) -> None:
    """Numbers to answer with, and where a file lies."""
    bot.says("old")
    psv("chat", "echo", "hi")
    bot.says("Tea?", buttons=[[{"label": "Yes", "data": "y"}, {"label": "Menu", "url": "https://example.org"}], [{"label": "No", "data": "n"}]])
    bot.says("", files=[{"name": "a.txt", "mime": "text/plain", "path": "files/1.txt"}])
    shown = psv("chat", "echo", "hi").stderr
    assert "Tea?\n[1] Yes  [Menu] https://example.org\n[2] No\n" in shown
    assert f"[a.txt] {FleetPaths(folder).bot_data('echo')}/files/1.txt\n" in shown


def test_what_was_said_while_nobody_listened_is_shown_once(psv: Psv, bot: EchoBot) -> None:
    """By the next call, marked and beside the reply; what came before anybody listened is not."""
    bot.says("long ago")
    assert psv("chat", "echo", "hi").stderr == "a reminder\n"
    bot.says("tea\nis ready")
    done = psv("chat", "echo", "hello")
    assert done.stdout == "echo: hello\n"
    assert done.stderr == "(while you were away) tea\nis ready\na reminder\n"
    assert psv("chat", "echo", "again").stderr == "a reminder\n"
    assert psv("chat", "echo", "-h").returncode == 0
    bot.says("for another")
    assert "(while" not in psv("chat", "echo", "hi", "--conversation", "another").stderr


def test_an_answer_that_came_too_late_is_shown_by_the_next_call(psv: Psv, bot: EchoBot) -> None:
    """Nobody has seen it."""
    psv("chat", "echo", "hi")
    bot.silent = True
    psv("chat", "echo", "slow", "--timeout", "300ms")
    bot.silent = False
    assert "(while you were away) echo: slow\n" in psv("chat", "echo", "hi").stderr


def test_a_bot_that_counts_anew_repeats_nothing(psv: Psv, bot: EchoBot) -> None:
    """Its database was put back from a copy: what is in there was heard, what comes behind it is not lost."""
    for _ in range(3):
        psv("chat", "echo", "hi")
    del bot.outbox[1:]
    assert psv("chat", "echo", "hi").stderr == "a reminder\n"
    bot.says("tea")
    assert psv("chat", "echo", "hi").stderr == "(while you were away) tea\na reminder\n"


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


def test_a_message_without_a_reply_is_not_waited_for(psv: Psv, bot: EchoBot) -> None:
    """It was handled: status 0, nothing on stdout, and the lines behind it are said."""
    bot.is_mute_to = "one"
    done = psv("chat", "echo", stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "echo: two\n")
    assert "psv: echo has handled it without a reply\n" in done.stderr


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


def test_conversation_in_a_terminal(psv: Psv, bot: EchoBot, folder: Path) -> None:
    """Lines are answered as they come, a reminder is shown too, Ctrl-D ends with 0; a restart in between is survived."""
    Heard(FleetPaths(folder), "echo", f"cli-{getpass.getuser()}").note(0)
    bot.says("tea")
    leader, follower = pty.openpty()
    ends = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = subprocess.Popen([*PSV, "chat", "echo"], cwd=folder, env=environment(TERM="xterm"), **ends)
    os.close(follower)
    shown = ""

    def expect(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(leader, 65536).decode()

    expect("(while you were away) tea")
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
    done = psv("chat", "echo", "three")
    assert "tea" not in done.stderr and "echo: one" not in done.stderr, "what was shown here is not shown again"


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
