"""What one run of a handler stands in: the message's row, what it changes, and the bot that it runs in.

The pump makes one for each run (a second try is another one) and drops it when the run's changes were handed over. Handlers, dialogs,
stores and schedules find the one that they run in by `running_context`, also in tasks that the handler started.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from processsupervisor.bot.collecting import Collected, Growing
from processsupervisor.bot.config import Config
from processsupervisor.bot.http import Http
from processsupervisor.bot.message import Message, message_of
from processsupervisor.bot.recipients import Recipient
from processsupervisor.bot.schedules import Schedule
from processsupervisor.bot.store import Store
from processsupervisor.bot.work import Work, set_work
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Attachment, Due, FileOut, InboxRow, Place, Reply


class Defined(Protocol):
    """What handlers need of the Bot itself (bot/definition.py)."""

    name: str
    config: Config[Any]

    @property
    def http(self) -> Http: ...


class Running(Protocol):
    """What a Bot and its handlers need of the bot that runs; implemented by the service."""

    @property
    def store(self) -> Store[Any]: ...
    @property
    def bot(self) -> Defined: ...
    @property
    def folder(self) -> Path: ...
    def prove(self, network: str) -> None: ...
    async def remind(self, due: Due) -> None: ...
    async def send(self, place: Place, reply: Reply) -> None: ...
    def recipients(self) -> AsyncIterator[Recipient]: ...
    def schedule_of(self, place: Place | None) -> Schedule: ...
    def fetch(self, network: str, attachment: Attachment) -> AsyncIterator[bytes]: ...
    async def keep_file(
        self, row: InboxRow, name: str, mime: str, kind: str, content: Path | bytes | AsyncIterator[bytes]
    ) -> FileOut: ...


def no_points(_point: Any) -> None:
    """Pass every point: nothing strikes."""


@dataclass(slots=True, eq=False)
class Context:
    """One run of one handler for one message."""

    row: InboxRow
    work: Work
    database: BotDatabase
    service: Running | None = None
    """None only where a pump runs without a service, in tests of it."""
    points: Callable[[Any], None] = no_points
    """Hears each named point that the run passes (chat/points.py)."""
    growing: InitVar[Growing | None] = None
    """Shows the replies that grow."""
    collected: Collected = field(init=False)
    """What the handler has answered so far."""
    _message: Message | None = None

    def __post_init__(self, growing: Growing | None) -> None:
        self.collected = Collected(self.row, growing)

    @property
    def message(self) -> Message:
        """The author's view of the message: of the row, or what a middleware passed on instead."""
        if self._message is None:
            self._message = message_of(self.row, self.database, self.fetch)
        return self._message

    @message.setter
    def message(self, message: Message) -> None:
        self._message = message

    @property
    def running(self) -> Running:
        """The bot that this runs in. Raises Refused when there is none."""
        if self.service is None:
            raise Refused("the bot does not run yet", hint="use it in a handler or in @bot.on_start")
        return self.service

    def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Return the content of a file that came in. Raises NetworkError while it is read."""
        return self.running.fetch(self.row.place.network, attachment)


_current: ContextVar[Context | None] = ContextVar("psv_context", default=None)


def set_context(context: Context | None) -> None:
    """Let everything in this task, and in those that it starts from now on, stand in `context`; None leaves it."""
    _current.set(context)
    set_work(None if context is None else context.work)


def running_context() -> Context | None:
    """Return the context of the handler that runs here; None outside of one, and once its changes were handed over."""
    context = _current.get()
    return context if context is not None and context.work.is_open else None
