"""Checks and keeps what an author's decorators define. A wrong handler fails where it is defined, with file and line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from processsupervisor.bot.arguments import BadSignature, Parameter, read_signature, usage
from processsupervisor.chat.consent import RESERVED_COMMANDS
from processsupervisor.kernel.errors import ConfigError

_COMMAND_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Command:
    """A command and how contacts write it."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    summary: str

    @property
    def usage(self) -> str:
        """One line of /help."""
        line = usage(self.name, self.parameters)
        return f"{line} - {self.summary}" if self.summary else line


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


def check_message_handler(function: Callable[..., Any]) -> None:
    """Raise ConfigError unless `function` is an async def (or async generator) that can take the message alone."""
    _check_async(function, "@bot.on_message")
    code = function.__code__
    required = code.co_argcount - len(function.__defaults__ or ())
    if code.co_argcount < 1 and not code.co_flags & inspect.CO_VARARGS:
        raise ConfigError(f"{place_of(function)}: @bot.on_message needs the message as the first parameter of {_name(function)}")
    if required > 1 or code.co_kwonlyargcount > len(function.__kwdefaults__ or ()):
        raise ConfigError(f"{place_of(function)}: @bot.on_message calls {_name(function)} with the message alone")


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


def make_command(name: str, function: Callable[..., Any], taken: dict[str, Command]) -> Command:
    """Return the checked command. Raises ConfigError for a bad or taken name, or a signature that contacts cannot write."""
    where = place_of(function)
    if not isinstance(name, str) or not _COMMAND_NAME.fullmatch(name):
        raise ConfigError(f"{where}: command name {name!r} must match {_COMMAND_NAME.pattern}", hint="write it without the slash")
    if name in RESERVED_COMMANDS:
        raise ConfigError(f"{where}: /{name} is answered by ProcessSupervisor itself", hint="choose another name")
    if name in taken:
        raise ConfigError(f"{where}: /{name} is defined already at {place_of(taken[name].function)}")
    _check_async(function, f'@bot.command("{name}")')
    try:
        parameters = read_signature(function)
    except BadSignature as err:
        raise ConfigError(f'{where}: @bot.command("{name}") cannot use {_name(function)}: {err}') from err
    return Command(name, function, parameters, (inspect.getdoc(function) or "").split("\n", 1)[0].strip())


def _check_async(function: Callable[..., Any], decorator: str) -> None:
    # The code's flags instead of inspect and typing: those touch half a megabyte of memory that a forked bot would
    # otherwise share with all others.
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise ConfigError(f"{place_of(function)}: {decorator} needs an async def, {_name(function)} is not one", hint="write async def")


def _name(function: object) -> str:
    return str(getattr(function, "__name__", repr(function)))
