"""Whole bots as processes: killed in the middle of everything, and nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time

import pytest
from tests.bot.running import Client, Supervisor, wait_for

from processsupervisor.chat.settings import FAILED as APOLOGY

ECHO = """
from processsupervisor import Bot
bot = Bot()

@bot.on_message
async def handle(message):
    return "echo " + message.text
"""

COUNTING = """
import asyncio, os
from processsupervisor import Bot
bot = Bot()

@bot.on_message
async def handle(message):
    await asyncio.sleep(0.002)
    count = await message.store.append("seen", message.id)
    return f"{count} {message.text}"
"""


class Visitor(threading.Thread):
    """Posts numbered messages, each until it is accepted, through any number of deaths of the bot, until told to end."""

    def __init__(self, bot, conversation: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.bot, self.conversation, self.over = bot, conversation, over
        self.accepted = 0

    def run(self) -> None:
        client: Client | None = None
        while not self.over.is_set():
            number = self.accepted
            while True:
                try:
                    client = client or self.bot.client()
                    if client.post(f"{self.conversation}-{number}", f"text {number}", self.conversation)["op"] == "accepted":
                        self.accepted += 1
                        break
                except (OSError, AssertionError):
                    client = None
                    time.sleep(0.005)
            time.sleep(0.001)


@pytest.mark.slow
def test_kill_nine_in_mid_load_loses_and_doubles_nothing(start_bot):
    """Ten SIGKILLs under load: every accepted message has exactly one reply, in order, and its changes exactly once."""
    bot = start_bot(COUNTING)
    over = threading.Event()
    visitors = [Visitor(bot, f"c{number}", over) for number in range(4)]
    for visitor in visitors:
        visitor.start()
    for life in range(10):
        # What waited for this life is answered before it ends: a message that meets three deaths would be given up.
        probe = bot.client()
        probe.subscribe(f"probe-{life}", after=0)
        probe.post("m", "are you there", f"probe-{life}")
        probe.read_until(lambda line: line["op"] == "event" and line["reply_to"] == "m" and line["final"])
        wait_for(lambda: not bot.has_open_messages(begun=1), "what met a death before is through")  # one of these at a time
        time.sleep(random.uniform(0.02, 0.3))
        bot.kill()
        bot.start()
    over.set()
    for visitor in visitors:
        visitor.join(60)
        assert not visitor.is_alive() and visitor.accepted > 100
    reader = bot.client()
    for visitor in visitors:
        reader.subscribe(visitor.conversation, after=0)
        events = [
            reader.read_until(lambda line: line["op"] == "event" and line["final"]) for _ in range(visitor.accepted + 1)
        ]
        assert events[0]["reply_to"] is None, "the statement comes first"
        assert [event["reply_to"] for event in events[1:]] == [f"{visitor.conversation}-{number}" for number in range(visitor.accepted)]
        assert [event["text"] for event in events[1:]] == [f"{number + 1} text {number}" for number in range(visitor.accepted)]


def test_a_message_that_kills_its_bot_is_given_up_and_the_next_is_answered(start_bot):
    """After three deaths at one message the contact gets the apology, and its conversation goes on; others never wait."""
    bot = start_bot("""
        import os
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            if message.text == "poison":
                os._exit(9)
            return "echo " + message.text
        """)
    client = bot.client()
    client.send(op="post", id="m1", text="poison", conversation="default")
    bot.wait()
    lives = 2
    while bot.start(wait=False).ended():
        lives += 1
        assert lives <= 10
    bot.wait_served()
    client = bot.client()
    client.subscribe(after=0)
    assert client.reply_to("m1")["text"] == APOLOGY
    client.post("m2", "hi")
    assert client.reply_to("m2")["text"] == "echo hi"
    assert lives == 4
    supervisor = Supervisor(bot.paths)  # no psvd was there when it was given up: the next one hears of it
    supervisor.welcome()
    assert supervisor.expect("given-up")["messages"] == 1
    supervisor.close()


def test_a_start_hook_that_hangs_does_not_hold_up_a_stop(start_bot):
    """SIGTERM during a start hook ends the bot with 0."""
    bot = start_bot("""
        import asyncio, sys
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_start
        async def begin():
            print("hook runs", file=sys.stderr, flush=True)
            await asyncio.sleep(1000)
        """, wait=False)
    wait_for(lambda: "hook runs" in bot.errors.read_text(), "the hook runs")
    assert bot.stop() == 0


def test_a_reminder_survives_kill_nine_and_fires_once(start_bot):
    """Set, killed before it is due, started after: it comes once, also over a second restart."""
    bot = start_bot("""
        from processsupervisor import Bot, Duration
        bot = Bot()

        @bot.command("remind")
        async def remind(message, after: Duration, text: str):
            await bot.remind(message, after, text)
            return "noted"
        """)
    client = bot.client()
    client.subscribe()
    client.post("m1", "/remind 0.3s tea")
    assert client.reply_to("m1")["text"] == "noted"
    bot.kill()
    time.sleep(0.4)
    bot.start()
    client = bot.client()
    client.subscribe(after=0)
    fired = client.read_until(lambda line: line.get("text") == "tea")
    assert fired["reply_to"] is None and fired["final"] and fired["seq"]
    bot.kill()
    bot.start()
    assert [row["text"] for row in bot.client().history()].count("tea") == 1


def test_a_streamed_reply_cut_by_a_kill_is_replaced_under_its_id(start_bot, tmp_path):
    """Drafts before and after the kill, and the final text, carry one id; only the final one is kept."""
    bot = start_bot("""
        import asyncio, os, pathlib
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            yield "begin "
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
            yield "end"
        """)
    client = bot.client()
    client.subscribe()
    client.post("m1", "x")
    draft = client.read_until(lambda line: line["op"] == "event" and not line["final"])
    assert draft["text"] == "begin " and draft["reply_to"] == "m1" and draft["seq"] is None
    bot.kill()
    (tmp_path / "go").touch()
    bot.start()
    client = bot.client()
    client.subscribe(after=0)
    final = client.reply_to("m1")
    assert final["id"] == draft["id"] and final["text"] == "begin end"
    assert [row["text"] for row in client.history() if row["id"] == draft["id"]] == ["begin end"]


def test_sigterm_answers_what_runs_and_leaves_the_rest_to_the_next(start_bot):
    """Status 0, socket gone, the running message answered, queued ones answered by the next life."""
    bot = start_bot("""
        import asyncio
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            if message.text == "slow":
                await asyncio.sleep(0.3)
            return message.text

        @bot.on_stop
        async def end():
            print("stop hook ran", flush=True)
        """)
    client = bot.client()
    client.subscribe()
    client.post("m1", "slow")
    client.post("m2", "queued")
    assert bot.stop() == 0
    assert client.reply_to("m1")["text"] == "slow"
    bot.start()
    client = bot.client()
    client.subscribe(after=0)
    assert client.reply_to("m2")["text"] == "queued"


def test_a_handler_that_will_not_end_is_cut_off_in_time(start_bot):
    """The stop timeout holds; the message stays for the next life."""
    bot = start_bot(
        """
        import asyncio
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            await asyncio.sleep(1000)
        """,
        stop={"timeout_s": 1.0, "signal": "TERM"},
    )
    bot.client().post("m1", "x")
    begun = time.monotonic()
    assert bot.stop() == 0
    assert time.monotonic() - begun < 2.5
    with contextlib.closing(sqlite3.connect(bot.database)) as other:
        assert other.execute("SELECT state FROM inbox").fetchall() == [(0,)]


def test_an_idle_bot_opens_no_database_and_starts_no_thread(start_bot):
    """Before the first message there is no bot.db and one thread."""
    bot = start_bot(ECHO)
    assert not bot.database.exists()
    assert len(os.listdir(f"/proc/{bot.process.pid}/task")) == 1
    bot.client().post("m1", "x")
    assert bot.database.exists()


def test_a_disk_that_takes_no_more_refuses_posts_and_recovers(start_bot):
    """While no byte can be written the bot stays up and refuses; with room again it goes on by itself."""
    import resource

    bot = start_bot(ECHO)
    client = bot.client()
    client.subscribe()
    client.post("m0", "x")
    client.reply_to("m0")
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    refused = client.post("m1", "y" * 20_000)
    assert refused["op"] == "refused" and refused["code"] == "storage" and str(bot.database) in refused["message"]
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert client.post("m1", "again")["op"] == "accepted"
    assert client.reply_to("m1")["text"] == "echo again"


def test_a_reply_waits_for_a_disk_that_is_full(start_bot, tmp_path):
    """A message accepted before the disk filled is answered once after there is room."""
    import resource

    bot = start_bot("""
        import asyncio, pathlib
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
            return "late " + message.text
        """)
    client = bot.client()
    client.subscribe()
    client.post("m1", "x")
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    (tmp_path / "go").touch()
    wait_for(lambda: "database failed" in bot.errors.read_text(), "the failing file is logged")
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert client.reply_to("m1")["text"] == "late x"


def test_logging_of_the_author_goes_to_stderr_at_the_level_of_the_spec(start_bot):
    """An INFO line of the bot's module is shown at info, a DEBUG line is not."""
    bot = start_bot(
        """
        import logging
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_start
        async def begin():
            logging.getLogger("mine").info("shown")
            logging.getLogger("mine").debug("hidden")
        """,
        log_level="info",
    )
    assert bot.errors.read_text() == "INFO mine: shown\n"


def test_options_and_name_reach_the_author_and_the_statement(start_bot):
    """bot.options is the bot's table; its `about` words the disclosure."""
    bot = start_bot(
        ECHO.replace('"echo " + message.text', "f'{bot.name} {bot.options}'"), options={"about": "I am Al, a bot.", "n": 1}
    )
    client = bot.client()
    client.subscribe()
    client.post("m1", "x")
    assert client.read_until(lambda line: line["op"] == "event")["text"] == "I am Al, a bot."
    assert client.reply_to("m1")["text"] == "alice {'about': 'I am Al, a bot.', 'n': 1}"


def test_a_send_that_ended_as_unknown_waits_again_when_psvd_asks(start_bot):
    """Once; whoever asks for another one is told."""
    bot = start_bot(ECHO)
    supervisor = Supervisor(bot.paths)
    supervisor.welcome()
    supervisor.expect("ready")
    client = bot.client()
    client.subscribe()
    client.post("m1", "hi")
    client.reply_to("m1")
    with contextlib.closing(sqlite3.connect(bot.database)) as file:
        file.execute("INSERT INTO outbox (id, network, conversation, text, created_at, state, uncertain) VALUES ('r9', 'far', 'a', 'x', 1, 4, 1)")
        file.commit()
        (number,) = file.execute("SELECT seq FROM outbox WHERE id = 'r9'").fetchone()
        for which, word in ((number, ""), (number, f"it has no send {number} that ended as unknown")):
            supervisor.send(op="replay", id=which, send=which)
            assert supervisor.expect("replayed") == {"op": "replayed", "id": which, "message": word}
        assert file.execute("SELECT state, uncertain FROM outbox WHERE id = 'r9'").fetchone() == (0, 1)
    supervisor.close()


def test_a_dead_letter_is_handled_again_when_psvd_asks(start_bot):
    """Under a new number, behind what waits; an unknown one is told."""
    bot = start_bot("""
        import pathlib
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_message
        async def handle(message):
            if not pathlib.Path("mended").exists():
                return 7
            return "echo " + message.text
        """)
    supervisor = Supervisor(bot.paths)
    supervisor.welcome()
    supervisor.expect("ready")
    client = bot.client()
    client.subscribe()
    client.post("m1", "hi")
    assert client.reply_to("m1")["text"] == APOLOGY
    (bot.paths.folder / "mended").touch()
    supervisor.send(op="replay", id=5, letter=99)
    assert supervisor.expect("replayed") == {"op": "replayed", "id": 5, "message": "it has no letter 99"}
    supervisor.send(op="replay", id=6, letter=1)
    assert supervisor.expect("replayed")["message"] == ""
    assert client.reply_to("m1")["text"] == "echo hi"
    supervisor.close()
