"""The Lab: what a person says and sees, time that is advanced, restarts and deaths, all on the real pump and storage."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from processsupervisor import Bot
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import UsageError
from processsupervisor.testing import Lab, Point
from processsupervisor.testing.pace import NeverQuiet


@pytest.fixture
def bot():
    made = Bot()
    made.calls = 0

    @made.on_message
    async def echo(message):
        made.calls += 1
        if message.text.startswith("slow"):
            await asyncio.sleep(20)
        if message.text == "thread":
            await asyncio.to_thread(time.sleep, 0.05)
        if message.text == "bad":
            raise ValueError("for the author")
        return f"echo {message.text}"

    @made.command("count")
    async def count(message):
        return str(await message.store.append("count", 1))

    @made.command("wake")
    async def wake(message, after: str):
        await made.remind(message, after, "wake up")
        return "I will"

    return made


def test_a_person_is_told_of_the_program_and_answered(lab):
    """The statement of the core, then the reply, each once."""
    lab.say("hi")
    lab.sees("program")
    lab.sees("echo hi")
    assert len(lab.you.shown) == 2


def test_people_do_not_see_each_other(lab):
    """Each has a conversation of their own."""
    ada, bob = lab.person("ada"), lab.person("bob")
    ada.says("/count")
    ada.says("/count")
    bob.says("/count")
    ada.sees("2")
    bob.sees("1")
    ada.sees_nothing()


def test_seeing_goes_forward_only(lab):
    """What was found once is not found again."""
    lab.say("hi")
    lab.sees("echo hi")
    with pytest.raises(AssertionError, match="nothing"):
        lab.sees("echo hi")


def test_what_a_handler_waits_for_takes_no_time(lab):
    """Its 20 s pass on the virtual clock alone."""
    began, began_at = time.monotonic(), lab.clock.now
    lab.say("slow")
    lab.sees("echo slow")
    assert time.monotonic() - began < 10 and (lab.clock.now - began_at).total_seconds() == pytest.approx(20, abs=1)


def test_a_thread_is_waited_for_in_real_time(lab):
    """Time does not jump over what happens outside."""
    lab.say("thread")
    lab.sees("echo thread")


def test_a_handler_that_fails_is_tried_again_and_given_up(lab, bot):
    """The waits between the tries are skipped; the apology is the core's."""
    lab.say("bad")
    lab.sees("Sorry")
    assert bot.calls == 3


def test_time_is_advanced_to_the_second(lab):
    """What is due comes, not earlier; the clocks of psv show the virtual time while the bot runs only."""
    lab.say("/wake 1h")
    lab.sees("I will")
    lab.clock.advance("59m 59s")
    lab.you.sees_nothing()
    lab.clock.advance(1)
    lab.sees("wake up")
    assert clock.wall is time.time and clock.mono is time.monotonic


def test_a_month_passes_in_a_moment(lab):
    """Nothing wakes up only to find that nothing is due."""
    lab.say("/wake 29d")
    lab.sees("I will")
    began = time.monotonic()
    lab.clock.advance("30d")
    lab.sees("wake up")
    assert time.monotonic() - began < 1


def test_the_time_of_day_is_the_tests(bot):
    """A test of what happens at New Year need not wait for it."""
    with Lab(bot, start=datetime(2030, 12, 31, 23, 30, tzinfo=UTC)) as lab:
        lab.say("/wake 1h")
        lab.clock.advance("1h")
        lab.sees("wake up")
        assert lab.clock.now == datetime(2031, 1, 1, 0, 30, tzinfo=UTC)


def test_state_outlasts_a_restart_and_a_kill(lab):
    """What was committed is there; what came due meanwhile comes; what was said meanwhile is answered."""
    lab.say("/count")
    lab.restart()
    lab.say("/count")
    lab.sees("2")
    lab.say("/wake 1h")
    lab.kill()
    lab.clock.advance("2h")
    lab.say("are you there?")
    assert lab.is_dead
    lab.restart()
    assert sorted(lab.you.shown[-2:]) == ["echo are you there?", "wake up"]


def test_an_async_test_runs_on_the_same_clock(bot):
    """Without the fixture, by run()."""
    with Lab(bot) as lab:

        async def main():
            ada = lab.person("ada")
            await asyncio.gather(ada.says("slow"), lab.say("hi"))
            await ada.sees("echo slow")
            await asyncio.sleep(100)
            await lab.restart()
            await ada.says("again")
            return (await ada.sees("again")).text

        assert lab.run(main()) == "echo again"


async def test_a_loop_that_runs_already_can_be_taken(bot):
    """As in a test of pytest-asyncio: it has its own time again behind the block."""
    loop = asyncio.get_running_loop()
    began, began_mono = time.monotonic(), loop.time()
    async with Lab(bot) as lab:
        await lab.say("slow")
        await lab.sees("echo slow")
        await lab.clock.advance("1h")
        await lab.restart()
        await lab.say("again")
        assert (await lab.sees("again")).text == "echo again"
    assert time.monotonic() - began < 10 and loop.time() - began_mono < 10
    assert clock.wall is time.time
    await asyncio.sleep(0.01)


def test_a_loop_out_of_reach_is_refused(bot):
    """uvloop waits where time cannot be skipped."""
    uvloop = pytest.importorskip("uvloop", reason="needs uvloop")

    async def main():
        async with Lab(bot):
            pass

    with pytest.raises(UsageError, match="cannot run on Loop"):
        uvloop.run(main())


async def test_a_plain_lab_in_a_running_loop_says_the_way_out(bot):
    """It cannot run one loop inside another."""
    with pytest.raises(UsageError, match="async with Lab"):
        Lab(bot).say("hi")


@pytest.fixture
def deaf():
    """Waits for what never comes."""
    bot = Bot()

    @bot.on_message
    async def wait(message):
        await asyncio.Event().wait()

    return bot


def test_a_message_that_takes_too_long_is_a_dead_letter(deaf):
    """After the deadline, which takes no time here; the settings are those of fleet.toml."""
    with Lab(deaf, chat={"deadline": "5s", "late": "too late"}) as lab:
        began_at = lab.clock.now
        lab.say("hi")
        lab.sees("too late")
        assert [(letter.text, letter.reason) for letter in lab.letters] == [("hi", "timeout")]
        assert 5 <= (lab.clock.now - began_at).total_seconds() < 10


def test_a_bot_that_waits_for_ever_is_found_out(deaf):
    """Where nothing comes of a message within an hour, the error names the place."""
    with pytest.raises(NeverQuiet, match=r"test_lab\.py"), Lab(deaf, chat={"deadline": "1d"}) as lab:
        lab.say("hi")


def test_settings_that_fleet_toml_would_not_take_are_refused(bot):
    """With the key."""
    with pytest.raises(UsageError, match="deadlin"):
        Lab(bot, chat={"deadlin": "5s"})


def test_a_start_hook_that_fails_fails_the_test():
    """As it would end the start in a fleet."""
    bot = Bot()

    @bot.on_start
    async def begin():
        raise ValueError("no such city")

    with pytest.raises(ValueError, match="no such city"), Lab(bot) as lab:
        lab.say("hi")


def test_hooks_and_options_are_the_bots():
    """Start, stop and exit hooks run; the options are those of the test."""
    bot, steps = Bot(), []

    @bot.on_start
    async def begin():
        steps.append(bot.options["colour"])

    @bot.on_stop
    async def end():
        steps.append("stop")

    @bot.on_exit
    async def leave():
        steps.append("exit")

    with Lab(bot, options={"colour": "blue"}) as lab:
        lab.start()
        lab.restart()
    assert steps == ["blue", "stop", "exit", "blue", "stop", "exit"]


def test_points_are_words():
    """They are what a test report shows."""
    assert Point.AFTER_ACCEPT == "after the inbox commit" and Point.BEFORE_SEND == "before send"
