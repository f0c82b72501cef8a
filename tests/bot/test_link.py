"""The control link of a real bot process to a psvd end spoken by hand."""

from __future__ import annotations

import time

import pytest
from tests.bot.running import BotProcess, Supervisor

from processsupervisor.kernel.pulse import PROOF_EVERY_S
from processsupervisor.version import PROTOCOL

SOURCE = """
import asyncio
from processsupervisor import Bot
bot = Bot()

@bot.on_message
async def handle(message):
    if message.text == "slow":
        await asyncio.sleep(0.5)
    return message.text
"""


@pytest.fixture
def linked(tmp_path):
    bot = BotProcess(tmp_path, SOURCE)
    supervisor = Supervisor(bot.paths)
    bot.start(env={"GENERATION": "7"})
    yield bot, supervisor
    supervisor.close()
    bot.close()


def test_a_bot_says_who_it_is_and_that_it_is_ready(linked):
    """Name, generation, secret, pid, protocol and what settings it holds; ready."""
    bot, supervisor = linked
    hello = supervisor.welcome()
    assert hello == {
        "op": "hello", "bot": "alice", "generation": 7, "secret": "0" * 32, "pid": bot.process.pid, "protocol": PROTOCOL,
        "config": "", "live": False,
    }  # fmt: skip
    supervisor.expect("ready")


def test_a_bot_outlives_psvd_and_tells_the_next_one_everything(linked):
    """After the link is lost it answers on, and a new psvd hears hello, ready, and that it is paused."""
    bot, supervisor = linked
    supervisor.welcome()
    supervisor.expect("ready")
    supervisor.send(op="pause")
    supervisor.expect("paused")
    supervisor.close()
    client = bot.client()
    assert client.post("m1", "x")["code"] == "paused"
    successor = Supervisor(bot.paths)
    assert successor.welcome()["pid"] == bot.process.pid
    successor.expect("ready")
    successor.expect("paused")
    successor.send(op="resume")
    successor.expect("resumed")
    client.subscribe()
    assert client.post("m1", "x")["op"] == "accepted"
    assert client.reply_to("m1")["text"] == "x"
    successor.close()


def test_pause_waits_for_what_runs(linked):
    """paused is said after the running message was answered; what comes meanwhile is refused."""
    bot, supervisor = linked
    supervisor.welcome()
    client = bot.client()
    client.subscribe()
    client.post("m1", "slow")
    supervisor.send(op="pause")
    supervisor.expect("paused")
    assert client.reply_to("m1")["text"] == "slow"
    assert client.post("m2", "x")["code"] == "paused"


def test_a_resume_overtakes_a_pause_that_still_waits(linked):
    """The last word counts."""
    bot, supervisor = linked
    supervisor.welcome()
    client = bot.client()
    client.subscribe()
    client.post("m1", "slow")
    supervisor.send(op="pause")
    supervisor.send(op="resume")
    supervisor.expect("resumed")
    client.post("m2", "x")
    assert client.reply_to("m2")["text"] == "x"


def test_stop_over_the_link_ends_in_good_order(linked):
    """The running message is answered, the bot says stopping, and ends with 0."""
    bot, supervisor = linked
    supervisor.welcome()
    client = bot.client()
    client.subscribe()
    client.post("m1", "slow")
    supervisor.send(op="stop", timeout_s=5.0)
    supervisor.expect("stopping")
    assert client.reply_to("m1")["text"] == "slow"
    assert bot.wait() == 0
    assert not bot.web_socket.exists()


def test_nonsense_on_the_link_does_no_harm(linked):
    """Unknown words are left out, a line that is no JSON costs the connection only."""
    bot, supervisor = linked
    supervisor.welcome()
    supervisor.send(op="fly")
    supervisor.send(op="stop_it", timeout_s="x")
    supervisor._peer.sendall(b"not json\n")
    assert supervisor.welcome()["bot"] == "alice"
    client = bot.client()
    assert client.post("m1", "x")["op"] == "accepted"


def test_proofs_are_said_at_most_once_in_a_while_and_anew_to_the_next_psvd(tmp_path):
    """A bot with a network says so at its start; a hundred proofs are one line; the next psvd hears the latest."""
    source = SOURCE + """

async def polls():
    while True:
        bot.prove("telegram")
        await asyncio.sleep(0.02)

@bot.on_start
async def begin():
    bot.polling = asyncio.create_task(polls())
"""
    bot = BotProcess(tmp_path, source)
    supervisor = Supervisor(bot.paths)
    bot.start(env={"GENERATION": "7"})
    try:
        supervisor.welcome()
        first = supervisor.expect("proof")["at_mono"]
        assert supervisor.expect("proof")["at_mono"] - first >= PROOF_EVERY_S * 0.9
        supervisor.close()
        began = time.monotonic()
        supervisor = Supervisor(bot.paths)
        supervisor.welcome()
        assert supervisor.expect("proof")["at_mono"] > began - 1.0
    finally:
        supervisor.close()
        bot.close()
