import asyncio
import logging
import os
import sys

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import CommandStart
from aiogram.types import Message
from openai import AsyncOpenAI

TOKEN = os.environ["BOT_TOKEN"]
dp = Dispatcher()
llm = AsyncOpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"))


@dp.message(CommandStart())
async def start(message: Message) -> None:
    await message.answer(f"Hello, {message.from_user.full_name}!")


@dp.message()
async def answer(message: Message) -> None:
    completion = await llm.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": message.text or ""}])
    await message.answer(completion.choices[0].message.content or "...")


async def main() -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(os.environ["BOT_API"]))
    await dp.start_polling(Bot(token=TOKEN, session=session))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    asyncio.run(main())
