"""Hooks of an author: in their order, within their time, and none keeps a bot from its step."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from processsupervisor.bot.api import Bot
from processsupervisor.bot.hooks import run_hooks
from processsupervisor.kernel.errors import ConfigError

HOOKS = ("on_start", "on_ready", "on_pause", "on_resume", "on_stop", "on_exit")


async def test_hooks_run_in_their_order_and_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What was raised is logged by name and type, without its text."""
    ran: list[str] = []

    async def first() -> None:
        ran.append("first")
        raise ValueError("a secret")

    async def second() -> None:
        ran.append("second")

    with caplog.at_level(logging.ERROR):
        await run_hooks("stop", [first, second], 1.0)
    assert ran == ["first", "second"]
    assert caplog.messages == ["stop hook first failed: ValueError"]


async def test_a_hook_that_takes_no_notice_of_its_deadline_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """It refuses to be cancelled: the step goes on all the same, and the next hook has its turn."""
    is_over = asyncio.Event()

    async def stubborn() -> None:
        while not is_over.is_set():
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                continue

    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    began = time.monotonic()
    await run_hooks("stop", [stubborn, other], 0.2)
    assert time.monotonic() - began < 2.0
    assert ran == ["other"]
    assert "stop hook stubborn took too long" in caplog.text
    is_over.set()


async def test_a_step_that_is_given_up_takes_its_hook_along() -> None:
    """A resume ends the pause that waits for a hook."""
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

    step = asyncio.create_task(run_hooks("pause", [slow], 100.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    step.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await step


@pytest.mark.parametrize("name", HOOKS)
def test_a_wrong_hook_fails_where_it_is_defined(name: str) -> None:
    """With file, line and the decorator's name."""
    with pytest.raises(ConfigError, match=rf"test_hooks.py:\d+: @bot.{name} needs an async def"):

        @getattr(Bot(), name)
        def hook() -> None:
            pass


def test_a_whole_life_runs_each_hook_once_and_in_order(start_bot) -> None:  # type: ignore[no-untyped-def]
    """Start, ready, stop, exit; an exception in one is logged and the exit status stays 0."""
    bot = start_bot("""
        from processsupervisor import Bot
        bot = Bot()

        def say(word):
            with open("steps", "a") as file:
                file.write(word + "\\n")

        @bot.on_start
        async def start():
            say("start")

        @bot.on_ready
        async def ready():
            say("ready")
            raise RuntimeError

        @bot.on_stop
        async def stop():
            await bot.store.set("last", 1)
            say("stop")
            raise RuntimeError

        @bot.on_exit
        async def leave():
            say("exit")
            raise RuntimeError
        """)
    assert bot.stop() == 0
    assert (bot.paths.folder / "steps").read_text().split() == ["start", "ready", "stop", "exit"]
    assert bot.errors.read_text().count("failed: RuntimeError") == 3
