"""Everything that a handler's parameters can be given, one line each."""

from __future__ import annotations

from typing import Any

from processsupervisor.bot.config import Config, TypedConfig
from processsupervisor.bot.contact import Contact, contact_of
from processsupervisor.bot.context import Context
from processsupervisor.bot.conversation import Conversation
from processsupervisor.bot.http import Http
from processsupervisor.bot.injection import Make, provide
from processsupervisor.bot.log import Log
from processsupervisor.bot.message import Message
from processsupervisor.bot.schedules import Schedule
from processsupervisor.bot.shapes import Shape
from processsupervisor.bot.store import BotStore, Store
from processsupervisor.storage.values import BOT_SCOPE, scope_of


def _conversation_store(inner: Any) -> Make:
    shape = None if inner in (None, Any) else Shape(inner)
    return lambda context: Store[Any](context.database, scope_of(context.row.place), shape)


def _bot_store(inner: Any) -> Make:
    shape = None if inner in (None, Any) else Shape(inner)
    return lambda context: BotStore[Any](context.database, BOT_SCOPE, shape)


class ConfigMake:
    """Makes Config[T]; the registry asks it whether a table of options fits, before that holds."""

    __slots__ = ("_made", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._made: tuple[Config[Any], TypedConfig[Any]] | None = None

    def __call__(self, context: Context) -> object:
        config = context.running.bot.config
        if self._made is None or self._made[0] is not config:
            self._made = config, TypedConfig(config, self.shape)
        return self._made[1]


def _config(inner: Any) -> Make:
    return (lambda context: context.running.bot.config) if inner in (None, Any) else ConfigMake(Shape(inner))


provide(Message, lambda _inner: lambda context: context.message)
provide(Contact, lambda _inner: lambda context: contact_of(context.row))
provide(Conversation, lambda _inner: Conversation)
provide(Log, lambda _inner: Log)
provide(Http, lambda _inner: lambda context: context.running.bot.http)
provide(Schedule, lambda _inner: lambda context: context.running.schedule_of(context.row.place))
provide(Store, _conversation_store)
provide(BotStore, _bot_store)
provide(Config, _config)
