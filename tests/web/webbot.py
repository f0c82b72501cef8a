"""A bot's side of web.sock as a real process over a real SQLite file, for the tests of the web process.

`python webbot.py SOCKET DATABASE`. It commits before it accepts, handles an id once, takes up unanswered messages when
it starts again, and numbers its replies. What a message says decides the reply: see `reply_to`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

HOSTILE = """**bold** <script>window.hacked = 1</script> <img src=x onerror="window.hacked = 2">
[run](javascript:window.hacked=3) [data](data:text/html,<script>window.hacked=4</script>) ![pic](http://127.0.0.1:9/x.png)
<svg onload="window.hacked=5"></svg> [good](https://example.org/a?b="c"><b>)

`<iframe src="javascript:window.hacked=6">` and <a href="javascript:window.hacked=7">raw</a> [vb](vbscript:x) [proto](//evil.example)
"""


class Bot:
    """One bot: a database, subscribers and a queue of messages to answer."""

    def __init__(self, database: str) -> None:
        self.paused = Path(database + ".paused")
        self.gate = Path(database + ".gate")
        """While this file is there, /slow stays in the middle of its reply."""
        self.db = sqlite3.connect(database, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS inbox (id TEXT, conversation TEXT, text TEXT, at REAL, done INT, PRIMARY KEY (id, conversation))"
        )
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, conversation TEXT, reply_to TEXT, text TEXT, at REAL)"
        )
        self.subscribers: list[tuple[str, asyncio.StreamWriter]] = []
        self.work: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        for row in self.db.execute("SELECT id, conversation, text FROM inbox WHERE NOT done ORDER BY at"):
            self.work.put_nowait(row)

    def post(self, line: dict[str, Any]) -> dict[str, Any]:
        if self.paused.exists():
            return {"op": "refused", "id": line["id"], "code": "paused", "message": "paused"}
        if len(line["text"]) > 60000:
            return {"op": "refused", "id": line["id"], "code": "too-long", "message": "too long"}
        row = (line["id"], line["conversation"], line["text"], time.time())
        if self.db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, 0)", row).rowcount:
            self.work.put_nowait(row[:3])
        return {"op": "accepted", "id": line["id"]}

    def history(self, line: dict[str, Any]) -> dict[str, Any]:
        both = """SELECT id, 'contact' AS who, text, at, NULL FROM inbox WHERE conversation = :c
                  UNION ALL SELECT id, 'bot', text, at, seq FROM outbox WHERE conversation = :c ORDER BY at DESC LIMIT :n"""
        rows = self.db.execute(both, {"c": line["conversation"], "n": line["limit"]}).fetchall()
        keys = ("id", "from", "text", "at", "seq")
        return {"op": "history", "messages": [dict(zip(keys, row, strict=True)) for row in reversed(rows)]}

    def say(self, conversation: str, event: dict[str, Any]) -> None:
        for subscribed, writer in self.subscribers:
            if subscribed == conversation:
                write(writer, {"op": "event"} | event)

    def final(self, conversation: str, id_: str, reply_to: str | None, text: str) -> None:
        self.db.execute("BEGIN")
        seq = self.db.execute(
            "INSERT INTO outbox (id, conversation, reply_to, text, at) VALUES (?, ?, ?, ?, ?)",
            (id_, conversation, reply_to, text, time.time()),
        ).lastrowid
        self.db.execute("UPDATE inbox SET done = 1 WHERE id = ? AND conversation = ?", (reply_to, conversation))
        self.db.execute("COMMIT")
        self.say(conversation, {"seq": seq, "id": id_, "reply_to": reply_to, "text": text, "final": True})

    async def answer_for_ever(self) -> None:
        while True:
            id_, conversation, text = await self.work.get()
            await self.reply_to(id_, conversation, text)

    async def reply_to(self, id_: str, conversation: str, text: str) -> None:
        verb, _, rest = text.partition(" ")
        reply = f"r-{id_}"
        match verb:
            case "/quiet":
                self.db.execute("UPDATE inbox SET done = 1 WHERE id = ?", (id_,))
                return
            case "/hostile":
                rest = HOSTILE
            case "/later":
                self.final(conversation, reply, id_, "yes")
                await asyncio.sleep(0.3)
                self.final(conversation, f"self-{id_}", None, f"reminder: {rest}")
                return
            case "/slow":
                count = int(rest)
                for piece in range(1, count + 1):
                    self.say(
                        conversation,
                        {"seq": None, "id": reply, "reply_to": id_, "text": " ".join(f"word{n}" for n in range(piece)), "final": False},
                    )
                    await asyncio.sleep(0.1)
                    while piece == 2 and self.gate.exists():
                        await asyncio.sleep(0.02)
                rest = " ".join(f"word{n}" for n in range(count))
            case "/md":
                rest = "### Where logs go\n\nLogs are **two FIFOs**, see [the page](https://example.org/logs).\n\n> stdout and stderr are two FIFOs\n\n- `docs/logs.md`\n- heading *Logs*\n\n```\npsv logs -f guide\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
            case _:
                rest = f"You said: {text}"
                self.say(conversation, {"seq": None, "id": reply, "reply_to": id_, "text": rest[:8], "final": False})
                await asyncio.sleep(0.05)
        self.final(conversation, reply, id_, rest)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                request = json.loads(line)
                match request["op"]:
                    case "post":
                        write(writer, self.post(request))
                    case "history":
                        write(writer, self.history(request))
                    case "subscribe":
                        if request["after"] is not None:
                            rows = "SELECT seq, id, reply_to, text FROM outbox WHERE conversation = ? AND seq > ? ORDER BY seq"
                            for seq, id_, reply_to, text in self.db.execute(rows, (request["conversation"], request["after"])):
                                write(writer, {"op": "event", "seq": seq, "id": id_, "reply_to": reply_to, "text": text, "final": True})
                        self.subscribers.append((request["conversation"], writer))
        except OSError:
            pass
        finally:
            self.subscribers = [pair for pair in self.subscribers if pair[1] is not writer]
            writer.close()


def write(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


async def main(path: str, database: str) -> None:
    bot = Bot(database)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = await asyncio.start_unix_server(bot.serve, path, limit=1 << 22, backlog=64)
    async with server:
        await bot.answer_for_ever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
