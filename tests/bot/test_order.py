"""Order over restarts: what an earlier life left comes first, whatever else happens when a new one begins. In a Lab."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest

from processsupervisor import Bot, Schedule
from processsupervisor.chat.points import Point
from processsupervisor.testing import Lab


@pytest.fixture
def bot():
    made = Bot()
    made.heard = []

    @made.on_message
    async def echo(message, schedule: Schedule):
        if message.text == "plan":
            await schedule.once("10m", "tick")
        if message.text == "bad":
            raise ValueError
        made.heard.append(message.text)
        if message.text.startswith("slow"):
            await asyncio.sleep(60)
        return f"echo {message.text}"

    @made.scheduled("tick")
    async def tick(message):
        made.heard.append("tick")

    return made


def is_readable(lab: Lab, readable: bool) -> None:
    """Make the bot's file one of a later psv, which this one does not open, or its own again."""
    with contextlib.closing(sqlite3.connect(lab._stage.folder / "bot.db")) as file:
        (version,) = file.execute("PRAGMA user_version").fetchone()
        file.execute(f"PRAGMA user_version={version - 100 if readable else version + 100}")


def test_nothing_goes_off_before_what_an_earlier_life_left_could_be_read(bot):
    """A schedule that is due would claim its conversation, and the message that waits there would count as taken up."""
    with Lab(bot) as lab:
        lab.say("plan")
        lab.die_at(Point.BEFORE_HANDLER)
        lab.say("important")
        is_readable(lab, False)
        lab.clock.advance("1h")
        lab.restart()
        lab.clock.advance("9s")  # as far as the clock of what is due looks more often than who takes up what was left
        is_readable(lab, True)
        lab.clock.advance("1m")
        lab.say("later")
        assert bot.heard == ["plan", "important", "tick", "later"]


def test_no_letter_is_replayed_before_what_an_earlier_life_left_could_be_read(bot):
    """It says so; afterwards it is replayed."""
    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("bad")
        [letter] = lab.letters
        lab.die_at(Point.BEFORE_HANDLER)
        lab.say("important")
        is_readable(lab, False)
        lab.restart()
        is_readable(lab, True)
        replay = lab._stage.life.service.replay
        assert "cannot be read now" in lab.run(replay(letter.row_id))
        lab.clock.advance("1m")
        assert bot.heard == ["important"] and lab.run(replay(letter.row_id)) == ""


def test_a_stop_in_good_order_counts_for_none_of_the_messages_that_are_answered_as_one(bot):
    """Else a few of them and one kill would be taken for a message that kills the bot."""
    with Lab(bot, chat={"mode": "debounce"}) as lab:
        lab.start()

        async def main():
            said = [asyncio.ensure_future(lab.say(text)) for text in ("slow", "slower")]
            await asyncio.sleep(1)
            lab._stage.fall()
            await asyncio.gather(*said)
            for life in range(1, 4):
                starting = asyncio.ensure_future(lab._stage.restart())
                await asyncio.sleep(8)
                assert bot.heard == ["slow\nslower"] * life
                await lab._stage.stop()
                starting.cancel()

        lab.run(main())
        assert lab._stage.read(lambda file: file.execute("SELECT attempts, state FROM inbox").fetchall(), []) == [(0, 0), (0, 0)]
