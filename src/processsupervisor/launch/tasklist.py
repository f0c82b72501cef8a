"""The asyncio tasks of a bot in words: name, state, and where each waits, from the outermost await to the innermost.

No values of variables: those may be secrets. Written into the dump file on TASKS_SIGNAL: in a program by a handler of the main
thread, which runs also while that waits in time.sleep or for a lock; in a native bot by a thread of its own, which needs the
interpreter's lock only.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from processsupervisor.kernel.pulse import TASKS_END, TASKS_SIGNAL
from processsupervisor.launch import heartbeat

_MOST_TASKS = 200
_MOST_FRAMES = 30
_MOST_BYTES = 60_000
_NAME_CHARACTERS = 80
_STACK_BYTES = 256 * 1024


def answer_by_handler(descriptor: int) -> None:
    """Write the tasks into `descriptor` on each TASKS_SIGNAL, from the main thread."""
    signal.signal(TASKS_SIGNAL, lambda _number, _frame: _answer(descriptor))


def answer_by_thread(descriptor: int) -> None:
    """The same from a thread, a bare one: it costs a tenth of a MB less than threading's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {TASKS_SIGNAL})

    def serve() -> None:
        while True:
            signal.sigwait({TASKS_SIGNAL})
            _answer(descriptor)

    before = threading.stack_size(_STACK_BYTES)
    try:
        _thread.start_new_thread(serve, ())
    finally:
        threading.stack_size(before)


def _answer(descriptor: int) -> None:
    try:
        text = "".join(_describe(heartbeat.running_loop()))
    except Exception as err:  # noqa: BLE001 - a task may be of any class: nothing that it does harms the bot
        text = f"the tasks could not be listed: {type(err).__name__}\n"
    body = text.encode("utf-8", "replace")
    if len(body) > _MOST_BYTES:
        body = body[:_MOST_BYTES] + b"\n... cut\n"
    try:
        os.write(descriptor, body + TASKS_END)
    except OSError:
        pass


def _describe(loop: asyncio.AbstractEventLoop | None) -> Iterator[str]:
    if loop is None:
        yield "no event loop runs in the main thread\n"
        return
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    current = asyncio.current_task(loop)
    for task in tasks[:_MOST_TASKS]:
        mark = ", running now" if task is current else ""
        yield f"Task {task.get_name()[:_NAME_CHARACTERS]}: {_name_of(task.get_coro())}{mark}\n"
        yield from _places(task.get_coro())
        waiter = getattr(task, "_fut_waiter", None)
        if isinstance(waiter, asyncio.Task):
            yield f"  waits for task {waiter.get_name()[:_NAME_CHARACTERS]}\n"
        elif waiter is not None:
            yield "  waits for a future\n"
    if len(tasks) > _MOST_TASKS:
        yield f"... and {len(tasks) - _MOST_TASKS} more\n"


def _places(awaited: Any) -> Iterator[str]:
    """Yield a line for each coroutine or generator on the way to what is waited for."""
    for _ in range(_MOST_FRAMES):
        frame, inner = _step(awaited)
        if frame is None:
            return
        yield f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}\n'
        awaited = inner


def _step(awaited: Any) -> tuple[FrameType | None, Any]:
    for kind, link in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        frame = getattr(awaited, f"{kind}_frame", None)
        if frame is not None:
            return frame, getattr(awaited, link, None)
    return None, None


def _name_of(coroutine: object) -> str:
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))
