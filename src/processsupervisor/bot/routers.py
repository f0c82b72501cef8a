"""`Router`: handlers of a part of a bot, in a file of their own. A `Bot` is one too, and takes others in with `include`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from processsupervisor.bot.bare import bare
from processsupervisor.bot.handlers import Event, place_of
from processsupervisor.bot.registry import Registry
from processsupervisor.bot.reply import Answer, Part
from processsupervisor.kernel.errors import ConfigError

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Answer] | AsyncIterator[Part]])
Around = TypeVar("Around", bound=Callable[..., Awaitable[Answer]])


class Router:
    """Handlers and middlewares, to be included by a bot or by another router."""

    def __init__(self) -> None:
        self.registry = Registry()

    @bare
    def on_message(self, function: Handler) -> Handler:
        """Answer every message that is no command: return None, a text, a Reply or a list of these, or yield a text in pieces."""
        self.registry.define(Event.MESSAGE, "", function)
        return function

    def command(self, name: str) -> Callable[[Handler], Handler]:
        """Answer "/NAME ...": its parameters are parsed by their annotations, the docstring's first line is for /help."""
        return self._named(Event.COMMAND, name)

    def button(self, name: str) -> Callable[[Handler], Handler]:
        """Answer a pressed button whose data is NAME or "NAME:...": what stands behind the colon is parsed like a command's arguments."""
        return self._named(Event.BUTTON, name)

    def scheduled(self, name: str) -> Callable[[Handler], Handler]:
        """Answer what was scheduled for the handler NAME; its parameter `payload` is what was scheduled with it."""
        return self._named(Event.SCHEDULED, name)

    @bare
    def on_file(self, function: Handler) -> Handler:
        """Answer every message with files that is no command; without it they go to on_message."""
        self.registry.define(Event.FILE, "", function)
        return function

    @bare
    def on_edit(self, function: Handler) -> Handler:
        """Hear that a person changed an earlier message; without it nothing happens then."""
        self.registry.define(Event.EDIT, "", function)
        return function

    @bare
    def on_join(self, function: Handler) -> Handler:
        """Hear that the bot was added to a group or channel, behind the statement that a program answers."""
        self.registry.define(Event.JOIN, "", function)
        return function

    @bare
    def middleware(self, function: Around) -> Around:
        """Stand around every handler of this router, and of those that it includes.

        `async def around(message, call_next)` returns `await call_next(message)`, or an answer of its own.
        """
        self.registry.surround(function)
        return function

    def include(self, router: Router) -> None:
        """Take in the handlers of another router. Raises ConfigError for a name that is taken."""
        if not isinstance(router, Router):
            raise ConfigError(f"include() needs a Router, {type(router).__name__} is none")
        self.registry.include(router.registry)

    def _named(self, event: Event, name: str) -> Callable[[Handler], Handler]:
        where: Any = name
        if callable(where):
            raise ConfigError(f"{place_of(where)}: @bot.{event} needs the {event}'s name", hint=f'write @bot.{event}("name")')

        def define(function: Handler) -> Handler:
            self.registry.define(event, name, function)
            return function

        return define
