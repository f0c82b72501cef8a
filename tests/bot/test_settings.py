"""Other settings for a bot that runs: the author's hook is asked, and all of a change holds or none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bot.running import BotProcess, Supervisor, wait_for
from tests.supervisor.live import eventually

from processsupervisor.bot.api import Bot
from processsupervisor.kernel.errors import ConfigError

ASKED = """
import asyncio, logging, pathlib, sys
from processsupervisor import Bot, Refused
bot = Bot()

@bot.on_config_change
async def changed(old, new):
    with open("asked", "a") as file:
        file.write(f"{old['n']}-{new['n']} {bot.config['n']}\\n")
    if new["n"] == 13:
        raise Refused("13 brings bad luck", hint="take another")
    if new["n"] == 14:
        int("a " + "secret")
    while new["n"] == 15 and not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    new["n"] = old["n"] = 99

@bot.on_message
async def handle(message):
    logging.getLogger("mine").debug("debug of mine")
    logging.getLogger("other").debug("debug of other")
    table, seen = bot.options, dict(bot.config)
    print("began", file=sys.stderr, flush=True)
    while message.text == "slow" and bot.config["n"] == seen["n"]:
        await asyncio.sleep(0.01)
    return f"{table} {bot.config['n']}"
"""


class Linked:
    """A bot process with a psvd end spoken by hand."""

    def __init__(self, bot: BotProcess) -> None:
        self.bot = bot
        self.psvd = Supervisor(bot.paths)
        self.hello = self.psvd.welcome()
        self.psvd.expect("ready")
        self._posted = 0

    def push(self, digest: str, **values: Any) -> None:
        """Send other settings."""
        self.psvd.send(op="config", digest=digest, **{"options": {"n": 1}, "log_level": "info", "log_levels": {}, **values})

    def refusal(self, digest: str) -> str:
        """Return why a change was refused."""
        answer = self.psvd.expect("config-refused")
        assert answer["digest"] == digest
        return str(answer["message"])

    def taken(self, digest: str) -> None:
        """Wait until a change was taken."""
        assert self.psvd.expect("config-taken")["digest"] == digest

    def ask(self, text: str = "x") -> str:
        """Post a message and return the reply."""
        client = self.bot.client()
        client.subscribe()
        self._posted += 1
        client.post(f"m{self._posted}", text)
        found = str(client.reply_to(f"m{self._posted}")["text"])
        client.close()
        return found

    def asked(self) -> list[str]:
        """Return what the hook noted."""
        return (self.bot.paths.folder / "asked").read_text().splitlines()


@pytest.fixture
def link(start_bot: Callable[..., BotProcess]):  # type: ignore[no-untyped-def]
    links: list[Linked] = []

    def begin(source: str = ASKED, **spec: Any) -> Linked:
        links.append(Linked(start_bot(source, **{"options": {"n": 1}, "settings_digest": "d1", **spec})))
        return links[-1]

    yield begin
    for found in links:
        found.psvd.close()


def test_a_change_holds_when_the_hook_agrees_and_the_next_psvd_hears_of_it(link: Callable[..., Linked]) -> None:
    """The hook sees the old and the new values as copies of its own, while the old ones hold."""
    bot = link()
    assert (bot.hello["config"], bot.hello["live"]) == ("d1", True)
    bot.push("d2", options={"n": 2})
    bot.taken("d2")
    assert bot.asked() == ["1-2 1"]
    assert bot.ask() == "{'n': 2} 2"
    bot.psvd.close()
    successor = Supervisor(bot.bot.paths)
    assert successor.welcome()["config"] == "d2"
    successor.close()


def test_a_handler_keeps_the_table_that_it_has_and_sees_the_new_values_in_config(link: Callable[..., Linked]) -> None:
    """bot.options is one table, bot.config a view: nobody sees half of each."""
    bot = link()
    client = bot.bot.client()
    client.subscribe()
    client.post("first", "quick")
    client.reply_to("first")  # from now on a message that is accepted is begun
    client.post("slow", "slow")
    eventually(lambda: "began" in bot.bot.errors.read_text(), "the handler has the first table")
    bot.push("d2", options={"n": 2, "more": True})
    bot.taken("d2")
    assert client.reply_to("slow")["text"] == "{'n': 1} 2"


def test_a_hook_that_refuses_leaves_everything_as_it_was(link: Callable[..., Linked]) -> None:
    """The words of a Refused are passed on; of another exception only type and place, its text goes nowhere."""
    bot = link()
    bot.push("d2", options={"n": 13}, log_levels={"mine": "debug"})
    assert bot.refusal("d2") == "13 brings bad luck; take another"
    bot.push("d3", options={"n": 14})
    refusal = bot.refusal("d3")
    assert "failed: ValueError at " in refusal and "bots.py:" in refusal
    assert bot.ask() == "{'n': 1} 1"
    written = bot.bot.errors.read_text()
    assert "ValueError" in written and "a secret" not in written + refusal
    assert "debug of mine" not in written, "the log levels of a refused change do not hold either"
    bot.push("d4", options={"n": 4})
    bot.taken("d4")


TYPED = """
from dataclasses import dataclass
from processsupervisor import Bot, Config
bot = Bot()

@dataclass
class Settings:
    n: int

@bot.on_config_change
async def changed(old, new):
    open("asked", "a").write("asked\\n")

@bot.on_message
async def handle(message, config: Config[Settings]):
    return f"{config.now.n}"
"""


def test_options_that_no_handler_can_read_are_refused_before_the_hook_is_asked(link: Callable[..., Linked]) -> None:
    """With the place in the table, and without the value."""
    bot = link(TYPED)
    bot.push("d2", options={"n": "private"})
    assert bot.refusal("d2") == "the options do not fit: it is no Settings: Expected `int`, got `str` - at `$.n`"
    assert not (bot.bot.paths.folder / "asked").exists() and bot.ask() == "1"
    bot.push("d3", options={"n": 3})
    bot.taken("d3")
    assert bot.ask() == "3"


def test_a_hook_that_hangs_is_given_up(link: Callable[..., Linked]) -> None:
    """After its deadline, and the change with it; the next one is taken."""
    bot = link()
    bot.push("d2", options={"n": 15}, timeout_s=0.2)
    assert bot.refusal("d2") == "on_config_change took longer than 0.2 s"
    (bot.bot.paths.folder / "go").touch()
    bot.push("d3", options={"n": 3})
    bot.taken("d3")
    assert bot.ask() == "{'n': 3} 3"


def test_a_newer_change_takes_the_place_of_one_that_waits(link: Callable[..., Linked]) -> None:
    """One at a time: what came while the hook ran is skipped but for the last."""
    bot = link()
    bot.push("d15", options={"n": 15})
    wait_for((bot.bot.paths.folder / "asked").exists, "the hook runs")
    for number in range(2, 10):
        bot.push(f"d{number}", options={"n": number})
    wait_for(lambda: bot.ask() == "{'n': 1} 1", "it answers meanwhile")
    (bot.bot.paths.folder / "go").touch()
    bot.taken("d15")
    bot.taken("d9")
    assert bot.asked() == ["1-15 1", "15-9 15"]
    assert bot.ask() == "{'n': 9} 9"


def test_what_is_taken_between_hello_and_welcome_is_said(link: Callable[..., Linked]) -> None:
    """The hello of that link still named the old values: a psvd that believed it would never set right what it undid."""
    bot = link()
    bot.push("d15", options={"n": 15})
    wait_for((bot.bot.paths.folder / "asked").exists, "the hook runs")
    bot.psvd.close()
    successor = Supervisor(bot.bot.paths)
    assert successor.meet()["config"] == "d1"
    (bot.bot.paths.folder / "go").touch()
    wait_for(lambda: bot.ask() == "{'n': 15} 15", "the change holds")
    successor.send(op="welcome")
    assert successor.expect("config-taken")["digest"] == "d15"
    successor.close()


def test_without_a_hook_options_are_refused_and_log_levels_taken(link: Callable[..., Linked]) -> None:
    """A bot says so at its hello too. What is only written otherwise is no change."""
    bot = link(ASKED.replace("@bot.on_config_change\n", ""))
    assert bot.hello["live"] is False
    bot.push("d2", options={"n": 2}, log_level="debug")
    assert "hook on_config_change" in bot.refusal("d2")
    bot.push("d3", options={"n": True})
    assert "hook on_config_change" in bot.refusal("d3"), "in Python True equals 1, in fleet.toml it does not"
    bot.push("d4", log_level="debug")
    bot.taken("d4")
    bot.ask()
    assert "DEBUG mine: debug of mine" in bot.bot.errors.read_text()


def test_log_levels_by_name_come_and_go(link: Callable[..., Linked]) -> None:
    """At the start and while it runs, without the hook; a logger that is not named any more says what the others say."""
    bot = link(log_levels={"mine": "debug"})
    bot.ask()
    bot.push("d2", log_levels={"other": "debug"})
    bot.taken("d2")
    bot.ask()
    bot.push("d3", log_level="error", log_levels={})
    bot.taken("d3")
    bot.ask()
    said = [line for line in bot.bot.errors.read_text().splitlines() if "debug of" in line]
    assert said == ["DEBUG mine: debug of mine", "DEBUG other: debug of other"]
    assert not (bot.bot.paths.folder / "asked").exists()


def test_the_statement_is_worded_anew(link: Callable[..., Linked]) -> None:
    """`about` is an option like others: a contact who asks after the change reads the new wording."""
    bot = link(options={"n": 1, "about": "I am Al, a bot."})
    assert bot.ask("/about") == "I am Al, a bot."
    bot.push("d2", options={"n": 1, "about": "I am Bo, a bot."})
    bot.taken("d2")
    assert bot.ask("/about") == "I am Bo, a bot."


def test_what_cannot_be_copied_is_refused(link: Callable[..., Linked]) -> None:
    """An author put a lock into the table: psvd gets an answer all the same, and the next change its try."""
    bot = link(ASKED + "\nimport threading\n@bot.on_start\nasync def begin():\n    bot.options['lock'] = threading.Lock()\n")
    for digest in ("d2", "d3"):
        bot.push(digest, options={"n": 2})
        assert "could not be made: TypeError" in bot.refusal(digest)


def test_nonsense_changes_nothing(link: Callable[..., Linked]) -> None:
    """Options that are no table, or no name for the change."""
    bot = link()
    bot.push("d2", options=[1])
    assert "none" in bot.refusal("d2")
    bot.push("", options={"n": 2})
    assert "none" in bot.refusal("")
    bot.push("d1")
    bot.taken("d1")
    assert bot.ask() == "{'n': 1} 1"


def test_config_is_read_only_and_always_the_present_one(tmp_path: Path) -> None:
    """A view that was taken before the bot ran shows what came to hold later; it is a mapping that cannot be written."""
    bot = BotProcess(
        tmp_path,
        """
        import json
        from collections.abc import Mapping
        from processsupervisor import Bot
        bot = Bot()
        config = bot.config

        @bot.on_start
        async def begin():
            assert isinstance(config, Mapping) and config is bot.config
            try:
                config["n"] = 2
            except TypeError:
                print(json.dumps([dict(config), len(config), list(config), config.get("m"), repr(config)]), file=open("seen", "w"))
        """,
        options={"n": 1},
    ).start()
    try:
        assert json.loads((tmp_path / "seen").read_text()) == [{"n": 1}, 1, ["n"], None, "{'n': 1}"]
    finally:
        bot.close()


def test_a_bot_that_runs_alone_can_be_given_options() -> None:
    """There is no fleet.toml on a console; what was taken before is not touched."""
    bot = Bot()
    bot.options = {"n": 1}
    before = bot.options
    bot.options = {"n": 2}
    assert (before, bot.options, dict(bot.config)) == ({"n": 1}, {"n": 2}, {"n": 2})


def _wrong_hooks() -> list[Callable[..., Any]]:
    async def one(new: object) -> None: ...
    async def three(old: object, new: object, more: object) -> None: ...
    async def keyword(old: object, new: object, *, more: object) -> None: ...
    async def pieces(old: object, new: object) -> Any:
        yield

    def plain(old: object, new: object) -> None: ...

    return [one, three, keyword, pieces, plain]


@pytest.mark.parametrize("hook", _wrong_hooks(), ids=lambda hook: hook.__name__)
def test_a_wrong_hook_fails_where_it_is_defined(hook: Callable[..., Any]) -> None:
    """With file, line and the decorator's name."""
    with pytest.raises(ConfigError, match=r"test_settings.py:\d+: @bot.on_config_change"):
        Bot().on_config_change(hook)


def test_hooks_that_can_take_both_are_fine_and_there_is_one() -> None:
    """Defaults, any number of parameters, a method; a second hook says where the first is."""

    class Owner:
        async def changed(self, old: object, new: object) -> None: ...

    async def some(*both: object) -> None: ...

    async def more(old: object, new: object, more: int = 0) -> None: ...

    for hook in (Owner().changed, some, more):
        bot = Bot()
        bot.on_config_change(hook)
        with pytest.raises(ConfigError, match=r"defined already at .*test_settings.py:\d+"):
            bot.on_config_change(hook)
