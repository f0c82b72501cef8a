"""One function of the author that answers something: checked where it is defined, called with what its parameters ask for.

A wrong one fails where it is defined, or, when its annotations do, when the bot starts: with file and line either way.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, cast

from processsupervisor.bot.arguments import BadArguments, BadSignature, UnreadAnnotation, parameter_names, parse_arguments, usage
from processsupervisor.bot.collecting import BadReply
from processsupervisor.bot.context import Context
from processsupervisor.bot.injection import Plan, plan_of
from processsupervisor.bot.message import Message
from processsupervisor.bot.reply import ANSWERS, Answer, is_answer, kind_of
from processsupervisor.chat.consent import RESERVED_COMMANDS
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.storage.records import InboxRow

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")

CallNext: TypeAlias = Callable[[Message], Awaitable[Answer]]
"""What a middleware calls to go on; it may pass another message on."""


class Handler(Protocol):
    """What the engine runs for a message. `name` is the same in every life of the bot."""

    @property
    def name(self) -> str: ...

    async def call(self, context: Context) -> Answer:
        """Return the author's answer. Raises BadReply, and whatever the author's code raises."""


class Event(StrEnum):
    """What a handler is for; with its word it makes the handler's name: "message", "command:add"."""

    MESSAGE = "message"
    COMMAND = "command"
    BUTTON = "button"
    FILE = "file"
    EDIT = "edit"
    JOIN = "join"
    SCHEDULED = "scheduled"


_WRITTEN = frozenset({Event.COMMAND, Event.BUTTON})
"""Events whose handlers take words of a contact."""
_NAMED = frozenset({Event.COMMAND, Event.BUTTON, Event.SCHEDULED})
OLD_BUTTON = "This button does not work any more."
_log = logging.getLogger("processsupervisor.bot")
PAYLOAD = "payload"
"""The parameter of a scheduled handler that is given what was scheduled with it."""


@dataclass(slots=True, eq=False)
class Middleware:
    """Stands around handlers."""

    function: Callable[..., Any]
    _plan: Plan | None = field(default=None, repr=False)

    @property
    def plan(self) -> Plan:
        """How it is called. Raises ConfigError, as that of a Function."""
        if self._plan is None:
            self._plan = _planned(self.function, "@bot.middleware", is_written=False, free=parameter_names(self.function)[1:2])
        return self._plan


@dataclass(slots=True, eq=False)
class Function:
    """A Handler that is one function of the author."""

    event: Event
    word: str
    function: Callable[..., Any]
    middlewares: tuple[Middleware, ...] = ()
    _plan: Plan | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What it is known by: "message", "command:add"."""
        return name_of(self.event, self.word)

    @property
    def shown(self) -> str:
        """Its decorator, as the author wrote it."""
        return f'@bot.{self.event}("{self.word}")' if self.word else f"@bot.on_{self.event}"

    @property
    def plan(self) -> Plan:
        """How it is called. Raises ConfigError with the place of an annotation that cannot be read or given."""
        if self._plan is None:
            free = (PAYLOAD,) if self.event is Event.SCHEDULED else ()
            self._plan = _planned(self.function, self.shown, is_written=self.event in _WRITTEN, free=free)
        return self._plan

    def plans(self) -> list[Plan]:
        """Return how it and what stands around it are called."""
        return [self.plan, *(middleware.plan for middleware in self.middlewares)]

    @property
    def usage(self) -> str:
        """One line of /help."""
        line = usage(self.word, self.plan.written)
        summary = (inspect.getdoc(self.function) or "").split("\n", 1)[0].strip()
        return f"{line} - {summary}" if summary else line

    async def call(self, context: Context) -> Answer:
        """Return the author's answer, or the sentence for a contact whose words do not fit. Raises what the author's code raises."""
        run: Callable[[Context], Awaitable[object]] = self._run
        for middleware in reversed(self.middlewares):
            run = _around(middleware, run)
        answer = await run(context)
        if not is_answer(answer):
            raise BadReply(f"the handler returned {kind_of(answer)}, expected {ANSWERS}")
        return cast(Answer, answer)

    async def _run(self, context: Context) -> Any:
        plan = self.plan
        words: list[Any] = []
        if self.event is Event.SCHEDULED and plan.written:
            words = [json.loads(context.row.text)]
        elif self.event in _WRITTEN:
            try:
                words = parse_arguments(self.word, plan.written, written_text(self.event, context.row))
            except BadArguments as err:
                return str(err) if self.event is Event.COMMAND else self._unfit()
        called = plan.call(self.function, context, words)
        if hasattr(called, "__anext__"):
            return called
        result = await called
        return result.__aiter__() if hasattr(result, "__aiter__") else result

    def _unfit(self) -> str:
        """Return what who pressed a button hears whose data does not fit: nobody wrote it, so nobody can write it better."""
        _log.warning("the data of a button does not fit the parameters of %s, defined at %s", self.shown, place_of(self.function))
        return OLD_BUTTON


def name_of(event: Event, word: str = "") -> str:
    """Return the name of a handler."""
    return f"{event}:{word}" if word else str(event)


def written_text(event: Event, row: InboxRow) -> str:
    """Return the part of a message that holds a handler's arguments: behind the command's word, behind the colon of a button's data."""
    if event is Event.BUTTON:
        return row.text.partition(":")[2]
    text = row.text
    return text.partition(text.split(None, 1)[0])[2]


def _around(middleware: Middleware, run: Callable[[Context], Awaitable[object]]) -> Callable[[Context], Awaitable[object]]:
    async def around(context: Context) -> object:
        async def call_next(message: Message) -> object:
            context.message = message
            return await run(context)

        called: Awaitable[object] = middleware.plan.call(middleware.function, context, (call_next,))
        return await called

    return around


def _planned(function: Callable[..., Any], shown: str, *, is_written: bool, free: tuple[str, ...] = ()) -> Plan:
    try:
        return plan_of(function, is_written=is_written, free=free)
    except BadSignature as err:
        raise ConfigError(f"{place_of(function)}: {shown} cannot use {_name(function)}: {err}") from err


def place_of(function: object) -> str:
    """Return "file:line" of a function, or its repr when it has none."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def check_hook(function: Callable[..., Any], decorator: str) -> None:
    """Raise ConfigError unless `function` is an async def without parameters."""
    if not inspect.iscoroutinefunction(function):
        raise ConfigError(f"{place_of(function)}: {decorator} needs an async def", hint="write async def")
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise ConfigError(f"{place_of(function)}: {decorator} calls the function without arguments") from None


def check_config_hook(function: Callable[..., Any]) -> None:
    """Raise ConfigError unless `function` is an async def that can take the old and the new options alone."""
    code = getattr(function, "__code__", None)
    # The code's flags, as in _check_async; a bound method has its object already.
    if code is None or not code.co_flags & inspect.CO_COROUTINE:
        raise ConfigError(f"{place_of(function)}: @bot.on_config_change needs an async def", hint="write async def changed(old, new)")
    given = 3 if hasattr(function, "__self__") else 2
    most = given if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    required = code.co_argcount - len(function.__defaults__ or ())
    if not required <= given <= most or code.co_kwonlyargcount > len(function.__kwdefaults__ or ()):
        raise ConfigError(f"{place_of(function)}: @bot.on_config_change calls {_name(function)} with the old and the new options")


def make_function(event: Event, word: str, function: Callable[..., Any]) -> Function:
    """Return the checked handler. Raises ConfigError for a bad or reserved word, or a function that is not async."""
    made = Function(event, word, function)
    if event in _NAMED:
        where = place_of(function)
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ConfigError(f"{where}: {event} name {word!r} must match {_WORD.pattern}", hint=_way_out(event, word))
        if event is Event.COMMAND and word in RESERVED_COMMANDS:
            raise ConfigError(f"{where}: /{word} is answered by ProcessSupervisor itself", hint="choose another name")
    _check_async(function, made.shown)
    _check_plan(made)
    return made


def _way_out(event: Event, word: object) -> str:
    if event is Event.BUTTON:
        return 'for the data "vote:yes" it is "vote"'
    if not isinstance(word, str):
        return ""
    if event is Event.COMMAND and _WORD.fullmatch(word[1:]):
        return "write it without the slash"
    better = re.sub(r"[^a-z0-9_-]+", "-", word.lower()).strip("-")[:32]
    return f'write "{better}"' if _WORD.fullmatch(better) else "begin with a letter of a to z, and go on with these, digits, _ and -"


def make_middleware(function: Callable[..., Any]) -> Middleware:
    """Return the checked middleware. Raises ConfigError."""
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & inspect.CO_COROUTINE:
        raise ConfigError(f"{place_of(function)}: @bot.middleware needs an async def", hint="write async def around(message, call_next)")
    if len(parameter_names(function)) < 2:
        raise ConfigError(f"{place_of(function)}: @bot.middleware calls {_name(function)} with the message and call_next")
    made = Middleware(function)
    _check_plan(made)
    return made


def _check_plan(made: Function | Middleware) -> None:
    """Read the annotations; one that names what the file may define further down is read when the bot starts."""
    try:
        _ = made.plan
    except ConfigError as err:
        if not isinstance(err.__cause__, UnreadAnnotation):
            raise


def _check_async(function: Callable[..., Any], decorator: str) -> None:
    # The code's flags instead of inspect and typing: those touch half a megabyte of memory that a forked bot would
    # otherwise share with all others.
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise ConfigError(f"{place_of(function)}: {decorator} needs an async def, {_name(function)} is not one", hint="write async def")


def _name(function: object) -> str:
    return str(getattr(function, "__name__", repr(function)))
