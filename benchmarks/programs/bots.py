"""The native bot of the benchmarks: answers what it is told, and has the libraries of an ordinary bot in it."""

import aiogram  # noqa: F401 - what an ordinary bot imports; preloaded
import openai  # noqa: F401

from processsupervisor import Bot, Message

bot = Bot()


@bot.on_message
async def echo(message: Message) -> str:
    return f"you said {message.text}"
