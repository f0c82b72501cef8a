"""What is told of a handler's failure: our own words with the author's place, never a contact's words."""

from __future__ import annotations

import json

import pytest

from processsupervisor import Bot, Button, Edit, File, Message, Reply, Schedule, Store, ask
from processsupervisor.bot.failure import place_of_error, stack_of_error
from processsupervisor.chat.settings import FAILED
from processsupervisor.kernel.errors import UsageError
from processsupervisor.testing import Lab


@pytest.fixture
def lab():
    bot = Bot()

    @bot.command("dict")
    async def answer_dict(message: Message, words: str):
        return {"answer": message.text}

    @bot.command("list")
    async def answer_list(message: Message, words: str):
        return ["one", 2]

    @bot.command("edit")
    async def answer_edit(message: Message, words: str):
        return Edit("changed")

    @bot.command("piece")
    async def answer_piece(message: Message, words: str):
        yield 5

    @bot.command("store")
    async def read(message: Message, numbers: Store[list[int]], words: str):
        await message.store.set("numbers", [message.text])
        await numbers.get("numbers")

    @bot.command("label")
    async def label(message: Message, words: str):
        return Reply("?", buttons=[[Button(message.text)]])

    @bot.command("timeout")
    async def timeout(message: Message, words: str):
        await ask("?", timeout=message.text)

    @bot.command("zone")
    async def zone(message: Message, plans: Schedule, words: str):
        await plans.cron("0 9 * * 1", "later", words, zone="Europe/Berln")

    @bot.command("cron")
    async def cron(message: Message, plans: Schedule, words: str):
        await plans.cron(message.text, "later")

    @bot.command("field")
    async def field(message: Message, plans: Schedule, words: str):
        await plans.cron(f"{words.partition(' ')[0]} 9 * * 1", "later")

    @bot.command("handler")
    async def handler(message: Message, plans: Schedule, words: str):
        await plans.once("10m", words)

    @bot.command("payload")
    async def payload(message: Message, plans: Schedule, words: str):
        await plans.once("10m", "later", object())

    @bot.command("json")
    async def not_json(message: Message, words: str):
        await message.store.set(words, {"found": {words}})

    @bot.command("loop")
    async def holds_itself(message: Message, words: str):
        value = []
        value.append(value)
        await message.store.set("value", value)

    @bot.command("library")
    async def library(message: Message, words: str):
        json.dumps({"deep": [{"deeper": {words}}]}, indent=1)

    @bot.scheduled("later")
    async def later(payload: str):
        """Is there."""

    @bot.command("own")
    async def own(message: Message, words: str):
        raise UsageError(f"found {message.text}")

    with Lab(bot, chat={"retries": 0}) as made:
        yield made


@pytest.mark.parametrize(("word", "told", "function"), [
    ("dict", "BadReply: the handler returned dict, expected None, str, Reply, Edit, a list of these or", "answer_dict"),
    ("list", "BadReply: the handler returned list with int, expected None", "answer_list"),
    ("edit", "BadReply: an Edit changes the message whose button was pressed", "answer_edit"),
    ("piece", "yielded int, expected str, Reply or Edit", "answer_piece"),
    ("store", 'Misfit: the value under "numbers" cannot be read: it is no list[int]: Expected `int`, got `str` - at `$[0]`', "read"),
    ("label", 'UsageError: the button "…" needs data or a url, and not both; write Button("Yes", "vote:yes") at', "label"),
    ("own", "UsageError at", "own"),
    ("timeout", 'UsageError: found "…", expected a duration such as "30s", "10m" or "1h30m" at', "timeout"),
    ("zone", """expected a time zone of the IANA database, as in "Europe/Berlin" or "UTC", found "…" in "…"; did you mean "Europe/Berlin"?""", "zone"),
    ("cron", 'expected a cron expression of five fields, found "…"; minute, hour, day of the month, month', "cron"),
    ("field", 'whose minute is of 0 to 59, not "…", found "…"; minute, hour,', "field"),
    ("handler", 'no handler is called "…", there is: later; write @bot.scheduled(NAME) above one at', "handler"),
    ("payload", "UsageError: the payload of a schedule is not JSON: it holds a object; JSON has texts, numbers, true, false", "payload"),
    ("json", 'UsageError: the value for "…" is not JSON: it holds a set; JSON has texts, numbers,', "not_json"),
    ("loop", 'UsageError: the value for "…" is not JSON: a key in it is no text, or it holds itself', "holds_itself"),
])  # fmt: skip
def test_the_letter_tells_our_words_and_the_authors_place(lab, word, told, function, capfd):
    """What an author raised stays untold; in the Lab nobody else reads, so the whole exception is shown."""
    lab.say(f"/{word} private words")
    detail = lab.letters[0].detail
    assert told in detail, detail
    assert __file__ in detail and detail.endswith(f"in {function}"), detail
    assert "private" not in detail
    shown = capfd.readouterr().err
    is_shown = word in ("label", "own", "timeout", "cron", "handler", "json")
    assert "Traceback" in shown and (word == "field" or ("private words" in shown) == is_shown), shown


def test_what_fails_deep_in_a_library_is_told_with_the_line_of_the_author(lab):
    """Three places of the standard library's own would say nothing."""
    lab.say("/library private words")
    detail = lab.letters[0].detail
    assert f"{__file__}:" in detail and "in library > " in detail, detail


@pytest.fixture
def wrong():
    """Each command misuses the API in another way; the tries are counted."""
    bot = Bot()
    bot.tries = 0

    def command(word):
        def keep(function):
            async def counted(message: Message):
                bot.tries += 1
                return await function(message)

            bot.command(word)(counted)

        return keep

    @command("data")
    async def data(message):
        return Reply("?", buttons=[[Button("Yes", "vote:" + "x" * 60)]])

    @command("markup")
    async def markup(message):
        return Reply("?", markup="bold")

    @command("rows")
    async def rows(message):
        return Reply("?", buttons=[Button("Yes", "yes")])

    @command("file")
    async def file(message):
        return Reply(files=[File("report's.pdf")])

    @command("when")
    async def when(message):
        await bot.schedule.once("soon", "tick")

    @command("bytes")
    async def answer_bytes(message):
        return b"x"

    @command("store")
    async def key(message):
        await message.store.set("", 1)

    @command("theirs")
    async def theirs(message):
        raise UsageError("nobody knows")

    with Lab(bot, chat={"retries": 2}) as made:
        yield made


@pytest.mark.parametrize(("word", "reason", "told"), [
    ("data", "usage", "has more than 64 bytes; keep the rest in a store"),
    ("markup", "usage", "a markup is plain, markdown, html, not \"…\"; write Reply("),
    ("rows", "usage", "buttons are rows of buttons; write buttons=[["),
    ("file", "usage", "/report's.pdf is no file; it must be there when the handler has returned"),
    ("when", "usage", 'UsageError: found "…", expected a duration such as'),
    ("store", "usage", "a key is a text of 1 to"),
    ("bytes", "bad-reply", "the handler returned bytes"),
])  # fmt: skip
def test_what_another_try_cannot_mend_is_not_tried_again(wrong, word, reason, told):
    """The letter says what is wrong, the way out, and the author's file and line."""
    wrong.say(f"/{word}")
    (letter,) = wrong.letters
    assert (letter.reason, letter.attempts, wrong.bot.tries) == (reason, 1, 1)
    assert told in letter.detail and f" at {__file__}:" in letter.detail, letter.detail
    assert wrong.you.shown[-1] == FAILED


def test_an_error_of_the_authors_own_making_is_tried_again(wrong):
    """Whatever its type: who knows when it goes away."""
    wrong.say("/theirs")
    assert wrong.letters[0].reason == "error" and wrong.bot.tries == 3


def test_the_traceback_in_the_log_ends_with_the_text():
    """Type and text in one line, as Python writes them; that of an author's exception is left out."""
    with pytest.raises(UsageError) as ours:
        Button("yes")
    with pytest.raises(UsageError) as theirs:
        raise UsageError("private words")
    assert 'UsageError: the button "…" needs data' in stack_of_error(ours.value).splitlines()[-1]
    assert stack_of_error(theirs.value).endswith("errors.UsageError") and "private" not in place_of_error(theirs.value)
