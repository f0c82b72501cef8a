"""Schedules in a Lab: once, every, cron, of a conversation and of the bot, over restarts and deaths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processsupervisor import Bot, Message, Refused, Schedule
from processsupervisor.chat.points import Point
from processsupervisor.kernel.errors import UsageError
from processsupervisor.testing import Lab

START = datetime(2026, 3, 27, 8, 0, tzinfo=UTC)  # a Friday; in Berlin the clocks are changed on Sunday


@pytest.fixture
def bot() -> Bot:
    made = Bot()

    @made.command("once")
    async def once(message: Message, schedule: Schedule, after: str, text: str) -> str:
        planned = await schedule.once(after, "say", {"text": text})
        return f"{planned.at:%H:%M}"

    @made.command("every")
    async def every(message: Message, schedule: Schedule, interval: str, text: str) -> str:
        await schedule.every(interval, "say", {"text": text})
        return "yes"

    @made.command("cron")
    async def cron(message: Message, schedule: Schedule, fields: str) -> str:
        planned = await schedule.cron(fields, "say", {"text": "by the clock"}, zone="Europe/Berlin", name="clock")
        return f"{planned.at:%d %H:%M}"

    @made.command("cancel")
    async def cancel(message: Message, schedule: Schedule, name: str) -> str:
        return str(await schedule.cancel(name))

    @made.command("list")
    async def show(message: Message, schedule: Schedule) -> str:
        return str([f"{one.at:%d %H:%M} {one.name} {one.payload['text']}" for one in await schedule.list()])

    @made.command("both")
    async def both(message: Message, schedule: Schedule) -> str:
        await schedule.every("1h", "say", {"text": "never"})
        await schedule.cancel("say")
        return str(len(await schedule.list()))

    @made.command("fail")
    async def fail(message: Message, schedule: Schedule) -> str:
        await schedule.once("1m", "say", {"text": "never"})
        raise RuntimeError

    @made.scheduled("say")
    async def say(message: Message, payload: dict[str, Any]) -> str:
        return f"scheduled: {payload['text']}"

    return made


@pytest.fixture
def lab(bot):
    with Lab(bot, start=START) as made:
        yield made


def test_once_comes_once_in_its_conversation(lab):
    """At its time, where it was set, also when the bot was restarted meanwhile."""
    lab.say("/once 90m tea")
    lab.sees("09:30")
    lab.restart()
    lab.clock.advance("89m")
    lab.you.sees_nothing()
    lab.clock.advance("1m")
    lab.sees("scheduled: tea")
    lab.clock.advance("1d")
    lab.you.sees_nothing()


def test_two_of_a_kind_do_not_replace_each_other(lab):
    """What comes once has a name of its own unless it is given one."""
    lab.say("/once 1m tea")
    lab.say("/once 2m coffee")
    lab.clock.advance("3m")
    assert lab.you.shown[-2:] == ["scheduled: tea", "scheduled: coffee"]


def test_what_was_missed_is_done_once(lab):
    """A bot that was away for five hours says the hour once, and goes on at the same minute."""
    lab.say("/every 1h the hour")
    lab.clock.advance("1h")
    lab.sees("scheduled: the hour")
    lab.kill()
    lab.clock.advance("5h")
    lab.restart()
    lab.clock.advance("1s")
    lab.sees("scheduled: the hour")
    lab.you.sees_nothing()
    lab.clock.advance("1h")
    lab.sees("scheduled: the hour")
    lab.you.sees_nothing()


def test_cron_goes_by_the_clock_of_its_zone(lab):
    """09:00 in Berlin stays 09:00 when the clocks are changed."""
    lab.say("/cron 0 9 * * *")
    lab.sees("28 08:00")
    lab.clock.advance("1d")
    lab.sees("by the clock")
    lab.say("/list")
    lab.sees("['29 07:00 clock by the clock']")


def test_a_schedule_can_be_cancelled_and_listed(lab):
    """Also in the handler that has just set it; an unknown name is said to be."""
    lab.say("/every 1h x")
    lab.say("/list")
    lab.sees("['27 09:00 say x']")
    lab.say("/cancel say")
    lab.sees("True")
    lab.say("/cancel say")
    lab.sees("False")
    lab.say("/both")
    lab.sees("0")
    lab.clock.advance("2h")
    lab.you.sees_nothing()


def test_behind_stop_only_what_was_asked_for_once_comes(lab):
    """What comes again and again rests until /start."""
    lab.say("/every 1h news")
    lab.say("/once 30m tea")
    lab.say("/stop")
    lab.sees("first")
    lab.clock.advance("2h")
    lab.sees("scheduled: tea")
    lab.you.sees_nothing()
    lab.say("/start")
    lab.sees("agreed")
    lab.clock.advance("1h")
    lab.sees("scheduled: news")


def test_a_handler_that_fails_sets_nothing(lab):
    """The schedule is committed with the reply or not at all."""
    lab.say("/fail")
    lab.clock.advance("1h")
    assert not [look for look in lab.sent if "scheduled" in look.text]


@pytest.mark.parametrize("point", [Point.BEFORE_HANDLER, Point.AFTER_HANDLER, Point.AFTER_COMPLETE])
def test_a_death_while_it_is_due_repeats_and_loses_nothing(lab, point):
    """The bot dies at each point of the scheduled message; the next life says it once."""
    lab.say("/every 1h tick")
    lab.die_at(point)
    lab.clock.advance("1h")
    assert lab.is_dead
    lab.restart()
    lab.clock.advance("1m")
    assert lab.you.shown.count("scheduled: tick") == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s.once("1m", "unknown"), "no handler is called"),
        (lambda s: s.once(datetime(2026, 1, 1), "say"), "time zone"),
        (lambda s: s.once("soon", "say"), "duration"),
        (lambda s: s.every("0.5s", "say"), "at least 1 s"),
        (lambda s: s.cron("0 25 * * *", "say"), "hour"),
        (lambda s: s.cron("0 9 * * *", "say", zone="Europe/Berln"), "Europe/Berlin"),
        (lambda s: s.once("1m", "say", "x" * 70_000), "payload"),
        (lambda s: s.once("1m", "say", name=":dialog"), "name"),
    ],
)
def test_what_cannot_be_is_told(bot, call, said):
    """A wrong schedule raises UsageError where it is set, and says the way out."""
    found: list[str] = []

    @bot.on_message
    async def wrong(message: Message, schedule: Schedule) -> None:
        with pytest.raises(UsageError) as raised:
            await call(schedule)
        found.append(str(raised.value))

    with Lab(bot) as lab:
        lab.say("go")
    assert said in found[0]


def test_schedules_of_the_bot_are_set_at_each_start_and_keep_their_time(caplog):
    """The same again changes nothing; a changed one takes its place; what it answers is dropped with a line in the log."""
    ticks: list[str] = []

    def made(interval: str) -> Bot:
        bot = Bot()

        @bot.scheduled("tick")
        async def tick(message: Message, payload: Any) -> str:
            ticks.append(payload)
            return "to nobody"

        @bot.on_start
        async def begin() -> None:
            await bot.schedule.every(interval, "tick", interval)

        return bot

    with Lab(made("1h")) as lab:
        lab.start()
        lab.clock.advance("40m")
        lab.restart()
        lab.clock.advance("20m")
        assert ticks == ["1h"]
        assert lab.sent == []
    assert "tick answered, but" in caplog.text


def test_a_handler_that_is_gone_is_said_once_a_start(caplog):
    """A schedule that comes again, whose handler another version of the code does not have, does nothing, and goes on."""
    bot = Bot()

    @bot.scheduled("tick")
    async def tick(message: Message) -> None: ...

    @bot.on_start
    async def begin() -> None:
        if bot.registry.scheduled():
            await bot.schedule.every("1h", "tick")

    with Lab(bot) as lab:
        lab.start()
        lab.kill()
        bot.registry._own.pop("scheduled:tick")
        bot.registry._all = None
        lab.restart()
        for starts in (1, 2):
            lab.clock.advance("3h")
            assert lab.letters == [] and caplog.text.count('due for @bot.scheduled("tick"), which is not there') == starts
            lab.restart()


def test_what_was_to_come_once_is_a_letter_where_its_handler_is_gone():
    """Nothing else would have its payload; replayed when the handler is back, it runs."""
    bot = Bot()
    heard: list[str] = []

    @bot.command("later")
    async def later(message: Message, schedule: Schedule) -> None:
        await schedule.once("1h", "tick", "payload")

    @bot.scheduled("tick")
    async def tick(message: Message, payload: str) -> None:
        heard.append(payload)

    with Lab(bot) as lab:
        lab.say("/later")
        gone = bot.registry._own.pop("scheduled:tick")
        bot.registry._all = None
        lab.clock.advance("2h")
        (letter,) = lab.letters
        assert (letter.reason, letter.attempts) == ("usage", 1) and "@bot.scheduled(tick), which is not there" in letter.detail
        bot.registry._own["scheduled:tick"] = gone
        bot.registry._all = None
        assert lab.run(lab._stage.life.service.replay(letter.row_id)) == ""
        lab.settle()
        assert heard == ["payload"] and lab.letters == []


def test_outside_of_a_bot_that_runs_there_is_none():
    """bot.schedule says so."""
    with pytest.raises(Refused):
        _ = Bot().schedule


def test_when_takes_durations_and_times(bot):
    """Seconds, a timedelta, "10m" and an aware time mean the same."""
    times: list[datetime] = []

    @bot.on_message
    async def set_all(message: Message, schedule: Schedule) -> None:
        for when in (600, timedelta(minutes=10), "10m", START + timedelta(minutes=10)):
            times.append((await schedule.once(when, "say", {"text": "x"})).at)

    with Lab(bot, start=START) as lab:
        lab.say("go")
    assert [round((at - START).total_seconds()) for at in times] == [600] * 4
