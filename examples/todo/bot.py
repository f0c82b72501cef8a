"""A to-do list for each conversation: asks for what it was not told, reminds once, and says every morning what is left.

In a fleet: psv -C examples/todo up. Alone, on a console: python examples/todo/bot.py. Its test: pytest examples/todo.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from processsupervisor import AskTimeout, Bot, Button, Edit, Message, Reply, Schedule, Store, ask

bot = Bot()

NO = "not at all"
WHEN = {"in 10 minutes": timedelta(minutes=10), "in an hour": timedelta(hours=1), "tomorrow": timedelta(days=1), NO: None}


@dataclass
class Todo:
    """One thing to be done. Its number is never used again."""

    number: int
    text: str


@bot.command("add")
async def add(message: Message, todos: Store[list[Todo]], schedule: Schedule, text: str = "") -> str:
    """put something on your list, for example /add buy milk"""
    if not text:
        text = await ask("What is to be done?", timeout="10m")
    todo = Todo(await message.store.get("last", 0) + 1, text)
    when: str = NO
    try:
        when = await ask("Shall I remind you?", choices=list(WHEN), timeout="10m")
    except AskTimeout:
        pass  # then it is kept without
    await message.store.set("last", todo.number)
    await todos.set("todos", [*await todos.get("todos", []), todo])
    delay = WHEN[when]
    if delay is None:
        return f"{todo.number}. {text}: noted."
    due = await schedule.once(delay, "remind", todo.number, name=f"todo-{todo.number}")
    return f"{todo.number}. {text}: noted, I remind you on {due.at:%d %B at %H:%M} UTC."


@bot.command("list")
async def show(message: Message, todos: Store[list[Todo]]) -> str:
    """show your list"""
    return listed(await todos.get("todos", [])) or "There is nothing to be done."


@bot.command("done")
async def done(message: Message, todos: Store[list[Todo]], schedule: Schedule, number: int) -> str:
    """strike something off, for example /done 2"""
    todo = await strike_off(number, todos, schedule)
    return f"{todo.text}: done." if todo else f"There is no number {number} on your list."


@bot.command("daily")
async def daily(message: Message, schedule: Schedule) -> str:
    """say every morning at 8 what is left; once more ends it"""
    if await schedule.cancel("daily"):
        return "I say it no more."
    planned = await schedule.cron("0 8 * * *", "daily", zone="Europe/Berlin")
    return f"I will say what is left every morning, first on {planned.at:%d %B at %H:%M} UTC."


@bot.scheduled("remind")
async def remind(message: Message, todos: Store[list[Todo]], payload: int) -> Reply | None:
    todo = find(payload, await todos.get("todos", []))
    return Reply(f"You wanted to be reminded: {todo.text}", buttons=[[Button("Done", f"done:{todo.number}")]]) if todo else None


@bot.scheduled("daily")
async def say_daily(message: Message, todos: Store[list[Todo]]) -> str | None:
    left = listed(await todos.get("todos", []))
    return f"Good morning. This is left:\n{left}" if left else None


@bot.button("done")
async def press_done(message: Message, todos: Store[list[Todo]], schedule: Schedule, number: int) -> Edit:
    todo = await strike_off(number, todos, schedule)
    return Edit(f"{todo.text}: done." if todo else "This is done already.")


@bot.on_message
async def explain(message: Message) -> str:
    return "I keep your list: /add, /list, /done 1, /daily."


def listed(todos: list[Todo]) -> str:
    return "\n".join(f"{todo.number}. {todo.text}" for todo in todos)


def find(number: int, todos: list[Todo]) -> Todo | None:
    return next((todo for todo in todos if todo.number == number), None)


async def strike_off(number: int, todos: Store[list[Todo]], schedule: Schedule) -> Todo | None:
    left = await todos.get("todos", [])
    todo = find(number, left)
    if todo is not None:
        left.remove(todo)
        await todos.set("todos", left)
        await schedule.cancel(f"todo-{number}")
    return todo


if __name__ == "__main__":
    bot.run()
