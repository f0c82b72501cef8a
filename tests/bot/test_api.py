"""What an author defines wrongly fails where it is defined, with file and line."""

from __future__ import annotations

import inspect

import pytest

from processsupervisor import Bot
from processsupervisor.bot import api
from processsupervisor.kernel.errors import ConfigError, PsvError

HERE = __file__


def test_handlers_must_be_async():
    """A plain function is refused with its place."""
    bot = Bot()

    def plain(message):
        return "hi"

    for define in (bot.on_message, bot.command("x"), bot.on_start, bot.on_stop):
        with pytest.raises(ConfigError) as caught:
            define(plain)
        assert f"{HERE}:{plain.__code__.co_firstlineno}" in caught.value.message and "async def" in str(caught.value)


def test_a_second_handler_is_refused_and_names_the_first():
    """on_message and each command have one function."""
    bot = Bot()

    @bot.on_message
    async def first(message): ...

    @bot.command("add")
    async def add(message): ...

    async def second(message): ...

    for define, known in ((bot.on_message, first), (bot.command("add"), add)):
        with pytest.raises(ConfigError) as caught:
            define(second)
        assert f"{HERE}:{known.__code__.co_firstlineno}" in caught.value.message


@pytest.mark.parametrize("name", ["", "/add", "Add", "a b", "1a", "x" * 40, None, "about", "stop"])
def test_bad_and_reserved_command_names_are_refused(name):
    """/about and /stop belong to the core; names are what contacts can type."""

    async def handler(message): ...

    with pytest.raises(ConfigError, match=r"test_api.py:\d+"):
        Bot().command(name)(handler)


def test_a_command_without_a_name_is_refused():
    """@bot.command without parentheses would swallow the function."""

    async def add(message): ...

    with pytest.raises(ConfigError, match=rf"test_api.py:{add.__code__.co_firstlineno}: .*name"):
        Bot().command(add)


def test_on_message_is_called_with_the_message_alone():
    """More required parameters, or none, cannot work."""

    async def two(message, more): ...
    async def none(): ...
    async def keyword(message, *, key): ...
    async def fine(message, more=1, *, key=2): ...

    for function in (two, none, keyword):
        with pytest.raises(ConfigError, match=r"test_api.py:\d+"):
            Bot().on_message(function)
    assert Bot().on_message(fine) is fine


def test_hooks_take_no_parameters():
    """A hook that wants one fails at definition."""

    async def hook(bot): ...

    with pytest.raises(ConfigError, match="without arguments"):
        Bot().on_start(hook)


async def test_the_store_of_a_bot_that_does_not_run_is_refused():
    """There is no database yet; the error says where to use it."""
    with pytest.raises(PsvError, match="on_start"):
        _ = Bot().store


def test_run_does_nothing_when_psv_imports_the_file(monkeypatch):
    """A file that ends with bot.run() works in a fleet as it is."""
    monkeypatch.setattr(api, "imported_by_psv", True)
    Bot().run()


BARE = ["on_message", "on_file", "on_edit", "on_join", "middleware", "on_start", "on_ready", "on_pause", "on_resume", "on_stop", "on_exit",
        "lifespan", "on_config_change"]  # fmt: skip


@pytest.mark.parametrize("name", BARE)
@pytest.mark.parametrize("given", [(), ("help",)])
def test_decorators_without_parentheses_say_where_they_were_written_with_some(name, given):
    """And how it is written; nothing is defined."""
    bot = Bot()
    with pytest.raises(ConfigError) as caught:
        getattr(bot, name)(*given)
    line = caught.tb.tb_lineno if hasattr(caught, "tb") and caught.tb.tb_frame.f_code.co_filename == HERE else 0
    assert caught.value.message == f"{HERE}:{line}: @bot.{name} is written without parentheses"
    assert f"@bot.{name}" in caught.value.hint
    assert not bot.start_hooks and bot.registry.named("message") is None


def test_all_decorators_without_parentheses_are_known():
    """A new one that takes a function alone is refused with parentheses too."""
    methods = {name: getattr(Bot, name) for name in dir(Bot) if not name.startswith("_") and callable(getattr(Bot, name))}
    takes_one = [name for name, method in methods.items() if list(inspect.signature(method).parameters) == ["self", "function"]]
    assert sorted(takes_one) == sorted(BARE)
