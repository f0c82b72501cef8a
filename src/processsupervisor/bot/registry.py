"""Every handler of a bot under its name, and which of them a message goes to.

Filled by the decorators of a Bot and of the routers that it includes; a name is defined once, wherever. Nothing is decided here about
the core's own commands, groups or dialogs: that is the engine's, before it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from processsupervisor.bot import providers
from processsupervisor.bot.handlers import Event, Function, Middleware, make_function, make_middleware, name_of, place_of
from processsupervisor.bot.shapes import Shape
from processsupervisor.chat.consent import command_in
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.storage.records import InboxRow, Kind

_BY_KIND = {Kind.EDIT: Event.EDIT, Kind.JOINED: Event.JOIN}


class Registry:
    """The handlers and middlewares of one bot or router, and the registries that it includes."""

    def __init__(self) -> None:
        self._own: dict[str, Function] = {}
        self._middlewares: list[Middleware] = []
        self._included: list[Registry] = []
        self._all: dict[str, Function] | None = None
        """Own and included handlers with their middlewares; made when it is first asked for."""

    # --- filling ------------------------------------------------------------------------------------------------

    def define(self, event: Event, word: str, function: Callable[..., Any]) -> None:
        """Keep a handler. Raises ConfigError for one that cannot be, or whose name is taken."""
        made = make_function(event, word, function)
        _check_free(made, self._own)
        self._own[made.name] = made
        self._all = None

    def surround(self, function: Callable[..., Any]) -> None:
        """Keep a middleware: it stands around the handlers of this registry and of those included, inside of those kept before."""
        self._middlewares.append(make_middleware(function))
        self._all = None

    def include(self, other: Registry) -> None:
        """Take the handlers of `other` too, also those that it gets later. Raises ConfigError for a name that both have."""
        if other is self or self in other._below():
            raise ConfigError("a router cannot include itself")
        self._included.append(other)
        self._all = None
        try:
            self._handlers()
        except ConfigError:
            self._included.pop()
            raise

    def _below(self) -> Iterator[Registry]:
        for one in self._included:
            yield one
            yield from one._below()

    # --- asking -------------------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Read the annotations of all. Raises ConfigError with file and line for the first that cannot be given. Called at each start."""
        self._all = None
        for handler in self._handlers().values():
            _ = handler.plan
            for middleware in handler.middlewares:
                _ = middleware.plan

    def shapes_of_config(self) -> list[Shape]:
        """Return the types through which handlers read the options."""
        makes = [make for handler in self._handlers().values() for plan in handler.plans() for make in plan.makes()]
        return [make.shape for make in makes if isinstance(make, providers.ConfigMake)]

    def find(self, row: InboxRow) -> Function | None:
        """Return the author's handler for a message, None when there is none.

        A command or a button without a handler of its own goes on: the command to `on_message`, the button to nobody (dispatch.py says so).
        """
        if row.kind is Kind.MESSAGE:
            return self.command(command_in(row)) or self._file(row) or self.named("message")
        if row.kind is Kind.BUTTON:
            return self.named(name_of(Event.BUTTON, row.text.partition(":")[0]))
        if row.kind is Kind.SCHEDULE:
            return self.named(name_of(Event.SCHEDULED, row.sender))
        event = _BY_KIND.get(row.kind)
        return self.named(str(event)) if event is not None else None

    def command(self, word: str | None) -> Function | None:
        """Return the author's command."""
        return None if word is None else self.named(name_of(Event.COMMAND, word))

    def named(self, name: str) -> Function | None:
        """Return the handler of this name, as Function.name says it."""
        return self._handlers().get(name)

    def commands(self) -> list[Function]:
        """Return all commands in the order of their definition."""
        return [handler for handler in self._handlers().values() if handler.event is Event.COMMAND]

    def words(self, event: Event) -> list[str]:
        """Return the words of all handlers for this kind of event."""
        return [handler.word for handler in self._handlers().values() if handler.event is event]

    def scheduled(self) -> list[str]:
        """Return the names of all handlers that something can be scheduled for."""
        return self.words(Event.SCHEDULED)

    def help(self) -> str:
        """Return what /help says; empty when there is no command."""
        lines = [command.usage for command in self.commands()]
        return "\n".join(["I know these commands:", *lines]) if lines else ""

    def _file(self, row: InboxRow) -> Function | None:
        return self.named(str(Event.FILE)) if row.envelope.attachments else None

    def _handlers(self) -> dict[str, Function]:
        if self._all is None:
            found: dict[str, Function] = {}
            for handler in self._gathered():
                _check_free(handler, found)
                found[handler.name] = handler
            self._all = found
        return self._all

    def _gathered(self, outer: tuple[Middleware, ...] = ()) -> Iterator[Function]:
        around = (*outer, *self._middlewares)
        for handler in self._own.values():
            yield handler if not around else Function(handler.event, handler.word, handler.function, around)
        for one in self._included:
            yield from one._gathered(around)


def _check_free(made: Function, taken: dict[str, Function]) -> None:
    known = taken.get(made.name)
    if known is not None:
        raise ConfigError(f"{place_of(made.function)}: {made.shown} is defined already at {place_of(known.function)}")
