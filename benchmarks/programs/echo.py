"""The native echo bot of the chat rows. Asked for "commits?" it says how many transactions its database has committed."""

from processsupervisor import Bot, Message

bot = Bot()


@bot.on_message
async def echo(message: Message) -> str:
    if message.text == "commits?":
        return str(bot.running._database.writer.commits)
    return f"you said {message.text}"
