"""What a handler does to its whole process, or to its loop: in a Lab the same as in a fleet, and never to the test."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import pytest

from processsupervisor import Bot
from processsupervisor.chat.settings import FAILED, LATE
from processsupervisor.testing import Lab


@pytest.fixture
def bot():
    made = Bot()
    made.calls = 0

    @made.on_message
    async def handle(message):
        made.calls += 1
        await message.store.set("calls", made.calls)
        if message.text.startswith("exit"):
            sys.exit(*[int(word) for word in message.text.split()[1:]])
        if message.text == "task":
            await asyncio.create_task(leave())
        if message.text == "interrupt":
            raise KeyboardInterrupt
        if message.text == "ctrl-c":
            signal.raise_signal(signal.SIGINT)
        while message.text == "spin":
            await asyncio.sleep(0)
        while message.text == "stubborn":
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                made.was_cancelled = True
                if made.is_over:
                    raise
        return f"echo {message.text}"

    async def leave():
        sys.exit(3)

    made.is_over = False
    yield made
    made.is_over = True


@pytest.mark.parametrize(("said", "code"), [("exit 7", 7), ("exit", 0), ("task", 3), ("interrupt", 130)])
def test_a_handler_that_ends_the_process_ends_the_bot_and_not_the_test(lab, bot, said, code):
    """It is dead, with its code; the message is there again after each restart, and given up when three lives have ended by it."""
    lab.say(said)
    for _ in range(2):
        assert lab.is_dead and lab.exit_code == code and len(lab.you.shown) <= 1
        lab.restart()
    assert bot.calls == 3 and lab.exit_code == code
    lab.restart()
    assert bot.calls == 3 and not lab.is_dead and lab.exit_code is None
    assert lab.letters[0].reason == "crashed" and lab.you.shown[-1] == FAILED
    lab.say("hello")
    lab.sees("echo hello")


async def test_in_an_async_test_too(lab):
    """The loop is the test's own, and goes on."""
    await lab.say("exit 7")
    assert lab.is_dead and lab.exit_code == 7
    await lab.restart()


def test_who_runs_the_test_can_end_it(bot):
    """Ctrl-C strikes in the middle of a handler: that is no word of the author's."""
    with pytest.raises(KeyboardInterrupt), Lab(bot) as lab:
        lab.say("ctrl-c")


def test_a_start_hook_that_ends_the_process(bot):
    """It never was ready."""
    bot.on_start(leaving)
    with Lab(bot) as lab:
        lab.start()
        assert lab.is_dead and lab.exit_code == 4


async def leaving():
    sys.exit(4)


def test_a_handler_that_never_waits_is_ended_at_its_deadline(lab):
    """It turns the loop without a rest; its 60 s pass all the same, and the next message is answered."""
    began, began_at = time.monotonic(), lab.clock.now
    lab.say("spin")
    assert lab.letters[0].reason == "timeout" and lab.you.shown[-1] == LATE
    assert 60 <= (lab.clock.now - began_at).total_seconds() < 70 and time.monotonic() - began < 60
    lab.say("hello")
    lab.sees("echo hello")


def test_one_that_takes_no_notice_is_left_behind_and_time_goes_on(lab, bot):
    """The loop never rests again, and everything else goes its way."""
    lab.say("stubborn")
    assert bot.was_cancelled and lab.letters[0].reason == "timeout"
    lab.say("hello")
    lab.sees("echo hello")
    began_at = lab.clock.now
    lab.clock.advance("2h")
    assert (lab.clock.now - began_at).total_seconds() == pytest.approx(7200, abs=1)
    bot.is_over = True
