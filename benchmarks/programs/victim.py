"""The native bot that hangs when it is told how: in a call, in a lock it holds itself, in a loop in C, or by growing."""

import threading
import time

from processsupervisor import Bot, Message

bot = Bot()
grown: list[bytearray] = []


@bot.on_message
async def hang(message: Message) -> str:
    match message.text:
        case "block":
            time.sleep(3600)
        case "deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "busy":
            sum(range(10**15))  # never lets go of the interpreter
        case "leak":
            for _ in range(60):
                grown.append(bytearray(b"x" * 5_000_000))
                time.sleep(0.01)
    return "done"
