"""What authors must not write; mypy says so in each line that is marked, and in no other (tests/bot/test_typing.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from processsupervisor import Answer, Bot, Button, CallNext, Config, Edit, File, Message, Reply, Router, Store

bot = Bot()


@bot.on_message  # error
def plain(message: Message) -> str:
    return "x"


@bot.command("bytes")  # error
async def returns_bytes(message: Message) -> bytes:
    return b"x"


@bot.command("number")  # error
async def yields_numbers(message: Message) -> AsyncIterator[int]:
    yield 1


@bot.command  # error
async def nameless(message: Message) -> None: ...


@bot.on_start  # error
async def wants(message: Message) -> None: ...


@bot.middleware  # error
async def wrong(message: Message, call_next: CallNext) -> int:
    return 1


@bot.lifespan  # error
async def no_yield() -> None: ...


@bot.on_message
async def uses(message: Message, numbers: Store[int], config: Config[Edit]) -> Answer:
    await numbers.set("n", "text")  # error
    text: str = await numbers.get("n", 0)  # error
    config.now.colour  # error
    message.text = "x"  # error
    Reply("x", markup="bold")  # error
    Reply("x", buttons=[Button("Yes", "yes")])  # error
    Reply("x", files=["report.pdf"])  # error
    File(7)  # error
    bot.include(Bot)  # error
    await message.ask(7)  # error
    Router().run()  # error
    return text
