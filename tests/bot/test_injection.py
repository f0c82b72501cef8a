"""What handlers are given by their annotations, in a bot that runs; and what is refused when it starts, with its place."""

from __future__ import annotations

import enum
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from processsupervisor import Bot, BotStore, Config, Contact, Conversation, Duration, Http, Log, Message, Reply, Router, Store
from processsupervisor.bot.shapes import Misfit, Shape
from processsupervisor.kernel.errors import ConfigError, UsageError
from processsupervisor.testing import Lab


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Todo:
    text: str
    done: bool = False
    due: date | None = None
    colour: Colour = Colour.RED
    parts: list[Todo] = field(default_factory=list)


class Vote(BaseModel):
    choice: Literal["yes", "no"]
    at: datetime | None = None


@dataclass
class Settings:
    colour: str = "blue"
    most: int = 3


def test_each_type_stands_wherever_it_is_asked_for():
    """In any order, by keyword, with or without the message, beside a command's words."""
    bot = Bot()

    @bot.command("who")
    async def who(contact: Contact, word: str, *, conversation: Conversation, log: Log):
        log.info("asked", word=word)
        return f"{contact.id} {contact.network} in {conversation.id} {conversation.is_private} {word}"

    @bot.command("plain")
    async def plain(message: Message, count: int, config: Config, store: Store, rest: str = "none"):
        assert isinstance(store, Store)
        return f"{message.text} {count} {config['colour']} {rest}"

    @bot.on_message
    async def handler(http: Http, kept: BotStore[int], message: Message):
        assert http is bot.http
        total = await kept.get("total", 0) + 1
        await kept.set("total", total)
        return f"{message.text} {total}"

    with Lab(bot, options={"colour": "red"}) as lab:
        lab.say("/who is it")
        lab.sees("you memory in you True is it")
        lab.say("/plain 3 two words")
        lab.sees("/plain 3 two words 3 red two words")
        lab.say("hi")
        lab.sees("hi 1")
        lab.person("ada").says("hi")
        lab.person("ada").sees("hi 2")
        lab.say("/help")
        lab.sees("/who WORD")


def test_a_typed_store_keeps_dataclasses_models_and_lists_of_them():
    """Over a restart; each conversation its own; what is read is of the type."""
    bot = Bot()

    @bot.command("add")
    async def add(message: Message, todos: Store[list[Todo]], text: str):
        items = await todos.get("todos", [])
        items.append(Todo(text, due=date(2030, 1, 2), parts=[Todo("part")]))
        await todos.set("todos", items)
        return f"{len(items)}"

    @bot.command("list")
    async def show(message: Message, todos: Store[list[Todo]]):
        items = await todos.get("todos") or []
        assert all(isinstance(item, Todo) and isinstance(item.parts[0], Todo) and item.colour is Colour.RED for item in items)
        return ", ".join(f"{item.text} {item.due:%d.%m.}" for item in items) or "nothing"

    @bot.command("vote")
    async def vote(votes: BotStore[dict[str, Vote]], contact: Contact, choice: str):
        found = await votes.get("votes", {})
        found[contact.id] = Vote(choice=choice, at=datetime(2030, 1, 1, tzinfo=UTC))
        await votes.set("votes", found)
        return " ".join(f"{name}:{one.choice}@{one.at.year}" for name, one in sorted(found.items()))

    with Lab(bot) as lab:
        lab.say("/add milk")
        lab.say("/add bread")
        lab.sees("2")
        lab.restart()
        lab.say("/list")
        lab.sees("milk 02.01., bread 02.01.")
        lab.person("ada").says("/list")
        lab.person("ada").sees("nothing")
        lab.person("ada").says("/vote yes")
        lab.say("/vote no")
        lab.sees("ada:yes@2030 you:no@2030")


def test_a_value_of_another_type_is_neither_kept_nor_read():
    """The error says where in the value, and does not say the value."""
    bot = Bot()
    seen: list[str] = []

    @bot.on_message
    async def handler(message: Message, todos: Store[list[Todo]], votes: Store[Vote]):
        for attempt in (
            todos.set("todos", [Todo("fine"), Todo(7)]),  # type: ignore[arg-type]
            todos.set("todos", ["word"]),  # type: ignore[list-item]
            message.store.set("todos", [{"text": "x", "colour": "private"}]),
            todos.get("todos"),
            message.store.set("vote", {"choice": "private"}),
            votes.get("vote"),
            todos.append("todos", Todo("x")),
        ):
            try:
                await attempt
            except Misfit as err:
                seen.append(str(err))

    with Lab(bot) as lab:
        lab.say("hi")
    assert len(seen) == 5 and not any("private" in text or "word" in text for text in seen), seen
    assert "$[1].text" in seen[0] and "$[0].colour" in seen[2] and "choice: literal_error" in seen[3], seen


@dataclass
class Rhythm:
    every_s: float
    pause: Duration
    rest: timedelta
    notes: list[object] = field(default_factory=list)


def test_a_duration_is_kept_as_its_seconds():
    """Where a float is asked for, and where a Duration is: that comes back as one. A timedelta is kept too."""
    shape = Shape(Rhythm)
    kept = json.loads(json.dumps(shape.dump(Rhythm(Duration(90), Duration(5), timedelta(minutes=1)))))
    assert kept == {"every_s": 90.0, "pause": 5.0, "rest": "PT60S", "notes": []}
    back = shape.load(kept)
    assert back == Rhythm(90.0, 5.0, timedelta(minutes=1)) and isinstance(back.pause, Duration)


def test_what_cannot_be_kept_is_told_with_its_place():
    """As what does not fit is; nothing of the value is in it."""
    with pytest.raises(Misfit, match=r"it is no list\[.*Rhythm\]: object cannot be kept as JSON - at `\$\[1\].notes\[1\]\[...\]`"):
        Shape(list[Rhythm]).dump([Rhythm(1, Duration(1), timedelta()), Rhythm(1, Duration(1), timedelta(), [1, {"ada": object()}])])
    with pytest.raises(Misfit, match=r"Expected `float`, got `str` - at `\$.every_s`"):
        Shape(Rhythm).dump(Rhythm("ada", Duration(1), timedelta()))


def test_a_value_of_another_type_is_told_with_the_way_out():
    """Which works: deleting does not read."""
    bot = Bot()

    @bot.on_message
    async def answer(message: Message, todos: Store[list[Todo]]) -> str:
        await message.store.set("todos", ["a text"])
        with pytest.raises(Misfit, match=r'use another key, or delete the old value: await store.delete\("todos"\)$'):
            await todos.get("todos", [])
        await todos.delete("todos")
        return f"left: {await todos.get('todos', [])}"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("left: []")


def test_append_of_a_typed_store_adds_to_its_list():
    """And checks what is added."""
    bot = Bot()

    @bot.on_message
    async def handler(todos: Store[list[Todo]], message: Message):
        return f"{await todos.append('todos', Todo(message.text))} {(await todos.get('todos'))[-1].text}"

    with Lab(bot) as lab:
        lab.say("a")
        lab.say("b")
        lab.sees("2 b")


def test_options_are_read_through_a_type_and_always_those_that_hold_now():
    """One view for the life of the bot; a change of the options is seen by it."""
    bot = Bot()

    @bot.on_message
    async def handler(config: Config[Settings]):
        assert dict(config) == dict(bot.config)
        return f"{config.now.colour} {config.now.most}"

    with Lab(bot, options={"colour": "red"}) as lab:
        lab.say("hi")
        lab.sees("red 3")
        bot.options = {"most": 5}
        lab.say("hi")
        lab.sees("blue 5")


def test_options_that_do_not_fit_end_the_start():
    """Before any hook of the author runs."""
    bot = Bot()
    started = []

    @bot.on_start
    async def begin():
        started.append(1)

    router = Router()
    bot.include(router)

    @router.middleware
    async def around(message, call_next, config: Config[Settings]):
        return await call_next(message)

    @router.on_message
    async def handler(message): ...

    with pytest.raises(ConfigError, match=r"options do not fit: it is no Settings: Expected `int`, got `str` - at `\$.most`"), Lab(
        bot, options={"most": "many"}
    ) as lab:
        lab.say("hi")
    assert not started
    bot.check_options({"most": 4})


class Plain:
    """Nothing that JSON can hold."""


async def of_what_is_not_json(message, store: Store[Plain]): ...
async def of_a_list_of_it(message, store: Store[list[Plain]]): ...
async def with_brackets(message, contact: Contact[int]): ...
async def of_nothing_known(message, when: Plain): ...
async def of_two_without_default(message, more): ...
async def by_position_only(message, /, store: Store): ...
async def with_an_optional(message, store: Annotated[dict, 1]): ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (of_what_is_not_json, "Plain cannot be kept as JSON"),
        (of_a_list_of_it, "Plain cannot be kept as JSON"),
        (with_brackets, "cannot be read"),
        (of_nothing_known, 'nothing is given to parameter "when"; annotate it with one of BotStore, Config, Contact'),
        (of_two_without_default, 'nothing is given to parameter "more"'),
        (by_position_only, "without /"),
        (with_an_optional, 'nothing is given to parameter "store"'),
    ],
)
def test_what_cannot_be_given_is_refused_where_it_is_defined(function, said):
    """With file and line, and what there is instead."""
    with pytest.raises(ConfigError) as caught:
        Bot().on_message(function)
    assert f"{__file__}:{function.__code__.co_firstlineno}: @bot.on_message cannot use {function.__name__}: " in caught.value.message
    assert said in caught.value.message


def test_an_annotation_may_name_what_the_file_defines_further_down():
    """It is read when the bot starts; what is still unknown then is refused with its place."""
    bot, other = Bot(), Bot()
    names: dict[str, Any] = {"bot": bot, "other": other}
    source = """
from __future__ import annotations
from processsupervisor import Store

@bot.on_message
async def handler(message, store: Store[Later]):
    return type(await store.get("x", Later())).__name__

@other.on_message
async def wrong(message, store: Store[Never]): ...

class Later:
    pass
Later = int
"""
    exec(compile(source, "later.py", "exec"), names)
    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("int")
    with pytest.raises(ConfigError, match=r"later.py:9: @bot.on_message cannot use wrong: .*Never"), Lab(other) as lab:
        lab.say("hi")


def test_methods_of_an_object_are_handlers_too():
    """The object is not a parameter."""
    bot = Bot()

    class Part:
        async def on_message(self, message, contact: Contact):
            return f"{contact.id} says {message.text}"

        async def add(self, message, count: int):
            return f"{count + 1}"

    part = Part()
    bot.on_message(part.on_message)
    bot.command("add")(part.add)
    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("you says hi")
        lab.say("/add 2")
        lab.sees("3")


def test_log_lines_have_fields_and_the_messages_number(caplog):
    """Of an exception the type and the stack, never its words."""
    bot = Bot()

    @bot.on_message
    async def handler(message: Message, log: Log):
        log.debug("not shown")
        log.info("sent", count=3, to="two words")
        try:
            raise ValueError(message.text)
        except ValueError as err:
            log.error("failed", error=err)

    with caplog.at_level(logging.INFO, "bot"), Lab(bot) as lab:
        lab.say("private words")
    lines = [record.getMessage() for record in caplog.records if record.name == "bot"]
    assert lines[0] == 'sent count=3 to="two words" message=1'
    assert lines[1].startswith("failed message=1\nTraceback") and lines[1].endswith("\nValueError") and "private" not in lines[1]


def test_a_conversation_is_sent_to_behind_the_reply_and_has_a_history():
    """In one commit with it; a handler that fails sends nothing."""
    bot = Bot()

    @bot.on_message
    async def handler(message: Message, conversation: Conversation):
        await conversation.send("further")
        await conversation.send(Reply("*more*", markup="markdown"))
        if message.text == "bad":
            raise ValueError
        return f"reply {len(await conversation.history())}"

    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("hi")
        assert lab.you.shown[1:] == ["reply 2", "further", "*more*"]
        lab.say("bad")
        assert len(lab.you.shown) == 5 and "further" not in lab.you.shown[4]


def test_a_conversation_is_of_its_handler_only():
    """Once the changes were handed over nothing would be committed; too much is refused."""
    bot = Bot()
    kept: list[Conversation] = []

    @bot.on_message
    async def handler(message: Message, conversation: Conversation):
        kept.append(conversation)
        for number in range(100):
            await conversation.send(str(number))
        with pytest.raises(UsageError, match="at most 100"):
            await conversation.send("more")

    with Lab(bot) as lab:
        lab.say("hi")
        with pytest.raises(Exception, match="has ended"):
            kept[0].send("late").send(None)
