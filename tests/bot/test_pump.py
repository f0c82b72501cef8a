"""The pump on a real database: order, failures, streams, and what is committed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from pathlib import Path

import pytest

from processsupervisor.bot.api import Bot
from processsupervisor.bot.earlier import MAX_LIVES
from processsupervisor.bot.service import Service
from processsupervisor.chat.consent import STARTED, STOPPED
from processsupervisor.chat.settings import FAILED as APOLOGY
from processsupervisor.connectors.pulled import Pulled
from processsupervisor.kernel.errors import Refused
from processsupervisor.process.logreader import LogLine
from processsupervisor.process.tracebacks import find_all
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Incoming, Outgoing, Place

HERE = Place("test", "a")
DEADLINE_S = 15.0


class Inlet(Pulled):
    """A connector of the network "test": the test posts, and reads what is published."""

    network = "test"

    def __init__(self) -> None:
        self.out: list[Outgoing] = []
        self.port = None
        self._changed = asyncio.Event()

    async def open(self, port) -> None:
        self.port = port

    def publish(self, out: Outgoing) -> None:
        self.out.append(out)
        self._changed.set()

    async def close(self) -> None: ...

    def post(self, text: str, place: Place = HERE, message_id: str | None = None):
        return self.port.accept(Incoming(place, message_id or uuid.uuid4().hex, "someone", text))

    async def finals(self, count: int) -> list[str]:
        """Wait for so many replies (the statement not counted) and return all."""
        async with asyncio.timeout(DEADLINE_S):
            while len(found := [out.text for out in self.out if out.final and not out.id.startswith("program-")]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found

    async def ask(self, text: str, place: Place = HERE) -> str:
        accepted = await self.post(text, place)
        async with asyncio.timeout(DEADLINE_S):
            while not (found := [out for out in self.out if out.final and out.id == accepted.row.reply_id]):
                self._changed.clear()
                await self._changed.wait()
        return found[0].text


@pytest.fixture
async def run(tmp_path):
    """Start a bot on the folder's database; stops what runs before, so that a second call is the next life."""
    running: list[Service] = []

    async def start(bot: Bot, **keys) -> Inlet:
        while running:
            await running.pop().stop(0.5)
        inlet = Inlet()
        service = Service(bot, BotDatabase(tmp_path / "bot.db"), [inlet], **{"retry_after_s": (0.0, 0.0), **keys})
        await service.start()
        running.append(service)
        inlet.service = service
        return inlet

    yield start
    while running:
        await running.pop().stop(0.5)


def rows(tmp_path, sql: str):
    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as other:
        return other.execute(sql).fetchall()


async def test_none_text_and_streams_are_replies(run):
    """None says nothing; a text is one reply; a generator, or an iterator returned, ends as one reply."""
    bot = Bot()

    async def pieces():
        yield "a"
        yield "b"

    @bot.on_message
    async def handle(message):
        return {"none": None, "text": "hi", "pieces": pieces()}[message.text]

    @bot.command("gen")
    async def gen(message, count: int = 3):
        for number in range(count):
            yield str(number)

    inlet = await run(bot)
    await inlet.post("none")
    for text in ("text", "pieces", "/gen", "/gen 5", "/gen 0", "text"):
        await inlet.post(text)
    assert await inlet.finals(5) == ["hi", "ab", "012", "01234", "hi"]


async def test_a_failing_handler_is_tried_three_times_then_apologises_and_the_next_goes_on(run, caplog):
    """Changes of failed runs are dropped; type and place are logged, the contact's words are not."""
    bot = Bot()
    tries = []

    @bot.on_message
    async def handle(message):
        tries.append(message.text)
        await message.store.set("tries", len(tries))
        if message.text == "private words":
            raise ValueError(message.text)
        return f"{await message.store.get('tries')}"

    inlet = await run(bot)
    with caplog.at_level(logging.DEBUG):
        await inlet.post("private words")
        await inlet.post("next")
        assert await inlet.finals(2) == [APOLOGY, "4"]
    assert tries == ["private words"] * 3 + ["next"]
    assert "ValueError at " in caplog.text and "test_pump.py" in caplog.text and "private" not in caplog.text


async def test_a_failing_handler_logs_its_stack_without_a_word_of_the_contact(run, caplog):
    """Once for a message: types, files, lines and functions of the chain, as `psv errors` reads them; the exceptions' texts are not in it."""
    bot = Bot()

    def look_up(word: str) -> str:
        raise KeyError(word)

    @bot.on_message
    async def answer(message):
        try:
            return look_up(message.text)
        except KeyError as err:
            raise ValueError(f"no answer to {message.text}") from err

    inlet = await run(bot)
    assert await inlet.ask("xyzzy") == APOLOGY
    said = [line for record in caplog.records for line in record.getMessage().splitlines()]
    assert "xyzzy" not in "\n".join(said)
    raised = list(find_all(LogLine(5.0, "app", "stderr", 1, 1, line) for line in said))
    assert [(error.type, error.message, Path(error.place.file).name, error.place.function) for error in raised] == [
        ("ValueError", "", "test_pump.py", "answer")
    ]
    assert any(line.endswith("in look_up") for line in said)


async def test_a_handler_that_succeeds_later_needs_no_apology(run):
    """The second try's reply is the reply."""
    bot = Bot()
    tries = []

    @bot.on_message
    async def handle(message):
        tries.append(1)
        if len(tries) == 1:
            raise OSError("network")
        return "fine"

    inlet = await run(bot)
    assert await inlet.ask("x") == "fine"


@pytest.mark.parametrize("result", [7, b"bytes", ["a", 7], object()])
async def test_a_wrong_result_is_not_tried_again(run, result):
    """What is no reply stays none: one run, then the apology."""
    bot = Bot()
    tries = []

    @bot.on_message
    async def handle(message):
        tries.append(1)
        return result

    inlet = await run(bot)
    assert await inlet.ask("x") == APOLOGY and len(tries) == 1


async def test_a_stray_cancellation_is_a_failure_like_any_other(run):
    """A handler whose inner task was cancelled gets no free pass, and the pump lives."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        if message.text == "cancel":
            raise asyncio.CancelledError
        return "ok"

    inlet = await run(bot)
    assert await inlet.ask("cancel") == APOLOGY and await inlet.ask("x") == "ok"


async def test_a_stream_that_breaks_starts_over_under_the_same_id(run):
    """Readers see drafts of both tries under one id and one final text; the generator is closed each time."""
    bot = Bot()
    closed = []

    @bot.on_message
    async def handle(message):
        try:
            yield "one "
            await asyncio.sleep(0.06)
            yield "two"
            if len(closed) < 2:
                raise OSError
        finally:
            closed.append(1)

    inlet = await run(bot)
    assert await inlet.ask("x") == "one two"
    assert len(closed) == 3
    assert len({out.id for out in inlet.out if out.reply_to is not None}) == 1
    drafts = [out for out in inlet.out if not out.final]
    assert drafts and all(out.seq is None for out in drafts)


async def test_the_drafts_id_is_committed_before_the_first_piece(run, tmp_path):
    """At the first draft another connection finds the id in the file."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        yield "one"
        assert rows(tmp_path, "SELECT count(*) FROM drafts") == [(1,)]
        yield "two"

    inlet = await run(bot)
    assert await inlet.ask("x") == "onetwo"
    assert rows(tmp_path, "SELECT count(*) FROM drafts") == [(0,)]


async def test_values_reminders_and_reply_are_one_transaction(run, tmp_path):
    """While the handler runs nothing of it is in the file; with its reply everything is."""
    bot = Bot()
    seen = []

    @bot.command("go")
    async def go(message):
        await message.store.append("notes", "a")
        await message.store.append("notes", "b")
        await bot.store.set("shared", {"n": 1})
        await bot.remind(message, "1h", "wake")
        assert await message.store.get("notes") == ["a", "b"] and await message.store.keys() == ["notes"]
        await asyncio.sleep(0.02)
        seen.extend(rows(tmp_path, "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM reminders)"))
        return "done"

    @bot.command("read")
    async def read(message):
        return f"{await message.store.get('notes')} {await bot.store.get('shared')} {await message.store.get('none', 5)}"

    inlet = await run(bot)
    assert await inlet.ask("/go") == "done"
    assert seen == [(0, 0)]
    assert rows(tmp_path, "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM reminders)") == [(2, 1)]
    assert await inlet.ask("/read") == "['a', 'b'] {'n': 1} 5"
    assert await inlet.ask("/read", Place("test", "b")) == "None {'n': 1} 5"


async def test_deleting_and_appending_to_something_else(run):
    """A deleted key is gone for the same handler; appending to a non-list, or storing what JSON has no form for, fails."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        store = message.store
        await store.set("k", 1)
        await store.delete("k")
        assert await store.get("k") is None and await store.keys() == []
        await store.set("k", 1)
        for wrong in (store.append("k", 2), store.set("x", object()), store.set("", 1), store.set("x", "y" * (1 << 21))):
            with pytest.raises((TypeError, Exception)):
                await wrong
        return "ok"

    inlet = await run(bot)
    assert await inlet.ask("x") == "ok"


async def test_reminders_fire_into_their_conversation_once(run):
    """A reminder set with a reply comes later, answering nothing, and only once."""
    bot = Bot()

    @bot.command("remind")
    async def remind(message, text: str):
        await bot.remind(message, 0.05, text)
        return "ok"

    inlet = await run(bot)
    await inlet.ask("/remind wake up")
    assert (await inlet.finals(2))[1] == "wake up"
    await asyncio.sleep(0.05)
    assert [out.reply_to for out in inlet.out if out.text == "wake up"] == [None]


async def test_too_many_reminders_are_refused(run, monkeypatch):
    """A conversation has a bound; beyond it the author gets an error, here shown to the contact."""
    monkeypatch.setattr("processsupervisor.bot.service.MAX_PER_CONVERSATION", 3)
    bot = Bot()

    @bot.on_message
    async def handle(message):
        try:
            for _ in range(int(message.text)):
                await bot.remind(message, "1h", "x")
        except Exception as err:
            return type(err).__name__
        return "ok"

    inlet = await run(bot)
    assert [await inlet.ask(text) for text in ("2", "1", "1")] == ["ok", "ok", "UsageError"]


async def test_the_core_answers_about_stop_and_start(run):
    """/about is the statement, /stop and /start record consent; a bot may send first only with it."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        try:
            await bot.send("test", "a", "news")
        except Refused as err:
            return err.code
        return "sent"

    bot.name = "anna"
    inlet = await run(bot)
    assert "anna" in await inlet.ask("/about") and inlet.out[0].text == inlet.out[1].text
    assert await inlet.ask("x") == "no-opt-in"
    assert await inlet.ask("/start") == STARTED
    assert await inlet.ask("x") == "sent" and "news" in [out.text for out in inlet.out]
    assert await inlet.ask("/STOP please") == STOPPED
    assert await inlet.ask("x") == "no-opt-in"


async def test_the_author_may_answer_start_and_help(run):
    """/start is recorded by the core and answered by the author; /help lists commands unless the author has one."""
    bot = Bot()

    @bot.command("start")
    async def start(message):
        return "welcome"

    @bot.command("add")
    async def add(message, count: int, text: str):
        """Add a thing."""

    inlet = await run(bot)
    assert await inlet.ask("/start") == "welcome"
    assert await inlet.ask("/add x") == 'COUNT must be a whole number, not "x". Write: /add COUNT TEXT'
    assert "/add COUNT TEXT - Add a thing." in await inlet.ask("/help")
    assert "/add COUNT TEXT" in await inlet.ask("what?")


async def test_a_slow_conversation_holds_up_no_other(run):
    """While one handler waits, another conversation is answered; in its own, order holds."""
    bot = Bot()
    gate = asyncio.Event()

    @bot.on_message
    async def handle(message):
        if message.text == "slow":
            await gate.wait()
        return message.text

    inlet = await run(bot)
    await inlet.post("slow")
    await inlet.post("behind")
    assert await inlet.ask("quick", Place("test", "b")) == "quick"
    gate.set()
    assert await inlet.finals(3) == ["quick", "slow", "behind"]


async def test_pause_finishes_what_began_keeps_what_waits_and_refuses_new(run):
    """Paused: the running message ends, the queued one stays, a post is refused; resume takes all up."""
    bot = Bot()
    gate = asyncio.Event()
    begun = asyncio.Event()

    @bot.on_message
    async def handle(message):
        begun.set()
        await gate.wait()
        return message.text

    inlet = await run(bot)
    await asyncio.gather(inlet.post("one"), inlet.post("two"))
    await begun.wait()
    pausing = asyncio.create_task(inlet.service.pause())
    await asyncio.sleep(0)
    with pytest.raises(Refused) as caught:
        inlet.post("three")
    assert caught.value.code == "paused"
    gate.set()
    await pausing
    assert await inlet.finals(1) == ["one"]
    await inlet.service.resume()
    assert await inlet.finals(2) == ["one", "two"]


async def test_what_a_stop_cut_off_is_taken_up_by_the_next_life(run):
    """Running and queued messages of a stopped bot are answered by the next, in order, once."""
    bot = Bot()
    stuck = asyncio.Event()

    @bot.on_message
    async def handle(message):
        await stuck.wait()

    inlet = await run(bot)
    await asyncio.gather(*(inlet.post(str(number)) for number in range(5)))

    second = Bot()

    @second.on_message
    async def echo(message):
        return message.text

    again = await run(second)
    assert await again.finals(5) == ["0", "1", "2", "3", "4"]
    third = await run(second)
    assert await third.ask("x") == "x" and len(third.out) == 1


async def test_a_message_that_kills_is_given_up_after_so_many_lives(run, tmp_path):
    """A message that was running at three deaths gets the apology; a stop in good order does not count."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        return "alive"

    silent = Bot()
    begun = asyncio.Event()

    @silent.on_message
    async def wait(message):
        begun.set()
        await asyncio.Event().wait()

    inlet = await run(silent)
    await inlet.post("poison")
    for _ in range(3):  # stops in good order: given back each time
        begun.clear()
        await run(silent)
        await begun.wait()
    quiet = await run(Bot())
    await quiet.service.pump.wait_quiet()
    assert rows(tmp_path, "SELECT attempts FROM inbox")[0][0] <= 1
    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as other:
        other.execute("UPDATE inbox SET state = 0, attempts = ?", (MAX_LIVES,))
        other.execute("DELETE FROM outbox")
        other.commit()
    again = await run(bot)
    assert await again.finals(1) == [APOLOGY]


async def test_a_full_queue_is_refused_as_busy(run, monkeypatch):
    """Beyond the bound a post is refused at once, nothing of it is stored."""
    monkeypatch.setattr("processsupervisor.bot.pump.MAX_QUEUED", 3)
    bot = Bot()
    gate = asyncio.Event()

    @bot.on_message
    async def handle(message):
        await gate.wait()
        return message.text

    inlet = await run(bot)
    for number in range(4):
        await inlet.post(str(number))
    with pytest.raises(Refused) as caught:
        inlet.post("over")
    assert caught.value.code == "busy"
    gate.set()
    assert await inlet.finals(4) == ["0", "1", "2", "3"]


async def test_a_broken_database_at_the_start_is_waited_out(run, tmp_path):
    """The bot stays up, refuses posts with the reason, and goes on by itself when the file is mended."""
    (tmp_path / "bot.db").write_bytes(b"garbage" * 1000)
    bot = Bot()

    @bot.on_message
    async def handle(message):
        return message.text

    inlet = await run(bot)
    with pytest.raises(Refused) as caught:
        inlet.post("x")
    assert caught.value.code == "storage"
    (tmp_path / "bot.db").unlink()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await inlet.post("y")
                break
            except Refused:
                await asyncio.sleep(0.05)
    assert await inlet.finals(1) == ["y"]


async def test_hooks_run_around_the_bots_life(run):
    """Start hooks before the first message, stop hooks after the last; a failing stop hook stops nothing else."""
    bot = Bot()
    order = []

    @bot.on_start
    async def begin():
        await bot.store.set("started", True)
        order.append("start")

    @bot.on_message
    async def handle(message):
        order.append(await bot.store.get("started"))
        return "x"

    @bot.on_stop
    async def bad():
        raise OSError

    @bot.on_stop
    async def end():
        order.append("stop")

    inlet = await run(bot)
    await inlet.ask("x")
    await run(Bot())
    assert order == ["start", True, "stop"]


async def test_a_huge_reply_is_cut(run):
    """A reply beyond the bound is cut with an ellipsis, streamed or not; unpaired surrogates are replaced."""
    bot = Bot()

    @bot.on_message
    async def handle(message):
        return "x" * 1_000_000 if message.text == "big" else "a\ud800b"

    @bot.command("stream")
    async def stream(message):
        for _ in range(100):
            yield "y" * 10_000

    inlet = await run(bot)
    assert await inlet.ask("small") == "a?b"
    for text in ("big", "/stream"):
        reply = await inlet.ask(text)
        assert len(reply) == 150_000 and reply.endswith("…")


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_a_connector_that_does_not_close_keeps_nothing_from_its_end(run, fault):
    """The exit hooks run, and the stop takes no longer than it may."""
    bot = Bot()
    hooks = []

    @bot.on_exit
    async def last():
        hooks.append("exit")

    class Stubborn(Inlet):
        network = "stubborn"

        async def close(self) -> None:
            if fault == "raises":
                raise RuntimeError
            await asyncio.sleep(3600)

    inlet = await run(bot)
    inlet.service._networks._connectors["stubborn"] = Stubborn()
    async with asyncio.timeout(10):
        await inlet.service.stop(0.5)
    assert hooks == ["exit"]
