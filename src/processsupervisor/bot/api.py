"""`Bot`, what an author writes against. It only remembers; the pump and the service do the work.

The same file runs in a fleet (psv imports it after the fork) and alone (`bot.run()`, a console).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from processsupervisor.bot.bare import bare
from processsupervisor.bot.context import Running
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.handlers import Event, check_config_hook, check_hook, place_of
from processsupervisor.bot.lifespan import lifespan_hooks
from processsupervisor.bot.message import Message
from processsupervisor.bot.outside import OutsideResponder, OutsideStore
from processsupervisor.bot.recipients import Recipient
from processsupervisor.bot.reply import Reply, unasked_record
from processsupervisor.bot.schedules import Schedule
from processsupervisor.bot.store import Store
from processsupervisor.bot.work import told
from processsupervisor.bot.written import seconds_of
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import ConfigError, Refused
from processsupervisor.storage.records import Due, Place

Hook = TypeVar("Hook", bound=Callable[[], Awaitable[None]])
Life = TypeVar("Life", bound=Callable[[], AsyncIterator[None]])
ConfigHook = TypeVar("ConfigHook", bound=Callable[[dict[str, Any], dict[str, Any]], Awaitable[None]])

imported_by_psv = False
"""Set by the loader: psv runs the bots of this process, so that Bot.run() has nothing to do."""


class Bot(Definition):
    """A bot: define handlers with its decorators, then name it in fleet.toml (`run = "module:bot"`) or call run()."""

    @bare
    def on_start(self, function: Hook) -> Hook:
        """Call `function()` before the bot is ready; an exception ends the start."""
        check_hook(function, "@bot.on_start")
        self.start_hooks.append(function)
        return function

    @bare
    def on_ready(self, function: Hook) -> Hook:
        """Call `function()` once the bot is ready, beside its first messages; an exception is logged."""
        check_hook(function, "@bot.on_ready")
        self.ready_hooks.append(function)
        return function

    @bare
    def on_pause(self, function: Hook) -> Hook:
        """Call `function()` when a pause was asked for and the last handler has ended; an exception is logged."""
        check_hook(function, "@bot.on_pause")
        self.pause_hooks.append(function)
        return function

    @bare
    def on_resume(self, function: Hook) -> Hook:
        """Call `function()` before the bot takes messages again after a pause; an exception is logged."""
        check_hook(function, "@bot.on_resume")
        self.resume_hooks.append(function)
        return function

    @bare
    def on_stop(self, function: Hook) -> Hook:
        """Call `function()` when the last handler has ended; an exception is logged."""
        check_hook(function, "@bot.on_stop")
        self.stop_hooks.append(function)
        return function

    @bare
    def on_exit(self, function: Hook) -> Hook:
        """Call `function()` as the last thing of all, when stores and connections are closed; an exception is logged."""
        check_hook(function, "@bot.on_exit")
        self.exit_hooks.append(function)
        return function

    @bare
    def lifespan(self, function: Life) -> Life:
        """Run a generator around the bot's life: up to its yield with the start hooks, the rest with the stop hooks, the last one first.

        An exception before the yield ends the start, one behind it is logged.
        """
        begin, end = lifespan_hooks(function)
        self.start_hooks.append(begin)
        self.stop_hooks.insert(0, end)
        return function

    def use_responder(self, name: str, **settings: object) -> None:
        """Let a responder of an installed package answer every message that is no command, in place of on_message."""
        outside = OutsideResponder(name, settings)
        self.registry.define(Event.MESSAGE, "", outside.answer)

        async def use_responder() -> None:
            outside.make(self.name, self._runtime().folder)

        self.start_hooks.append(use_responder)

    def use_store(self, name: str, **settings: object) -> OutsideStore:
        """Return values that a store of an installed package keeps; open from the start hooks on, closed behind the stop hooks."""
        outside = OutsideStore(name, settings)

        async def use_store() -> None:
            await outside.begin(self.name, self._runtime().folder)

        self.start_hooks.insert(0, use_store)
        self.exit_hooks.append(outside.end)
        return outside

    @bare
    def on_config_change(self, function: ConfigHook) -> ConfigHook:
        """Call `function(old, new)` before other options hold while the bot runs; what it raises refuses them, Refused with its words.

        It has 10 s. Without it, other options reach the bot by a restart.
        """
        if self.config_hook is not None:
            raise ConfigError(f"{place_of(function)}: @bot.on_config_change is defined already at {place_of(self.config_hook)}")
        check_config_hook(function)
        self.config_hook = function
        return function

    @property
    def store(self) -> Store[Any]:
        """Values of the whole bot. Raises Refused while the bot does not run."""
        return self._runtime().store

    @property
    def schedule(self) -> Schedule:
        """Schedules of the whole bot; those of a conversation are a parameter annotated Schedule. Raises Refused while it does not run."""
        return self._runtime().schedule_of(None)

    async def remind(self, message: Message, after: float | timedelta | str, text: str) -> datetime:
        """Send `text` into the message's conversation after a while (seconds, timedelta or "10m"), whatever dies meanwhile.

        Inside a handler it is committed with the reply. Returns when it is due; raises UsageError for a bad duration or
        a conversation with 1,000 reminders to come.
        """
        seconds = seconds_of(after)

        async def set_it() -> float:
            due_at = clock.wall() + seconds
            await self._runtime().remind(Due(message.place, due_at, text))
            return due_at

        return datetime.fromtimestamp(await told("remind", "", set_it), UTC)

    async def send(self, network: str, conversation: str, message: str | Reply) -> None:
        """Send a message that answers none, to a contact who agreed by /start; in a handler it is committed with its reply.

        Raises Refused (code "no-opt-in") to one who did not, or said /stop, and (code "unreachable") to one who blocked the bot.
        """
        place, running = Place(network, conversation), self._runtime()

        async def send() -> None:
            await running.send(place, await unasked_record(message, place, running))

        await told("send", "", send)

    def recipients(self) -> AsyncIterator[Recipient]:
        """Return the conversations that `send` may write to now, for `async for`. One of them may be gone when it is written to."""
        return self._runtime().recipients()

    def prove(self, network: str) -> None:
        """Say that `network` has answered just now; for a bot that talks to one by code of its own. On its loop, as often as it likes.

        From the first proof on the bot counts as connected while the last one is younger than `health.connected_within`.
        """
        self._runtime().prove(network)

    def run(self, name: str | None = None) -> None:
        """Run this bot alone on the console until end of input or Ctrl-C; does nothing when psv runs the file.

        A fleet.toml beside the file or above it gives it options, chat and networks, when a bot there runs this object (`name` says which,
        where several do). Its state lies in `.psv-console/FILE/bot.db` beside the file, or in that of the bot's name.
        """
        if imported_by_psv:
            return
        from processsupervisor.bot.alone import run_alone

        run_alone(self, name)

    def _runtime(self) -> Running:
        if self.running is None:
            raise Refused("the bot does not run yet", hint="use it in a handler or in @bot.on_start")
        return self.running
