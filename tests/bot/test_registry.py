"""Which handler a message goes to, under which name, and what stands around it."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from processsupervisor import Bot, Button, Reply
from processsupervisor.bot.context import Context
from processsupervisor.bot.handlers import OLD_BUTTON
from processsupervisor.bot.reply import BadReply
from processsupervisor.bot.routers import Router
from processsupervisor.bot.work import Work
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Attachment, Envelope, InboxRow, Kind, Place
from processsupervisor.testing import Lab

HERE = Place("test", "a")
PHOTO = Envelope(attachments=(Attachment("photo", "cat.jpg", "image/jpeg", 3, "ref"),))


def row(text: str = "hi", kind: Kind = Kind.MESSAGE, envelope: Envelope = Envelope(), sender: str = "ada") -> InboxRow:
    return InboxRow(1, HERE, "m1", sender, text, 0.0, kind=kind, envelope=envelope)


@pytest.fixture
def call(tmp_path):
    async def call(bot: Bot, one: InboxRow):
        handler = bot.registry.find(one)
        return await handler.call(Context(one, Work(one.place), BotDatabase(tmp_path / "bot.db")))

    return call


def full_bot() -> Bot:
    bot = Bot()

    async def handler(message): ...
    async def press(message, choice: str, count: int = 1): ...

    bot.on_message(handler)
    bot.on_file(handler)
    bot.on_edit(handler)
    bot.on_join(handler)
    bot.command("add")(press)
    bot.button("vote")(press)
    bot.scheduled("tick")(handler)
    return bot


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (row("hi"), "message"),
        (row("/add milk"), "command:add"),
        (row("/ADD@anna milk"), "command:add"),
        (row("/unknown"), "message"),
        (row("", envelope=PHOTO), "file"),
        (row("/add milk", envelope=PHOTO), "command:add"),
        (row("vote:yes", Kind.BUTTON), "button:vote"),
        (row("vote", Kind.BUTTON), "button:vote"),
        (row("other:yes", Kind.BUTTON), None),
        (row("hi", Kind.EDIT), "edit"),
        (row("/add x", Kind.EDIT), "edit"),
        (row("", Kind.JOINED), "join"),
        (row("", Kind.LEFT), None),
        (row("voice", Kind.UNREADABLE), None),
        (row("null", Kind.SCHEDULE, sender="tick"), "scheduled:tick"),
    ],
)
def test_every_kind_of_message_has_its_handler(one, name):
    """And each handler a name that stays the same in every life of the bot."""
    registry = full_bot().registry
    found = registry.find(one)
    assert (found.name if found else None) == name
    if found is not None:
        assert registry.named(found.name) is found


def test_files_without_a_handler_of_their_own_go_to_on_message():
    """So that a bot which only reads texts still answers."""
    bot = Bot()

    @bot.on_message
    async def handler(message): ...

    assert bot.registry.find(row("look", envelope=PHOTO)).name == "message"


async def test_what_stands_behind_a_buttons_name_is_parsed_like_a_commands_words(call):
    """Data that does not fit gets a sentence of its own: nobody wrote it."""
    bot = Bot()

    @bot.button("vote")
    async def vote(message, number: int, word: str = "none"):
        return f"{number} {word}"

    assert await call(bot, row("vote:3 yes please", Kind.BUTTON)) == "3 yes please"
    assert await call(bot, row("vote:x", Kind.BUTTON)) == OLD_BUTTON
    assert await call(bot, row("vote", Kind.BUTTON)) == OLD_BUTTON


async def test_routers_add_their_handlers_and_middlewares_stand_around_in_order(call):
    """Those of the bot outside, those of the router inside, and only around its own."""
    bot, router = Bot(), Router()
    seen = []

    def around(name):
        async def middleware(message, call_next):
            seen.append(name)
            answer = await call_next(message)
            return f"{name}({answer})"

        return middleware

    bot.middleware(around("outer"))
    bot.include(router)
    bot.middleware(around("second"))
    router.middleware(around("inner"))

    @router.command("in")
    async def inside(message):
        return "in"

    @bot.on_message
    async def outside(message):
        return "out"

    bot.registry.resolve()
    assert await call(bot, row("/in")) == "outer(second(inner(in)))"
    assert await call(bot, row("x")) == "outer(second(out))"
    assert seen == ["outer", "second", "inner", "outer", "second"]


async def test_a_middleware_may_answer_itself_or_pass_another_message_on(call):
    """It is the author's: only what the core says by itself is beyond it."""
    from dataclasses import replace

    bot = Bot()

    @bot.middleware
    async def shout(message, call_next):
        if message.text == "no":
            return None
        return await call_next(replace(message, text=message.text.upper()))

    @bot.on_message
    async def handler(message):
        return message.text

    assert await call(bot, row("hi")) == "HI" and await call(bot, row("no")) is None


async def test_a_middleware_that_returns_no_answer_is_a_bad_reply(call):
    """As a handler that does."""
    bot = Bot()

    @bot.middleware
    async def wrong(message, call_next):
        return b"bytes"

    @bot.on_message
    async def handler(message): ...

    with pytest.raises(BadReply, match="bytes"):
        await call(bot, row())


def test_a_name_that_a_router_defines_again_is_refused_with_both_places():
    """And the router is not taken in by half."""
    bot, router = Bot(), Router()

    @bot.command("add")
    async def first(message): ...

    @router.command("add")
    async def second(message): ...

    @router.command("other")
    async def third(message): ...

    with pytest.raises(ConfigError) as caught:
        bot.include(router)
    assert f":{first.__code__.co_firstlineno}" in caught.value.message and f":{second.__code__.co_firstlineno}:" in caught.value.message
    assert bot.registry.command("other") is None


def test_a_router_cannot_include_itself():
    """Not over another one either."""
    one, two = Router(), Router()
    one.include(two)
    with pytest.raises(ConfigError, match="itself"):
        two.include(one)
    with pytest.raises(ConfigError, match="Router"):
        one.include(Bot)  # the class


async def test_a_scheduled_handler_gets_its_payload(call):
    """As it was given, from JSON; one that does not ask for it gets none."""
    bot = Bot()

    @bot.scheduled("tick")
    async def tick(message, payload: dict):
        return f"{payload['n'] + 1} in {message.conversation}"

    @bot.scheduled("bare")
    async def bare(message):
        return "bare"

    assert await call(bot, row('{"n": 1}', Kind.SCHEDULE, sender="tick")) == "2 in a"
    assert await call(bot, row("null", Kind.SCHEDULE, sender="bare")) == "bare"


class Texted(Protocol):
    """Whatever has a text."""

    text: str


@pytest.mark.parametrize("kind", [Any, object, Texted])
async def test_a_first_parameter_that_takes_anything_gets_the_message(call, kind):
    """A function written for whatever has a text is a handler too, a responder for example."""
    bot = Bot()

    async def answer(message):
        return f"echo {message.text}"

    answer.__annotations__["message"] = kind
    bot.on_message(answer)
    bot.command("add")(answer)
    assert await call(bot, row("hi")) == "echo hi"
    assert await call(bot, row("/add")) == "echo /add"


@pytest.mark.parametrize("data", ["vot:private", "private", "psv-words"])
def test_a_button_that_no_handler_is_for_says_so(data, caplog):
    """Whoever pressed it hears it, and the log tells which buttons there are; nobody's data is in it."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        return Reply("?", buttons=[[Button("Yes", data)]])

    @bot.button("vote")
    async def vote(message, what: str):
        return what

    with Lab(bot) as lab:
        lab.say("/go")
        lab.sees("?")
        lab.press("Yes")
        lab.sees(OLD_BUTTON)
    assert 'a button was pressed that no handler is for; there is: @bot.button("vote")' in caplog.text
    assert data not in caplog.text and lab.letters == []


@pytest.mark.parametrize(
    ("event", "word", "hint"),
    [
        ("command", "/add", "write it without the slash"),
        ("command", "Quiz Me", 'write "quiz-me"'),
        ("command", "7!", "begin with a letter of a to z"),
        ("button", "vote:yes", 'for the data "vote:yes" it is "vote"'),
        ("scheduled", "Every Day", 'write "every-day"'),
    ],
)
def test_a_name_that_cannot_be_comes_with_one_that_can(event, word, hint):
    """The hint is about what was written."""

    async def handler(message):
        """Do nothing."""

    with pytest.raises(ConfigError) as caught:
        getattr(Bot(), event)(word)(handler)
    assert hint in caught.value.hint
