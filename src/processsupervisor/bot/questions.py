"""`ask` and `once`, what an author writes in a handler that talks with its contact over several messages."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, overload

from processsupervisor.bot.asking import Run, running_run
from processsupervisor.bot.choices import buttons, check_choices
from processsupervisor.bot.context import Context, running_context
from processsupervisor.bot.journal import is_inside_step
from processsupervisor.bot.message import Message, message_of
from processsupervisor.bot.reply import Part, record_of
from processsupervisor.bot.schedules import BOT_NETWORK
from processsupervisor.bot.work import open_work
from processsupervisor.bot.written import json_of, seconds_of
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import PsvError, UsageError
from processsupervisor.storage.records import Reply

T = TypeVar("T")


class AskTimeout(PsvError):
    """Nobody answered in time. One that a handler lets through ends it quietly."""

    code = "ask-timeout"


class Said(str):
    """What a contact answered: the text, or the choice. `message` is the whole message, with its files."""

    __slots__ = ("message",)

    message: Message

    def __new__(cls, text: str, message: Message) -> Said:
        """Return the text with the message that it came in."""
        made = super().__new__(cls, text)
        made.message = message
        return made


async def ask(question: Part, *, timeout: float | timedelta | str | None = None, choices: Sequence[str] = ()) -> Said:
    """Ask who wrote the message that is being handled, and wait for the answer, whatever dies meanwhile.

    What the handler replied and changed so far is committed with the question. `timeout` (seconds, timedelta or "10m") counts from the
    question and outlives restarts; then AskTimeout is raised. `choices` are offered as buttons, and only one of them is an answer then.
    Raises UsageError outside of a handler, and for what cannot be asked.
    """
    context, run = _asked_in()
    offered = check_choices(choices)
    deadline_at = None
    if timeout is not None:
        deadline_at = await run.journal.told("now", "", _now) + _seconds(timeout)
    reply = await record_of(question, context.row)
    while True:
        given = await run.ask(_offered(reply, offered, run), offered, deadline_at)
        if given.row is None:
            raise AskTimeout("nobody answered in time")
        if given.text or not offered:
            return Said(given.text, message_of(given.row, context.database, context.fetch))
        reply = Reply(f"Please choose: {', '.join(offered)}.")


@overload
async def once(name: str, work: Awaitable[T] | Callable[[], Awaitable[T]]) -> T: ...


@overload
async def once(name: str, work: Callable[[], T]) -> T: ...


async def once(name: str, work: Any) -> Any:
    """Return what `work` returns, as JSON can hold it, and the same again when the handler is played again after a question.

    For what is not the bot's own: the time, chance, another service. `work` is a function without arguments, async or not, or something to
    be awaited; `name` says which step it is. A handler that dies before its next question or its end begins anew, and does it again.
    Raises UsageError outside of a handler, and for what is not JSON.
    """
    _, run = _asked_in()
    if not callable(work) and not inspect.isawaitable(work):
        raise UsageError(f"once is given a {type(work).__name__}, expected a function", hint="once(name, lambda: …)", found=())

    async def do() -> object:
        value = work() if callable(work) else work
        if inspect.isawaitable(value):
            value = await value
        # A tuple is a list the first time too, not only when it is played again.
        told: object = json.loads(json_of(value, "what once is to keep"))
        return told

    try:
        return await run.journal.told("once", name, do)
    finally:
        if inspect.iscoroutine(work):
            work.close()  # it was not needed; one that has run is closed already


def _asked_in() -> tuple[Context, Run]:
    open_work()  # raises in a handler that was given up
    context, run = running_context(), running_run()
    if context is None or run is None:
        raise UsageError("questions are asked in a handler", hint="await ask(...) in a function that a decorator of the bot has defined")
    if is_inside_step():
        raise UsageError("a function that `once` calls can ask nobody", hint="ask first, and give `once` what the answer is needed for")
    if context.row.place.network == BOT_NETWORK:
        raise UsageError("nobody can be asked by a schedule of the whole bot", hint="schedule it in the conversation")
    return context, run


def _offered(reply: Reply, choices: tuple[str, ...], run: Run) -> Reply:
    if not choices:
        return reply
    return Reply(reply.text, replace(reply.extras, buttons=buttons(choices, run.head.row_id, run.questions + 1)))


def _seconds(timeout: float | timedelta | str) -> float:
    seconds = seconds_of(timeout)
    if seconds <= 0:
        raise UsageError("a timeout is longer than 0 s")
    return seconds


async def _now() -> float:
    return clock.wall()

