"""What authors write passes mypy --strict without a word. Read by mypy, never run (tests/bot/test_typing.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import assert_type

from processsupervisor import (
    Answer,
    AskTimeout,
    Bot,
    BotStore,
    Button,
    CallNext,
    Config,
    Contact,
    Conversation,
    Duration,
    Edit,
    File,
    Http,
    HttpError,
    Log,
    Message,
    Refused,
    Reply,
    Router,
    Schedule,
    Store,
    once,
    step,
)
from processsupervisor.storage.known import DeadLetter
from processsupervisor.testing import Lab, MemoryNetwork, Point, Shown

bot = Bot()
router = Router()
bot.include(router)
drawer = bot.use_store("drawer", folder="somewhere")


@dataclass
class Todo:
    text: str
    done: bool = False
    tags: list[str] = field(default_factory=list)


@dataclass
class Settings:
    colour: str = "blue"


@bot.on_message
async def answer(message: Message, todos: Store[list[Todo]], config: Config[Settings]) -> str | None:
    assert_type(await todos.get("todos"), list[Todo] | None)
    assert_type(await todos.get("todos", []), list[Todo])
    assert_type(config.now.colour, str)
    await todos.set("todos", [Todo("x")])
    count: int = await message.store.get("count", 0) + 1
    await message.store.set("count", count)
    return message.text or None


@bot.command("add")
async def add(message: Message, after: Duration, text: str = "nothing") -> Reply:
    await bot.remind(message, timedelta(minutes=1), text)
    return Reply(text, markup="html", buttons=[[Button("Yes", "vote:yes")]], files=[File(b"", name="a"), *message.attachments])


@bot.command("pieces")
async def pieces(message: Message) -> AsyncIterator[str]:
    yield "a"


@bot.command("mixed")
async def mixed(message: Message) -> AsyncIterator[str | Reply]:
    yield "a"
    yield Reply("b")


@bot.command("many")
async def many(message: Message) -> list[str | Reply]:
    return ["a", Reply("b")]


@router.button("vote")
async def vote(contact: Contact, votes: BotStore[dict[str, str]], choice: str) -> Edit:
    found = await votes.get("votes", {})
    found[contact.id] = choice
    more: dict[str, str] = await votes.update("votes", lambda said: {**said, contact.id: choice}, {})
    async for one in bot.recipients():
        await bot.send(one.network, one.conversation, one.title)
    return Edit(str(len(found) + len(more)))


@router.on_file
async def files(message: Message, conversation: Conversation, log: Log) -> None:
    for one in message.attachments:
        log.info("got", size=len(await one.read("1MB")))
    await conversation.send("thanks")


@router.on_edit
@router.on_join
async def other(message: Message) -> Answer:
    return None


@router.middleware
async def around(message: Message, call_next: CallNext) -> Answer:
    try:
        return await call_next(replace(message, text=message.text.strip()))
    except Refused as err:
        return err.message


@bot.command("ask")
async def asks(message: Message, conversation: Conversation, schedule: Schedule, http: Http) -> str:
    try:
        said = await conversation.ask("When?", timeout="10m", choices=["now", "later"])
    except AskTimeout:
        return "Too late."
    await schedule.once("1h", "tick", {"text": said.text if hasattr(said, "text") else str(said)})
    try:
        found = await once("weather", http.get("https://example.org"))
    except HttpError as err:
        return str(err.status)
    async with step():
        await drawer.set("found", str(found))
    return str(await drawer.get("found"))


@bot.scheduled("tick")
async def tick(message: Message, payload: dict[str, str]) -> str:
    return payload["text"]


@bot.lifespan
async def life() -> AsyncIterator[None]:
    yield


@bot.on_start
@bot.on_stop
async def hook() -> None: ...


@bot.on_config_change
async def changed(old: dict[str, object], new: dict[str, object]) -> None: ...


bot.options = {"colour": "red"}
bot.run()


def test_plain() -> None:
    with Lab(bot, options={"colour": "blue"}, network=MemoryNetwork()) as lab:
        lab.say("hi")
        assert_type(lab.sees("hi").value, Shown)
        assert_type(lab.group("team").person("ada").shown, list[str])
        assert_type(lab.letters, list[DeadLetter])
        lab.clock.advance(timedelta(hours=1))


async def test_async(lab: Lab) -> None:
    assert_type(await lab.you.sees("hi"), Shown)
    await lab.clock.advance("1h")
    lab.die_at(Point.AFTER_ACCEPT, passes=1)
