"""The same on aiogram's own poller, as its documentation begins: no store, so no count."""

import asyncio
import os

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import Message

TAKES_S = float(os.environ.get("TAKES_S", "0.3"))
dp = Dispatcher()


@dp.message()
async def answer(message: Message) -> None:
    await asyncio.sleep(TAKES_S)
    await message.answer(message.text or "")


async def main() -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(os.environ["BOT_API"]))
    await dp.start_polling(Bot(token=os.environ["BOT_TOKEN"], session=session))


if __name__ == "__main__":
    asyncio.run(main())
