import asyncio
import logging
import os
import sys

from aiogram import Bot, Dispatcher, F
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.enums import ParseMode
from aiogram.filters import CommandStart
from aiogram.types import BotCommand, Message
from dotenv import load_dotenv

load_dotenv()
TOKEN = os.environ["BOT_TOKEN"]
API = os.getenv("TELEGRAM_API", "https://api.telegram.org")

dp = Dispatcher()


@dp.message(CommandStart())
async def command_start(message: Message) -> None:
    await message.answer(f"Hello, <b>{message.from_user.full_name}</b>!")


@dp.message(F.text)
async def echo(message: Message) -> None:
    await message.answer(f"You said: {message.text}")


@dp.startup()
async def on_startup(bot: Bot) -> None:
    await bot.set_my_commands([BotCommand(command="start", description="Say hello")])


async def main() -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(API))
    bot = Bot(token=TOKEN, session=session, default=DefaultBotProperties(parse_mode=ParseMode.HTML))
    await bot.delete_webhook(drop_pending_updates=False)
    await dp.start_polling(bot)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    asyncio.run(main())
