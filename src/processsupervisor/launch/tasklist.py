"""The threads and asyncio tasks of a bot in words: the stacks of all threads, and where each task waits, outermost await first.

No values of variables: those may be secrets. Written into the dump file on TASKS_SIGNAL: in a program by a handler of the main
thread, which runs also while that waits in time.sleep or for a lock; in a native bot by a thread of its own, which needs the
interpreter's lock only. Whoever holds that lock sees stacks that stand still; faulthandler, which does not hold it, may meet one
that changes under it and end the process, so it is asked only when no answer comes from here.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from processsupervisor.kernel.pulse import TASKS_BEGIN, TASKS_END, TASKS_SIGNAL
from processsupervisor.launch import heartbeat

_MOST_TASKS = 200
_MOST_FRAMES = 30
MOST_THREADS, _MOST_CALLS = 100, 100
MOST_BYTES = 60_000
"""Of threads and of tasks; what is longer ends in CUT."""
CUT = b"\n... cut\n"
MORE_THREADS = "... and more threads\n"
_NAME_CHARACTERS = 80
_STACK_BYTES = 256 * 1024


def answer_by_handler(descriptor: int) -> None:
    """Write threads and tasks into `descriptor` on each TASKS_SIGNAL, from the main thread."""
    signal.signal(TASKS_SIGNAL, lambda _number, frame: _answer(descriptor, frame))


def answer_by_thread(descriptor: int) -> None:
    """The same from a thread, a bare one: it costs a tenth of a MB less than threading's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {TASKS_SIGNAL})

    def serve() -> None:
        while True:
            signal.sigwait({TASKS_SIGNAL})
            _answer(descriptor, None)

    before = threading.stack_size(_STACK_BYTES)
    try:
        _thread.start_new_thread(serve, ())
    finally:
        threading.stack_size(before)


def _answer(descriptor: int, interrupted: FrameType | None) -> None:
    """Write the answer; `interrupted` is where the main thread was when it runs this itself, None in another thread."""
    try:
        tasks = "".join(_describe(heartbeat.running_loop()))
    except Exception as err:  # noqa: BLE001 - a task may be of any class: nothing that it does harms the bot
        tasks = f"the tasks could not be listed: {type(err).__name__}\n"
    try:
        os.write(descriptor, _cut("".join(_threads(interrupted))) + TASKS_BEGIN + _cut(tasks) + TASKS_END)
    except OSError:
        pass


def _cut(text: str) -> bytes:
    body = text.encode("utf-8", "replace")
    return body if len(body) <= MOST_BYTES else body[:MOST_BYTES] + CUT


def _threads(interrupted: FrameType | None) -> Iterator[str]:
    """Yield the stack of each thread, the main one first, as faulthandler writes them; that of this very thread only if it is that one."""
    frames: dict[int, FrameType | None] = dict(sys._current_frames())
    own, main = threading.get_ident(), threading.main_thread().ident or 0
    del frames[own]
    others = sorted(ident for ident in frames if ident != main)
    first = interrupted if own == main else frames.get(main)
    yield f"Current thread 0x{main:016x} (most recent call first):\n"
    yield from _calls(first)
    for ident in others[:MOST_THREADS]:
        yield f"\nThread 0x{ident:016x} (most recent call first):\n"
        yield from _calls(frames[ident])
    if len(others) > MOST_THREADS:
        yield MORE_THREADS


def _calls(frame: FrameType | None) -> Iterator[str]:
    for _ in range(_MOST_CALLS):
        if frame is None:
            return
        yield f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}\n'
        frame = frame.f_back
    yield "  ...\n"


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
