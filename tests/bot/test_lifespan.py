"""@bot.lifespan: set up before the bot is ready, tidied up behind its last handler."""

from __future__ import annotations

import asyncio

import pytest

from processsupervisor import Bot
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.testing import Lab


def test_it_surrounds_each_life_the_last_one_inside():
    """Together with the start and stop hooks, in every life of the bot."""
    bot, seen = Bot(), []

    @bot.lifespan
    async def outer():
        seen.append("outer begins")
        yield
        seen.append("outer ends")

    @bot.on_start
    async def start():
        seen.append("start")

    @bot.on_stop
    async def stop():
        seen.append("stop")

    @bot.lifespan
    async def inner():
        seen.append("inner begins")
        try:
            yield
        finally:
            await asyncio.sleep(0)
            seen.append("inner ends")

    @bot.on_message
    async def handler(message):
        seen.append(message.text)

    once = ["outer begins", "start", "inner begins", "hi", "inner ends", "outer ends", "stop"]
    with Lab(bot) as lab:
        lab.say("hi")
        lab.restart()
        lab.say("hi")
    assert seen == once * 2


def test_an_exception_before_the_yield_ends_the_start_and_one_behind_it_is_logged(caplog):
    """What was set up is tidied up, and nothing else."""
    bot, seen = Bot(), []

    @bot.lifespan
    async def tidy():
        yield
        seen.append("tidy")

    @bot.lifespan
    async def fails():
        if not seen:
            raise RuntimeError("no database")
        yield
        raise RuntimeError("words")

    with pytest.raises(RuntimeError, match="no database"), Lab(bot) as lab:
        lab.say("hi")
    seen.append("second life")
    with Lab(bot) as lab:
        lab.say("hi")
    assert seen == ["tidy", "second life", "tidy"] and "stop hook fails failed: RuntimeError" in caplog.text and "words" not in caplog.text


def test_what_is_no_such_generator_is_refused_with_its_place():
    """A coroutine, a function with parameters, a plain generator."""

    async def coroutine(): ...

    async def wants(bot):
        yield

    def plain():
        yield

    for function in (coroutine, wants, plain):
        with pytest.raises(ConfigError, match=rf"test_lifespan.py:{function.__code__.co_firstlineno}: @bot.lifespan"):
            Bot().lifespan(function)
