"""The native bot that hangs when it is told how: in a call, in a lock it holds itself, in a loop in C, or by growing.

It answers first: a message that is not answered would be given to its successor, which would hang too.
"""

import asyncio
import threading
import time

from processsupervisor import Bot, Message

bot = Bot()
grown: list[bytearray] = []


@bot.on_message
async def obey(message: Message) -> str:
    asyncio.get_running_loop().call_later(0.2, hang, message.text)
    return "as you say"


def hang(how: str) -> None:
    match how:
        case "block":
            time.sleep(3600)
        case "deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "busy":
            sum(range(10**15))  # never lets go of the interpreter
        case "leak" if len(grown) < 60:
            grown.append(bytearray(b"x" * 5_000_000))
            asyncio.get_running_loop().call_later(0.02, hang, how)
