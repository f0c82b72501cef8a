"""The native bot of bench_live.py: tells the benchmark each value that its hook has seen, and says the present one to whoever asks."""

import os
import socket
from typing import Any

from processsupervisor import Bot, Message

bot = Bot()
_teller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@bot.on_config_change
async def changed(old: dict[str, Any], new: dict[str, Any]) -> None:
    _teller.sendto(f"{bot.name} {os.getpid()} {new['number']}".encode(), ("127.0.0.1", int(os.environ["TELL_PORT"])))


@bot.on_message
async def say(message: Message) -> str:
    return f"you said {message.text}" if bot.config["number"] == int(os.environ["LAST"]) else f"number is {bot.config['number']}"
