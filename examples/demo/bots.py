"""The two native bots of the demo. Edit this file while they run, then: psv -C examples/demo restart notes"""

from pathlib import Path

from processsupervisor import Bot, Duration, Message
from processsupervisor.chat.documents import responder

PROJECT = Path(__file__).resolve().parents[2]

guide = Bot()
guide.on_message(responder([PROJECT / "docs", PROJECT / "README.md"]))

notes = Bot()


@notes.command("add")
async def add(message: Message, text: str) -> str:
    """keep a note"""
    count = await message.store.append("notes", text)
    return f"Kept as note {count}."


@notes.command("list")
async def list_notes(message: Message) -> str:
    """show your notes"""
    kept = await message.store.get("notes", [])
    return "\n".join(f"{number}. {text}" for number, text in enumerate(kept, 1)) or "No notes yet. Write: /add TEXT"


@notes.command("remind")
async def remind(message: Message, after: Duration, text: str) -> str:
    """say it again after a while, for example /remind 10s tea"""
    due = await notes.remind(message, after, text)
    return f"I will remind you at {due:%H:%M:%S} UTC."


@notes.on_message
async def explain(message: Message) -> str:
    return "I keep notes: /add TEXT, /list, /remind 10s TEXT."


if __name__ == "__main__":
    notes.run()
