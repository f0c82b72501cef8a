"""`Lab`: a bot under test, with the real pump, storage and conversations, on a network and a clock that belong to the test.

Nothing is started but an event loop: no process, thread, socket or supervisor. One call returns when the bot has come to rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from processsupervisor.bot.api import Bot
from processsupervisor.chat.points import Point
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import NetworkError
from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.units import parse_duration
from processsupervisor.storage import letters
from processsupervisor.storage.known import DeadLetter
from processsupervisor.testing.network import Look, MemoryNetwork, Shown
from processsupervisor.testing.people import Group, Person, make_group
from processsupervisor.testing.stage import Stage, Step

T = TypeVar("T")


def _settings(chat: Mapping[str, Any] | None) -> ChatSettings:
    """Return the settings of a table [bots.NAME.chat]. Raises UsageError for what fleet.toml would not take either."""
    if not chat:
        return ChatSettings()
    from processsupervisor.config.chattables import ChatTable, chat_spec
    from processsupervisor.config.shape import read_table

    table, findings = read_table(ChatTable, dict(chat), ("chat",))
    if table is None:
        raise UsageError(f"{'.'.join(map(str, findings[0].path))}: {findings[0].message}", hint=findings[0].hint)
    return ChatSettings.from_spec(chat_spec(table))


class LabClock:
    """The time in a Lab: it stands still but for what a bot's own waiting takes, and for `advance`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def now(self) -> datetime:
        """The time of day (UTC)."""
        return self._stage.virtual.now

    def advance(self, by: str | float | timedelta) -> Step[None]:
        """Let time pass ("90s", "1h", seconds, a timedelta), and everything that is due meanwhile happen; not a moment more."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else parse_duration(by)
        return self._stage.step(f"lab.clock.advance({by!r})", self._advance(seconds))

    async def _advance(self, seconds: float) -> None:
        await self._stage.alive()
        await self._stage.pace.reach(self._stage.virtual.mono() + seconds)


class Lab:
    """A bot and the people who talk to it. `bot` is a Bot, or "module:bot", which a restart imports anew.

    `options` and `chat` are the tables of that name in fleet.toml. `start` is the time of day that the clock begins with (default: now).
    Use it in a `with` block, in an async test in `async with`, or take the fixture `lab` in either.
    """

    def __init__(
        self, bot: Bot | str, *, name: str = "bot", options: Mapping[str, Any] | None = None, chat: Mapping[str, Any] | None = None,
        network: MemoryNetwork | None = None, start: datetime | None = None,
    ) -> None:  # fmt: skip
        self.network = network if network is not None else MemoryNetwork()
        began = start.timestamp() if start is not None else None
        self._stage = Stage(bot, name, dict(options or {}), _settings(chat), self.network, began)
        self.clock = LabClock(self._stage)
        self._people: dict[str, Person] = {}
        self._groups: dict[str, Group] = {}

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._stage.run(self._stage.leave())
        finally:
            self._stage.close(is_failing=error is not None)

    async def __aenter__(self) -> Lab:
        self._stage.take(asyncio.get_running_loop())
        self._stage.virtual.show()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self._stage.leave()
        finally:
            self._stage.virtual.hide()
            self._stage.close(is_failing=error is not None)

    # --- people ------------------------------------------------------------------------------------------------------

    def person(self, name: str) -> Person:
        """Return somebody who is alone with the bot."""
        if name not in self._people:
            self._people[name] = Person(self._stage, self.network.chat(name), name)
        return self._people[name]

    def group(self, name: str) -> Group:
        """Return a group; the bot is in it after `adds_bot()`."""
        if name not in self._groups:
            self._groups[name] = make_group(self._stage, name)
        return self._groups[name]

    @property
    def you(self) -> Person:
        """The person for whom `say` and `sees` of the Lab itself speak."""
        return self.person("you")

    def say(self, text: str) -> Step[None]:
        """Say something as `you`."""
        return self.you.says(text)

    def sees(self, text: str) -> Step[Shown]:
        """See it as `you`: the next message that holds this text."""
        return self.you.sees(text)

    def press(self, label: str) -> Step[None]:
        """Press a button as `you`."""
        return self.you.presses(label)

    # --- the bot -----------------------------------------------------------------------------------------------------

    @property
    def bot(self) -> Bot:
        """The bot as it runs now."""
        return self._stage.definition

    @property
    def folder(self) -> Path:
        """The bot's data folder (bot.db, files/), as long as the Lab lasts."""
        return self._stage.folder

    @property
    def sent(self) -> list[Look]:
        """Everything that appeared anywhere, in order."""
        return self.network.looks

    @property
    def letters(self) -> list[DeadLetter]:
        """What the bot gave up, newest first."""
        return self._stage.read(lambda db: letters.dead_letters(db, 100), [])

    @property
    def is_dead(self) -> bool:
        """Tell whether the bot died at a point and was not restarted yet."""
        return self._stage.life is not None and self._stage.life.is_dead

    @property
    def exit_code(self) -> int | None:
        """What the bot's own code ended it with (`sys.exit`), None unless it did; until `restart` it is dead."""
        return self._stage.life.exit_code if self._stage.life is not None else None

    @property
    def ended_by(self) -> NetworkError | None:
        """Why the network takes the bot no longer (its token is refused, or in use elsewhere), by which a process ends."""
        return self._stage.life.ended_by if self._stage.life is not None else None

    def start(self) -> Step[None]:
        """Start the bot, which the first word to it does otherwise. Raises what a start hook raises."""
        return self._stage.step("lab.start()", self._stage.alive())

    def restart(self) -> Step[None]:
        """Stop the bot in good order, unless it is dead, and start it again on the same data."""
        return self._stage.step("lab.restart()", self._stage.restart())

    def kill(self) -> None:
        """Kill the bot, as by SIGKILL; what people say from now on waits for `restart`."""
        self._stage.fall()

    def die_at(self, point: Point, *, passes: int = 0) -> None:
        """Kill the bot when it comes to this point, after it has passed there so many times."""
        self._stage.die_at(point, passes)

    def settle(self) -> Step[None]:
        """Wait until the bot has nothing more to do."""
        return self._stage.step("lab.settle()", self._stage.settle())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the Lab's loop and clock, for an async test without the fixture."""
        return self._stage.run(main)
