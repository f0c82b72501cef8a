"""A file in, a file out: send a table as CSV, get it back as JSON.

In a fleet: psv -C examples/files up, with the token of a Telegram bot as fleet.toml says. Its test: pytest examples/files.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import PurePath

from processsupervisor import Attachment, Bot, File, Message, Refused, Reply

bot = Bot()

MOST = "5MB"


@bot.on_file
async def convert(message: Message) -> list[Reply]:
    return [await converted(attachment) for attachment in message.attachments]


@bot.on_message
async def explain(message: Message) -> str:
    return "Send me a table as a CSV file with names in its first line, and I send it back as JSON."


async def converted(attachment: Attachment) -> Reply:
    try:
        content = await attachment.read(MOST)
        rows = await asyncio.to_thread(rows_of, content)  # a large table would hold up all other conversations
    except Refused:
        return Reply(f"{attachment.name} is larger than {MOST}.")
    except UnicodeDecodeError:
        return Reply(f"{attachment.name} is no text in UTF-8.")
    except csv.Error as err:
        return Reply(f"{attachment.name} is no CSV: {err}.")
    if not rows:
        return Reply(f"{attachment.name} has no lines below its first.")
    name = PurePath(attachment.name).with_suffix(".json").name
    return Reply(f"{len(rows)} rows", files=[File(json.dumps(rows, ensure_ascii=False, indent=1).encode(), name=name)])


def rows_of(content: bytes) -> list[dict[str, str]]:
    text = content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True))
    if any("" in row or None in row.values() for row in rows):
        raise csv.Error("its lines have different numbers of columns")
    return rows
