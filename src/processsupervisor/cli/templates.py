"""What `psv init` writes: a small fleet for each way to begin. Texts only; `{name}` in fleet.toml is the fleet's name.

Each passes `psv check`, and does something one can see: as it stands, telegram-echo with a token.
"""

from __future__ import annotations

from typing import NamedTuple

IGNORE = ".psv/\n.psv-*/\n.env\n__pycache__/\n"


class Template(NamedTuple):
    """The files of one way to begin, by their paths in the folder, and the command that shows it at work (behind `psv`).

    `before` is what a person has to do first.
    """

    files: dict[str, str]
    first: str
    before: str = ""


_ECHO = Template(
    {
        "fleet.toml": '''\
# What runs here: psv up starts it, psv check finds mistakes.
[fleet]
name = "{name}"

[bots.echo]
run = "bots:bot"      # bots.py beside this file, its attribute bot
''',
        "bots.py": '''\
"""A bot that says what you say. Edit it, then: psv restart echo"""

from processsupervisor import Bot, Message

bot = Bot()


@bot.on_message
async def answer(message: Message) -> str:
    return f"You said: {message.text}"
''',
    },
    "chat echo hello",
)

_WEB_FAQ = Template(
    {
        "fleet.toml": '''\
# A bot that answers questions out of the Markdown files in faq/, on a page of its own and by psv chat.
# psv up starts it and says where the page is. Files in faq/ count as soon as they are saved; no restart is needed.
[fleet]
name = "{name}"

[web]
next_free = true      # when port 8450 is taken, one of the next; listen = "127.0.0.1:PORT" chooses another

[bots.faq]
run = "bots:bot"      # bots.py beside this file, its attribute bot
''',
        "bots.py": '''\
"""Answers out of the Markdown files in faq/, with the place it has it from; when they do not say, it says so."""

from pathlib import Path

from processsupervisor import Bot
from processsupervisor.chat.documents import responder

bot = Bot()
bot.on_message(responder([Path(__file__).parent / "faq"]))
''',
        "faq/workshop.md": '''\
# The workshop

One file may hold many questions: each heading and what stands below it is one answer.

## When are you open?

The workshop is open on weekdays from nine to five. On public holidays it stays closed.

## How do I pay?

By card or in cash, when you fetch your bicycle. Invoices are due within 14 days.

## Do you lend bicycles?

While we repair yours you can borrow one of ours, free of charge.
''',
        "test_faq.py": '''\
"""What the bot must know, and what it must not claim to know. Run it: python -m unittest"""

import unittest
from pathlib import Path

from processsupervisor.chat.documents import Documents

DOCUMENTS = Documents([Path(__file__).parent / "faq"])


class Faq(unittest.TestCase):
    def test_it_knows(self) -> None:
        for question, place in {
            "When are you open?": "workshop.md#when-are-you-open",
            "Can I pay by card?": "workshop.md#how-do-i-pay",
        }.items():
            answer = DOCUMENTS.answer(question)
            self.assertTrue(answer.known and answer.citations[0].endswith(place), f"{question} {answer}")

    def test_it_does_not_claim_to_know(self) -> None:
        self.assertFalse(DOCUMENTS.answer("Who painted the Mona Lisa?").known)
''',
    },
    "chat faq 'When are you open?'",
)

_SCRIPT = Template(
    {
        "fleet.toml": '''\
# An ordinary Python program under psv: started with the fleet, started again when it ends, its output kept (psv logs main).
# Put your own in place of main.py. Not a byte of it has to change; psv adopt FILE does the same for one that lies elsewhere.
[fleet]
name = "{name}"

[bots.main]
script = "main.py"
# args = ["--verbose"]           # what follows python main.py
# env_file = ".env"              # its token, as NAME=value; kept out of version control
# ready = { log = "connected" }  # ready when it prints this; else when it has run for a second
''',
        "main.py": '''\
"""An ordinary program: it knows nothing of psv."""

import time

count = 0
while True:
    count += 1
    print(f"tick {count}")
    time.sleep(5)
''',
    },
    "logs main",
)

_TELEGRAM_ECHO = Template(
    {
        "fleet.toml": '''\
# A bot on Telegram that says what people say to it. Its token comes from @BotFather and stands in .env, which git does not keep.
# When it runs, for which it needs the token, psv chat echo hello talks to the same bot from here.
# Without Telegram: python -m pytest. Against a double of Telegram: docs/howto/telegram.md of psv.
[fleet]
name = "{name}"

[bots.echo]
run = "bots:bot"      # bots.py beside this file, its attribute bot
env_file = ".env"
networks.telegram = { token = "env:BOT_TOKEN" }
''',
        ".env": "BOT_TOKEN=put-here-what-BotFather-gave-you\n",
        "bots.py": '''\
"""A bot that says what you say, and counts. Edit it, then: psv restart echo"""

from processsupervisor import Bot, Message

bot = Bot()


@bot.command("count")
async def count(message: Message) -> str:
    """how much you have said so far"""
    return f"{await message.store.get('count', 0)} messages"


@bot.on_message
async def answer(message: Message) -> str:
    await message.store.set("count", await message.store.get("count", 0) + 1)
    return f"You said: {message.text}"
''',
        "test_bots.py": '''\
"""What the bot must do, without Telegram and without psv. Run it: python -m pytest"""

from bots import bot
from processsupervisor.testing import Lab


def test_it_says_what_you_say_and_counts() -> None:
    with Lab(bot) as lab:
        ada = lab.person("ada")
        ada.says("hello")
        ada.sees("You said: hello")
        lab.restart()
        ada.says("/count")
        ada.sees("1 messages")
''',
    },
    "chat echo hello",
    "put the token of your bot into .env (@BotFather gives one); psv check says whether it is one. "
    "The bot does not start without; docs/howto/telegram.md tries one without Telegram",
)

TEMPLATES: dict[str, Template] = {"echo": _ECHO, "telegram-echo": _TELEGRAM_ECHO, "web-faq": _WEB_FAQ, "script": _SCRIPT}
