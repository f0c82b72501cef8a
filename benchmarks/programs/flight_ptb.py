"""The same on python-telegram-bot's own poller, as its documentation begins: no store, so no count."""

import asyncio
import os

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

TAKES_S = float(os.environ.get("TAKES_S", "0.3"))


async def answer(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message is not None
    await asyncio.sleep(TAKES_S)
    await update.message.reply_text(update.message.text or "")


def main() -> None:
    api = os.environ["BOT_API"]
    application = Application.builder().token(os.environ["BOT_TOKEN"]).base_url(f"{api}/bot").base_file_url(f"{api}/file/bot").build()
    application.add_handler(MessageHandler(filters.ALL, answer))
    application.run_polling()


if __name__ == "__main__":
    main()
