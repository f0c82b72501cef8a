"""What becomes of messages: together, interrupted, too old, too late, in groups, not readable. In a Lab: no time passes."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from processsupervisor import Bot, Button, Message, Reply
from processsupervisor.bot.service import Service
from processsupervisor.bot.steps import step
from processsupervisor.chat.consent import STOPPED
from processsupervisor.chat.points import Point
from processsupervisor.chat.settings import EXPIRED, FAILED, LATE, UNREADABLE
from processsupervisor.connectors.base import Capabilities, ErrorKind
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.database import BotDatabase
from processsupervisor.testing import Lab
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.network import MemoryNetwork
from processsupervisor.testing.writer import InlineWriter


def echo_bot(wait_s: float = 0.0) -> Bot:
    bot = Bot()
    bot.heard = []

    @bot.on_message
    async def echo(message):
        bot.heard.append(message.text)
        await asyncio.sleep(wait_s)
        return f"echo {message.text}"

    return bot


def replies(lab: Lab) -> list[str]:
    return [text for text in lab.you.shown if "program" not in text]


# --- debounce and interrupt ------------------------------------------------------------------------------------------


def talk(lab: Lab, *lines: tuple[float, str]) -> None:
    """Say each line after so many seconds more, whatever the bot does meanwhile."""

    async def main():
        said = []
        for wait_s, text in lines:
            await asyncio.sleep(wait_s)
            said.append(asyncio.ensure_future(lab.say(text)))
        await asyncio.gather(*said)

    lab.start()
    lab.run(main())


def test_what_comes_soon_behind_each_other_is_one_message():
    """Quiet for 2 s ends it; a message behind that is another."""
    bot = echo_bot()
    with Lab(bot, chat={"mode": "debounce"}) as lab:
        talk(lab, (0, "one"), (1.5, "two"), (1.5, "three"), (2.5, "four"))
        assert bot.heard == ["one\ntwo\nthree", "four"]
        assert replies(lab) == ["echo one\ntwo\nthree", "echo four"]


def test_somebody_who_never_stops_is_answered_and_a_command_waits_for_nothing():
    """After five windows; a command goes behind what was said before, at once."""
    bot = echo_bot()
    with Lab(bot, chat={"mode": "debounce"}) as lab:
        talk(lab, *((1.0, str(number)) for number in range(15)))
        assert 2 <= len(bot.heard) <= 3
        began = lab.clock.now
        talk(lab, (0, "wait"), (0.1, "/about"))
        assert (lab.clock.now - began).total_seconds() < 1.5 and replies(lab)[-1] == "echo wait"


def test_messages_made_one_end_together_in_one_commit():
    """A death behind the commit answers none of them again, one before it all of them, once."""
    for point in (Point.AFTER_COMPLETE, Point.AFTER_HANDLER):
        bot = echo_bot()
        with Lab(bot, chat={"mode": "debounce"}) as lab:
            lab.start()
            lab.die_at(point)
            talk(lab, (0, "one"), (1, "two"))
            lab.restart()
            assert replies(lab) == ["echo one\ntwo"]


def test_a_newer_message_interrupts_and_what_was_shown_stays():
    """The pieces that were shown are the reply; what the handler changed is dropped, but for its finished steps."""
    bot = Bot()

    @bot.on_message
    async def count(message):
        if message.text == "what":
            yield str(await message.store.keys())
            return
        async with step():
            await message.store.set("kept", 1)
        await message.store.set("dropped", 1)
        for word in ("a", "b", "c"):
            yield word
            await asyncio.sleep(1)

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        talk(lab, (0, "go"), (1.5, "what"))
        assert replies(lab) == ["ab", "['kept']"]


def test_an_interrupt_leaves_what_grew_before_and_behind_a_whole_reply():
    """In its order, each under the id that it was shown with; what was not in front of anything shown is dropped."""
    bot = Bot()

    async def grow(*parts):
        for part in parts:
            yield part
            await asyncio.sleep(1)

    @bot.on_message
    async def handle(message):
        if message.text == "what":
            return "told"
        return grow("a", Reply("whole"), "b", "c") if message.text == "go" else grow("a", Reply("never shown"))

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        lab.say("what")
        talk(lab, (0, "go"), (3.5, "what"))
        assert replies(lab) == ["told", "a", "whole", "bc", "told"]
        drafts = {draft.id: draft.text for draft in lab.network.drafts}
        shown = {look.shown.out_id: look.text for look in lab.network.looks}
        assert drafts.items() <= shown.items() and len(drafts) == 2
        talk(lab, (0, "less"), (1.5, "what"))
        assert replies(lab)[-2:] == ["a", "told"]


def test_nothing_grows_in_front_of_the_statement_of_a_program():
    """A network that holds it up shows no piece of an answer before."""
    bot, network = Bot(), MemoryNetwork()

    @bot.on_message
    async def count(message):
        for number in range(10):
            yield f"{number} "
            await asyncio.sleep(1)

    network.fail(ErrorKind.RATE, retry_after_s=4.0)
    with Lab(bot, network=network) as lab:
        lab.say("go")
        first = network.drafts[0].text
        assert first.startswith("0 1 2 3 4") and lab.you.shown[-1] == "0 1 2 3 4 5 6 7 8 9 "


@pytest.mark.parametrize("way", ["runs", "waits for another try"])
def test_a_press_whose_handler_is_interrupted_is_acknowledged(way):
    """Nobody sees a button that never stops turning."""
    bot = Bot()

    @bot.on_message
    async def offer(message: Message):
        return Reply("?", buttons=[[Button("Go", "go")]])

    @bot.button("go")
    async def go(message: Message):
        if way == "runs":
            await asyncio.sleep(30)
        raise ValueError

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        lab.say("hi")

        async def main():
            pressed = asyncio.ensure_future(lab.press("Go"))
            await asyncio.sleep(0.2)
            await lab.say("now")
            await pressed

        lab.run(main())
        assert len(lab.network.acknowledged) == 1 and replies(lab)[-1] == "?" and lab.letters == []


def test_a_step_is_never_interrupted():
    """The newer message waits for its end, and no longer."""
    bot = Bot()
    done = []

    @bot.on_message
    async def work(message):
        if message.text == "go":
            async with step():
                await asyncio.sleep(3)
                done.append("step")
            await asyncio.sleep(0)
            done.append("behind")
        return "told"

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        talk(lab, (0, "go"), (1, "stop that"))
        assert done == ["step"] and replies(lab) == ["told"]


def test_one_step_behind_another_is_not_interrupted_either():
    """Nor is one with which a handler begins that newer messages wait behind."""
    bot = Bot()
    done = []

    @bot.on_message
    async def work(message):
        for name in ("first", "second"):
            async with step():
                await asyncio.sleep(3)
                done.append(f"{message.text} {name}")
        await asyncio.sleep(3)
        done.append(f"{message.text} behind")

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        talk(lab, (0, "one"), (0, "two"), (1, "three"))
        assert done == ["one first", "one second", "two first", "two second", "three first", "three second", "three behind"]


def test_an_interrupt_behind_the_last_step_hits_nobody_else():
    """The handler has ended before it could be cancelled: its reply stands, and the next message is handled once."""
    bot = Bot()
    heard = []

    @bot.on_message
    async def work(message):
        heard.append(message.text)
        async with step():
            await asyncio.sleep(3)
        return f"did {message.text}"

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        talk(lab, (0, "one"), (1, "two"))
        assert heard == ["one", "two"] and replies(lab) == ["did one", "did two"]


# --- deadline and failures -------------------------------------------------------------------------------------------


def test_a_message_that_takes_too_long_is_given_up_and_the_next_goes_on():
    """The contact is told, the letter is kept, also where the handler takes no notice of its end."""
    bot = Bot()

    @bot.on_message
    async def wait(message):
        while message.text == "stubborn":
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                await message.store.set("late", 1) if message.text == "x" else None
        if message.text == "long":
            await asyncio.sleep(600)
        return "done"

    with Lab(bot) as lab:
        talk(lab, (0, "long"), (0, "quick"), (0, "stubborn"), (0, "quick"))
        assert replies(lab) == [LATE, "done", LATE, "done"]
        assert [(letter.text, letter.reason) for letter in lab.letters] == [("stubborn", "timeout"), ("long", "timeout")]


@pytest.mark.parametrize("error", [ValueError, type("Odd", (BaseException,), {}), GeneratorExit, asyncio.CancelledError])
def test_whatever_a_handler_raises_ends_as_a_dead_letter(error):
    """Tried three times, told once; the next message is answered."""
    bot = Bot()
    tries = []

    @bot.on_message
    async def fail(message):
        tries.append(message.text)
        if message.text == "bad":
            raise error
        return "fine"

    with Lab(bot) as lab:
        talk(lab, (0, "bad"), (0, "good"))
        assert tries == ["bad", "bad", "bad", "good"] and replies(lab) == [FAILED, "fine"]
        assert [(letter.reason, letter.attempts) for letter in lab.letters] == [("error", 3)]


@pytest.mark.parametrize("result", [b"bytes", 7, {"a": 1}, [b"x"]])
def test_a_result_that_is_no_reply_is_not_tried_again(result):
    """The reason says so."""
    bot = Bot()
    tries = []

    @bot.on_message
    async def wrong(message):
        tries.append(1)
        return result

    with Lab(bot) as lab:
        lab.say("x")
        assert replies(lab) == [FAILED] and tries == [1] and lab.letters[0].reason == "bad-reply"


# --- backlog ---------------------------------------------------------------------------------------------------------


def test_what_waited_too_long_is_not_handled_and_answered_once():
    """Whether it waited in the network or in the inbox; what is fresh is handled."""
    bot = echo_bot(1.0)
    with Lab(bot, chat={"max_age": "10m"}) as lab:
        lab.start()
        lab.die_at(Point.BEFORE_HANDLER)
        lab.say("in the inbox")
        lab.say("in the network")
        lab.say("in the network too")
        lab.clock.advance("1h")
        lab.restart()
        assert bot.heard == [] and replies(lab) == [EXPIRED]
        lab.say("now")
        assert replies(lab) == [EXPIRED, "echo now"]


def test_the_sentence_is_said_where_the_last_of_what_is_old_is_an_edit():
    """Nobody is told twice, and an edit alone is told nothing."""
    with Lab(echo_bot(), chat={"max_age": "1h"}) as lab:
        lab.say("hello")
        for words in (("help",), ()):
            lab.kill()
            for text in words:
                lab.say(text)
            lab.you.edits("help!")
            lab.clock.advance("2h")
            lab.restart()
        assert replies(lab) == ["echo hello", EXPIRED]


def test_a_short_absence_expires_nothing():
    """A message is as old as it was when the bot came back; waiting behind others does not count."""
    bot = echo_bot(40.0)
    with Lab(bot, chat={"max_age": "1m"}) as lab:
        lab.start()
        lab.kill()
        for number in range(5):
            lab.say(str(number))
        lab.clock.advance("30s")
        lab.restart()
        assert bot.heard == ["0", "1", "2", "3", "4"]


def test_a_command_for_another_bot_of_the_room_is_none_to_this_one():
    """Not of the core, and not of the author, also where all that people say is heard."""
    bot = echo_bot()

    @bot.command("go")
    async def go(message):
        return "gone"

    with Lab(bot, chat={"groups": "all"}) as lab:
        ada = lab.group("team").person("ada")
        for text in ("/start@otherbot", "/go@otherbot"):
            ada.says(text, is_addressed=False)
        assert bot.heard == ["/start@otherbot", "/go@otherbot"]
        with pytest.raises(Refused, match="has not agreed"):
            lab.run(bot.send("memory", "team", "news"))


def test_stop_does_not_expire():
    """Said while the bot was away, it holds, and is answered; what else waited is too old."""
    bot = echo_bot()
    with Lab(bot, chat={"max_age": "1h"}) as lab:
        lab.say("/start")
        lab.kill()
        lab.say("hello?")
        lab.say("/stop")
        lab.clock.advance("2h")
        lab.restart()
        assert bot.heard == [] and replies(lab)[-2:] == [EXPIRED, STOPPED]
        with pytest.raises(Refused, match="has not agreed"):
            lab.run(bot.send("memory", "you", "news"))


def test_a_replayed_letter_does_not_expire():
    """It is older than `max_age` by then, and a person asked for it; so also when the bot is started later still."""
    bot, is_broken = Bot(), [True]

    @bot.on_message
    async def pay(message):
        if is_broken[0]:
            raise RuntimeError("down")
        return "paid"

    with Lab(bot, chat={"max_age": "1h", "retries": 0}) as lab:
        lab.say("pay 100")
        lab.clock.advance("3h")
        is_broken[0] = False
        lab.die_at(Point.BEFORE_HANDLER)
        lab.run(lab._stage.life.service.replay(lab.letters[0].row_id))
        lab.settle()
        lab.clock.advance("3h")
        lab.restart()
        assert replies(lab) == [FAILED, "paid"] and not lab.letters


def test_what_falls_due_for_a_network_that_is_not_served_waits_for_it():
    """A reminder on a network that is out of fleet.toml for a while, beside one that is served."""
    bot = Bot()

    @bot.command("r")
    async def remind(message):
        await bot.remind(message, "10m", "take your pill")

    async def serve_another(lab):
        path = lab.folder / "bot.db"
        service = Service(bot, BotDatabase(path, writer=InlineWriter(path)), [MemoryConnector(MemoryNetwork(name="other"), lab.folder)])
        await service.start()
        await asyncio.sleep(700)
        await service.stop(5)

    with Lab(bot) as lab:
        lab.say("/r")
        lab.run(lab._stage.stop())
        lab.run(serve_another(lab))
        lab.start()
        lab.clock.advance("1m")
        assert replies(lab) == ["take your pill"]


# --- groups, and what cannot be read ---------------------------------------------------------------------------------


def test_in_a_group_only_what_is_addressed_is_answered():
    """A name, an answer to the bot and a command are; the statement comes once, when the bot joins."""
    bot = echo_bot()
    with Lab(bot) as lab:
        group = lab.group("team")
        group.adds_bot()
        ada = group.person("ada")
        for text in ("hello all", "@bot hi", "/about"):
            ada.says(text)
        ada.says("thanks", to=group.last)
        assert bot.heard == ["@bot hi", "thanks"]
        assert sum("program" in text for text in group.shown) == 2  # as it joined, and when asked


def test_a_bot_may_hear_all_of_a_group():
    """By setting; it still says nothing of what it does not answer."""
    bot = echo_bot()
    with Lab(bot, chat={"groups": "all"}) as lab:
        group = lab.group("team")
        group.adds_bot()
        group.person("ada").says("hello all")
        assert bot.heard == ["hello all"]


def test_what_cannot_be_read_is_answered_with_that():
    """In a group nothing is said of a sticker that nobody meant for the bot."""
    with Lab(echo_bot(), chat={"groups": "all"}) as lab:
        lab.you.sends_unreadable("sticker")
        assert replies(lab) == [UNREADABLE]
        group = lab.group("team")
        group.adds_bot()
        before = len(group.shown)
        group.person("ada").sends_unreadable("sticker")
        assert len(group.shown) == before


def test_who_blocked_the_bot_is_left_alone():
    """Nothing is handled, nothing sent, until a message comes again."""
    bot = echo_bot()
    with Lab(bot) as lab:
        lab.say("/start")
        lab.you.leaves()
        with pytest.raises(Exception, match="cannot be reached"):
            lab.run(bot.send("memory", "you", "hello?"))
        lab.say("back")
        lab.run(bot.send("memory", "you", "hello!"))
        lab.settle()
        assert replies(lab)[-2:] == ["echo back", "hello!"] and "/start" not in bot.heard


# --- what fits the network -------------------------------------------------------------------------------------------


def test_a_long_reply_is_several_messages_in_order():
    """Ten messages of 4,096 units at most, and a huge one is cut rather than sent for ever."""
    bot = Bot()

    @bot.on_message
    async def long(message):
        return "word " * 8000 if message.text == "long" else "x" * 10_000_000

    with Lab(bot, network=MemoryNetwork(capabilities=Capabilities(max_text_chars=4096))) as lab:
        lab.say("long")
        pieces = replies(lab)
        assert len(pieces) == 10 and all(len(piece) <= 4096 for piece in pieces)
        assert " ".join(pieces).strip() == ("word " * 8000).strip()
        lab.say("huge")
        assert 30 < len(replies(lab)) < 60


def test_a_network_shows_that_an_answer_is_made():
    """After half a second, then every four, and not behind the answer."""
    with Lab(echo_bot(9.0)) as lab:
        lab.say("slow")
        assert len(lab.you.chat.typing_at) == 3
        lab.clock.advance("1m")
        assert len(lab.you.chat.typing_at) == 3
    with Lab(echo_bot(9.0), chat={"typing": False}) as lab:
        lab.say("slow")
        assert lab.you.chat.typing_at == []


def test_no_word_of_a_contact_is_logged(caplog):
    """Not of a failing, late, expired or interrupted message."""
    bot = Bot()

    @bot.on_message
    async def fail(message):
        if message.text == "xyzzy late":
            await asyncio.sleep(timedelta(hours=1).total_seconds())
        raise ValueError(message.text)

    with caplog.at_level(logging.DEBUG), Lab(bot) as lab:
        talk(lab, (0, "xyzzy"), (0, "xyzzy late"))
    assert caplog.text and "xyzzy" not in caplog.text.replace("test_no_word", "")
