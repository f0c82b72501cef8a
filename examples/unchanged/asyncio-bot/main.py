import asyncio
import os
import signal

HOST = os.getenv("IRC_HOST", "irc.libera.chat")
PORT = int(os.getenv("IRC_PORT", "6667"))
NICK = os.environ["IRC_NICK"]
PASSWORD = os.getenv("IRC_PASSWORD")
CHANNEL = os.getenv("IRC_CHANNEL", "#bots")


class Bot:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def send(self, line):
        self.writer.write(f"{line}\r\n".encode())
        await self.writer.drain()

    async def run(self):
        if PASSWORD:
            await self.send(f"PASS {PASSWORD}")
        await self.send(f"NICK {NICK}")
        await self.send(f"USER {NICK} 0 * :{NICK}")
        while line := (await self.reader.readline()).decode(errors="replace").rstrip():
            prefix, _, rest = line[1:].partition(" ") if line.startswith(":") else ("", "", line)
            command, _, params = rest.partition(" ")
            await self.handle(prefix.partition("!")[0], command, params)

    async def handle(self, sender, command, params):
        if command == "PING":
            await self.send(f"PONG {params}")
        elif command == "001":
            await self.send(f"JOIN {CHANNEL}")
        elif command == "JOIN" and sender == NICK:
            print(f"joined {CHANNEL} on {HOST}")
        elif command == "PRIVMSG":
            target, _, text = params.partition(" :")
            where = target if target.startswith("#") else sender
            await self.send(f"PRIVMSG {where} :You said: {text}")


async def main():
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bot = Bot(*await asyncio.open_connection(HOST, PORT))
    running = asyncio.create_task(bot.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        await bot.send("QUIT :bye")
    else:
        running.result()
        raise SystemExit("the server closed the connection")


asyncio.run(main())
