"""The native bot of the runs with messages in flight: takes a while for each, counts them in each conversation, answers with the count.

The count is committed with the reply: a message that was handled to completion twice would count twice.
"""

import asyncio
import os

from processsupervisor import Bot, Message

bot = Bot()
TAKES_S = float(os.environ.get("TAKES_S", "0.3"))


@bot.on_message
async def answer(message: Message) -> str:
    count = await message.store.get("count", 0) + 1
    await asyncio.sleep(TAKES_S)
    await message.store.set("count", count)
    return f"{message.text} #{count}"
