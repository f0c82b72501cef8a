"""Files that a network brings one by one, as parts of an album, are one message to the bot, in every mode and over every death."""

from __future__ import annotations

import asyncio

import pytest

from processsupervisor import Bot, Message
from processsupervisor.chat.debounce import ALBUM_S
from processsupervisor.chat.points import Point
from processsupervisor.testing.lab import Lab


def album_bot() -> Bot:
    """Says how many files a message has, and its text."""
    bot = Bot()
    bot.heard = []

    @bot.command("zip")
    async def zip_(message: Message) -> str:
        return f"zipped {len(message.attachments)}"

    @bot.on_message
    async def answer(message: Message) -> str:
        bot.heard.append((message.text, [file.name for file in message.attachments]))
        return f"{len(message.attachments)} {message.text}".strip()

    return bot


def send(lab: Lab, *parts: tuple[float, str, str, str]) -> None:
    """Send (after seconds, name of a file, text, album) each; an empty name is a text alone."""
    ada = lab.person("ada")

    async def main() -> None:
        sent = []
        for wait_s, name, text, album in parts:
            await asyncio.sleep(wait_s)
            step = ada.sends(b"x", name, kind="photo", text=text, album=album) if name else ada.says(text)
            sent.append(asyncio.ensure_future(step))
        await asyncio.gather(*sent)

    lab.start()
    lab.run(main())


@pytest.mark.parametrize("mode", ["queue", "debounce", "interrupt"])
def test_an_album_is_one_message(mode: str) -> None:
    """One answer, with all files in their order and the caption; what comes behind it is another."""
    bot = album_bot()
    with Lab(bot, chat={"mode": mode}) as lab:
        send(lab, (0, "a.jpg", "look", "A"), (0.1, "b.jpg", "", "A"), (0.3, "c.jpg", "", "A"), (5, "d.jpg", "", "B"))
        assert bot.heard == [("look", ["a.jpg", "b.jpg", "c.jpg"]), ("", ["d.jpg"])]


def test_nothing_else_waits_and_an_album_not_for_ever() -> None:
    """A file alone and a text are answered at once; a text ends the wait for the album before it."""
    bot = album_bot()
    with Lab(bot) as lab:
        began = lab.clock.now
        send(lab, (0, "a.jpg", "", ""), (0, "", "hello", ""), (0, "b.jpg", "", "A"), (0, "", "done", ""))
        assert (lab.clock.now - began).total_seconds() < ALBUM_S
        assert bot.heard == [("", ["a.jpg"]), ("hello", []), ("", ["b.jpg"]), ("done", [])]
        bot.heard.clear()
        send(lab, *((0.9, f"{number}.jpg", "", "C") for number in range(10)))
        assert [len(files) for _, files in bot.heard] == [6, 4]


def test_a_command_under_an_album_gets_all_of_it() -> None:
    """Also where texts are collected, which leaves commands out."""
    for mode in ("queue", "debounce"):
        with Lab(album_bot(), chat={"mode": mode}) as lab:
            send(lab, (0, "a.jpg", "/zip", "A"), (0.1, "b.jpg", "", "A"))
            assert lab.person("ada").shown[-1] == "zipped 2"


def test_an_album_that_came_while_the_bot_was_at_work_is_one() -> None:
    """It waits behind what is being answered, and for its own rest."""
    bot = album_bot()

    @bot.command("slow")
    async def slow(message: Message) -> str:
        await asyncio.sleep(0.5)
        return "slow"

    with Lab(bot) as lab:
        send(lab, (0, "", "/slow", ""), (0.4, "a.jpg", "", "A"), (0.4, "b.jpg", "", "A"))
        assert bot.heard == [("", ["a.jpg", "b.jpg"])]


@pytest.mark.parametrize("point", [Point.AFTER_ACCEPT, Point.AFTER_HANDLER, Point.AFTER_COMPLETE])
def test_a_death_answers_an_album_once_and_whole(point: Point) -> None:
    """What was committed of it is put together again by the next life, with what comes then."""
    bot = album_bot()
    with Lab(bot) as lab:
        lab.start()
        lab.die_at(point)
        send(lab, (0, "a.jpg", "look", "A"), (0.1, "b.jpg", "", "A"))
        lab.restart()
        ada = lab.person("ada")
        assert [text for text in ada.shown if "look" in text] == ["2 look"]
