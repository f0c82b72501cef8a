"""What a Lab stands on: the loop, the time, the network, and the lives of the bot one after the other.

Every act of a test is a step. In a plain test a step runs the loop until it is through; in an async test, which runs on the same
loop, it is awaited. One loop and one bot a stage; nothing here knows what people say.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Generic, TypeVar

from processsupervisor.bot.api import Bot
from processsupervisor.bot.loading import LoadFailed, load_bot
from processsupervisor.chat.points import Point
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.records import Incoming
from processsupervisor.testing.life import ASYNCIO, Died, Life, make_task
from processsupervisor.testing.network import MemoryNetwork
from processsupervisor.testing.pace import Pace
from processsupervisor.testing.virtualtime import VirtualTime, Warp

T = TypeVar("T")


class Step(Awaitable[T], Generic[T]):
    """One act of a test: through already, or to be awaited in an async test."""

    def __init__(self, name: str, task: asyncio.Task[T]) -> None:
        self.name = name
        self._task = task
        self.was_awaited = False

    def __await__(self) -> Generator[Any, None, T]:
        self.was_awaited = True
        return self._task.__await__()

    async def wait(self) -> T:
        """Return what comes of it."""
        return await self._task

    @property
    def value(self) -> T:
        """What came of it. Raises UsageError in an async test that has not awaited it."""
        if not self._task.done():
            raise UsageError(f"{self.name} is not awaited yet", hint=f"in an async test write await {self.name}")
        return self._task.result()


class Stage:
    """Runs steps; keeps one life of the bot going until it is stopped or dies."""

    def __init__(
        self, bot: Bot | str, name: str, options: dict[str, Any], settings: ChatSettings, network: MemoryNetwork, start: float | None
    ) -> None:
        self._source = bot
        self._name = name
        self._options = options
        self._settings = settings
        self.network = network
        self.virtual = VirtualTime(start)
        self.pace = Pace(self.virtual, self._is_quiet, self.explain)
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._warp: Warp | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.life: Life | None = None
        self._lives: list[Life] = []
        self._starting = asyncio.Lock()
        self._deadly: dict[Point, int] = {}
        """Where the bot is to die, and how often it passes there before."""
        self._steps: list[Step[Any]] = []
        self.definition = self._load()

    # --- the loop ----------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the bot runs on: one of its own, made when it is first needed, unless one was taken."""
        if self._loop is None:
            self._own_loop = asyncio.SelectorEventLoop()
            self.take(self._own_loop)
        assert self._loop is not None
        return self._loop

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live on this loop, on virtual time. Raises UsageError when it cannot be put on it."""
        self._warp = Warp(loop, self.virtual, self.pace)
        self._loop = loop
        loop.set_task_factory(make_task)
        loop.set_exception_handler(_report)

    def _leave(self) -> None:
        if self._warp is not None and self._loop is not None:
            self._warp.undo()
            self._loop.set_task_factory(None)
            self._loop.set_exception_handler(None)
        if self._own_loop is not None:
            self._own_loop.run_until_complete(self._own_loop.shutdown_asyncgens())
            self._own_loop.close()

    # --- steps -------------------------------------------------------------------------------------------------------

    def step(self, name: str, work: Coroutine[Any, Any, T]) -> Step[T]:
        """Do something: now, or, when the loop runs already (an async test), when it is awaited."""
        if _is_in_a_loop() and (self._loop is None or not self._loop.is_running()):
            work.close()
            raise UsageError("this Lab has an event loop of its own", hint="take the fixture lab, or write async with Lab(…) as lab")
        step = Step(name, self.loop.create_task(work))
        if self.loop.is_running():
            self._steps.append(step)
        else:
            step.was_awaited = True
            self.run(step.wait())
        return step

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stage's loop to its end."""
        with self.virtual.shown():
            return self.loop.run_until_complete(work)

    # --- lives -------------------------------------------------------------------------------------------------------

    async def alive(self) -> None:
        """Start the bot unless it runs, or ran and died."""
        async with self._starting:  # what is said meanwhile comes behind it, in its order
            if self.life is None:
                await self.start()

    async def start(self) -> None:
        """Begin a new life."""
        self.definition.name = self._name
        self.definition.options = self._options
        life = self.life = Life(self.definition, self.folder, self.network, self._settings, self._pass_point)
        self._lives.append(life)
        await life.start()
        await self.pace.settle()

    async def stop(self) -> None:
        """End the present life in good order, if there is one."""
        life = self.life
        if life is not None and not life.is_dead:
            await life.stop()
            life.bury()
        self.life = None

    async def restart(self) -> None:
        """Stop the bot, if it is not dead, and begin a new life, with the module imported anew when it is known by its name."""
        await self.stop()
        self.definition = self._load()
        await self.start()

    def die_at(self, point: Point, passes: int) -> None:
        """Let the bot die when it comes to a point for the next time but `passes`."""
        self._deadly[point] = passes

    def _pass_point(self, point: Point) -> None:
        left = self._deadly.get(point)
        if left is None or self.life is None or self.life.is_dead:
            return
        if left:
            self._deadly[point] = left - 1
            return
        del self._deadly[point]
        self.fall()
        raise Died(point)

    def fall(self) -> None:
        """Let the present life die, and clear it away on the loop's next turn."""
        if self.life is not None and not self.life.is_dead:
            self.life.die()
            self.loop.call_soon(self.life.bury)

    def bring(self, incoming: Incoming) -> None:
        """Let the network deliver a message on the loop's next turn."""
        context = self.life.context() if self.life is not None else None
        self.loop.call_soon(self.network.bring, incoming, context=context)

    def _is_quiet(self) -> bool:
        return self.life is None or self.life.is_quiet()

    # --- around ------------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The bot's data folder, which lasts as long as the stage."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="psv-lab-")
        return Path(self._folder.name)

    def _load(self) -> Bot:
        if isinstance(self._source, Bot):
            return self._source
        module = self._source.partition(":")[0]
        if self._lives and module in sys.modules:
            del sys.modules[module]
            importlib.invalidate_caches()
        try:
            return load_bot(self._source)
        except LoadFailed as err:
            raise UsageError(str(err)) from err

    def explain(self) -> str:
        """Say what the bot's tasks wait for."""
        tasks = self.life.tasks if self.life is not None else ()
        return "; ".join(sorted({_place_of(task) for task in tasks if not task.done()})) or "nothing runs"

    def read(self, query: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """Read the bot's data as it is committed; `nothing` when there is none yet."""
        path = self.folder / "bot.db"
        if not path.exists():
            return nothing
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return query(connection)

    def trouble(self) -> str:
        """Say what is wrong with the bot, for the error of a test; "" when nothing is."""
        return "\nthe bot is dead, until lab.restart()" if self.life is not None and self.life.is_dead else ""

    async def settle(self) -> None:
        """Wait until the bot is quiet."""
        await self.alive()
        await self.pace.settle()

    async def leave(self) -> None:
        """Stop the bot and end what it left, with the loop running."""
        try:
            await self.stop()
        finally:
            for life in self._lives:
                life.bury()
            left = {task for life in self._lives for task in life.tasks if not task.done()}
            if left:
                await asyncio.wait(left, timeout=1.0)

    def close(self, *, is_failing: bool) -> None:
        """Give loop and files back. Raises UsageError for a step that an async test did not await, unless it fails anyway."""
        self._leave()
        if self._folder is not None:
            self._folder.cleanup()
        forgotten = next((step for step in self._steps if not step.was_awaited), None)
        if forgotten is not None and not is_failing:
            raise UsageError(f"{forgotten.name} was not awaited, so nobody saw whether it held", hint=f"write await {forgotten.name}")


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a death that the test asked for."""
    if not isinstance(context.get("exception"), Died):
        loop.default_exception_handler(context)


def _place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: the innermost line that is not asyncio's."""
    waits: Any = task.get_coro()
    frame = None
    while waits is not None:
        inner = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None) or getattr(waits, "gi_frame", None)
        if inner is not None and not inner.f_code.co_filename.startswith(ASYNCIO):
            frame = inner
        waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None) or getattr(waits, "gi_yieldfrom", None)
    return f"{frame.f_code.co_qualname} at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else task.get_name()
