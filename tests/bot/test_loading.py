"""Every mistake in a bot's module ends in one clear text and the right exit status, in a real process."""

from __future__ import annotations

import pytest

GOOD = "from processsupervisor import Bot\nbot = Bot()\n"


@pytest.mark.parametrize(
    ("source", "run", "status", "said"),
    [
        (GOOD, "nowhere:bot", 78, "no module named nowhere"),
        (GOOD, "bots.deeper:bot", 78, "bots"),
        (GOOD, "bots:robot", 78, 'module bots has no "robot"; its bots are: bot'),
        ("x = 1", "bots:bot", 78, 'it holds no Bot()'),
        ("bot = 7", "bots:bot", 78, "bot is int, expected a processsupervisor.Bot"),
        (GOOD, "bots", 78, 'is not "module:bot"'),
        ("def broken(:\n", "bots:bot", 78, "bots.py\", line 1"),
        ("import no_such_library", "bots:bot", 78, "No module named 'no_such_library'"),
        ("import sys\nsys.exit('no token')", "bots:bot", 78, "called sys.exit() while it was imported: no token"),
        ("import sys\nsys.exit(77)", "bots:bot", 77, "called sys.exit()"),
        ("import sys\nsys.exit(0)", "bots:bot", 78, "called sys.exit()"),
        ("name = input('Name? ')", "bots:bot", 78, "input() was called while the module was imported"),
        ("1 / 0", "bots:bot", 1, "ZeroDivisionError: division by zero"),
        ("import os\nos.environ['TOKEN_MISSING']", "bots:bot", 1, "KeyError: 'TOKEN_MISSING'"),
        (GOOD + "@bot.on_message\ndef plain(message): ...", "bots:bot", 78, "bots.py:3: @bot.on_message needs an async def"),
        (GOOD + "@bot.on_message\nasync def handler(message, store: 'Store[int]'): ...", "bots:bot", 78,
         "bots.py:3: @bot.on_message cannot use handler: its annotations cannot be read: Store[int]: name 'Store' is not defined"),
        (GOOD + "from processsupervisor import Config\n@bot.on_message\nasync def handler(message, config: Config[list]): ...", "bots:bot", 78,
         "bot alice cannot start: the options do not fit: it is no list: Expected `array`, got `object`"),
    ],
)  # fmt: skip
def test_a_mistake_ends_the_start_with_its_reason(start_bot, source, run, status, said):
    """78 for what a person must mend, 1 for what may pass; the bot's own frames only."""
    bot = start_bot(source, wait=False, run=run)
    assert bot.wait() == status
    text = bot.errors.read_text()
    assert said in text and "importlib" not in text and "processsupervisor/bot" not in text


def test_a_start_hook_that_fails_ends_the_start(start_bot):
    """The traceback is on stderr, the status is that of a crash."""
    bot = start_bot(GOOD + "@bot.on_start\nasync def begin():\n    raise OSError('no network')", wait=False)
    assert bot.wait() == 1
    assert "no network" in bot.errors.read_text()


def test_a_bot_may_end_itself_with_a_code(start_bot):
    """sys.exit(77) in a handler ends the process with 77; the message is kept."""
    bot = start_bot(GOOD + "import sys\n@bot.on_message\nasync def handle(message):\n    sys.exit(77)\n")
    client = bot.client()
    client.send(op="post", id="m1", text="x", conversation="default")
    assert bot.wait() == 77


def test_a_file_that_runs_itself_is_served_all_the_same(start_bot):
    """bot.run() at the end of the file does nothing in a fleet."""
    bot = start_bot(GOOD + "@bot.on_message\nasync def handle(message):\n    return message.text\nbot.run()\n")
    client = bot.client()
    client.subscribe()
    client.post("m1", "hi")
    assert client.reply_to("m1")["text"] == "hi"
