"""Runs an author's hooks around the steps of a bot: each within a deadline, and none of them can keep the bot from its step.

Start hooks are not run here: an exception in one ends the start (service.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

from processsupervisor.bot.failure import place_of_error, stack_of_error
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import PsvError

Hook = Callable[[], Awaitable[None]]
TURN_HOOKS_S = 4.0
"""What all ready, pause or resume hooks may take together; psvd waits 10 s for a pause, what runs included."""
_LEAST_S = 0.1
_log = logging.getLogger("processsupervisor.bot")


async def run_hooks(step: str, hooks: Sequence[Hook], timeout_s: float) -> None:
    """Run the hooks one after the other within `timeout_s` together; what one raises is logged, one that takes too long is left behind."""
    ends_mono = clock.mono() + timeout_s
    for hook in hooks:
        await _run(step, hook, max(_LEAST_S, ends_mono - clock.mono()))


async def ask_hook(step: str, answer: Awaitable[None], timeout_s: float) -> str:
    """Wait for what a hook says to a change; returns why it refuses, "" when it does not.

    Only the words of a PsvError are told: those of another exception may hold a value that nobody else is to see.
    """
    task = asyncio.get_running_loop().create_task(cast(Coroutine[Any, Any, None], answer))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        return f"{step} took longer than {timeout_s:g} s"
    if task.cancelled():
        return f"{step} was cancelled"
    raised = task.exception()
    if raised is None or isinstance(raised, PsvError):
        return "" if raised is None else str(raised) or type(raised).__name__
    _log.error("%s failed:\n%s", step, stack_of_error(raised))
    return f"{step} failed: {place_of_error(raised)}"


async def _run(step: str, hook: Hook, timeout_s: float) -> None:
    name = getattr(hook, "__name__", "?")
    task = asyncio.get_running_loop().create_task(cast(Coroutine[Any, Any, None], hook()))
    try:
        # Not asyncio.timeout: a hook that takes no notice of being cancelled is not waited for either.
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        _log.error("%s hook %s took too long", step, name)
    elif not task.cancelled() and (raised := task.exception()) is not None:
        _log.error("%s hook %s failed: %s", step, name, type(raised).__name__)
