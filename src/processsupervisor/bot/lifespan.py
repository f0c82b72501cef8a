"""`@bot.lifespan`: what a bot needs from its start to its end, as one generator with a yield between the two."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from processsupervisor.bot.handlers import place_of
from processsupervisor.kernel.errors import ConfigError

Hook: TypeAlias = Callable[[], Awaitable[None]]


def lifespan_hooks(function: Callable[[], AsyncIterator[None]]) -> tuple[Hook, Hook]:
    """Return a start hook that runs the generator up to its yield, and a stop hook for the rest, if the yield was reached.

    They may be called for one life after another. Raises ConfigError for what is no such generator.
    """
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & inspect.CO_ASYNC_GENERATOR:
        raise ConfigError(f"{place_of(function)}: @bot.lifespan needs an async def with a yield", hint="set up, yield, tidy up")
    if code.co_argcount - len(getattr(function, "__defaults__", None) or ()) > int(hasattr(function, "__self__")):
        raise ConfigError(f"{place_of(function)}: @bot.lifespan calls the function without arguments")
    make = asynccontextmanager(function)
    opened: list[AbstractAsyncContextManager[Any]] = []

    async def begin() -> None:
        life = make()
        await life.__aenter__()
        opened.append(life)

    async def end() -> None:
        if opened:
            await opened.pop().__aexit__(None, None, None)

    begin.__name__ = end.__name__ = str(getattr(function, "__name__", "lifespan"))
    return begin, end
