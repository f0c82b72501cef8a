"""One life of a bot in a Lab: the real service, pump and storage on an inline writer and a network in memory.

Dying (`die`) is SIGKILL as far as one process can play it: from that moment nothing of this life is committed, sent or received,
whatever its tasks still do while they are cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
import dis
import traceback
import weakref
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from processsupervisor.bot.definition import Definition
from processsupervisor.bot.loading import status_of_exit
from processsupervisor.bot.service import Service
from processsupervisor.chat.points import Points
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import NetworkError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.network import MemoryNetwork
from processsupervisor.testing.writer import InlineWriter

STOP_S = 10.0
_BURY_TURNS = 50
ASYNCIO = str(Path(asyncio.__file__).parent)
_owner: contextvars.ContextVar[Life | None] = contextvars.ContextVar("psv_lab_life", default=None)


class Died(BaseException):
    """The process has just died at a point: ends what runs there. No `except Exception` of an author's code holds it up."""


class Life:
    """A bot from its start to its stop or death."""

    def __init__(self, definition: Definition, folder: Path, network: MemoryNetwork, settings: ChatSettings, points: Points) -> None:
        path = folder / "bot.db"
        self.writer = InlineWriter(path)
        self.database = BotDatabase(path, writer=self.writer)
        self.connector = MemoryConnector(network, folder)
        self.service = Service(definition, self.database, [self.connector], settings=settings, points=points)
        self.service.pump.ended = self._end
        self.service.pump.answering.show_error = traceback.print_exception  # a Lab has no contact whose words it could tell
        self.ended_by: NetworkError | None = None
        """Why the network takes the bot no longer; in a fleet its process ends by that."""
        self.exit_code: int | None = None
        """What the author's code ended the bot with (`sys.exit`); in a fleet its process ends by that."""
        self.is_dead = False
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._context = contextvars.copy_context()
        self._context.run(_owner.set, self)

    def _end(self, error: NetworkError) -> None:
        self.ended_by = error

    def context(self) -> contextvars.Context:
        """Return a context in which everything that is started belongs to this life."""
        return self._context.copy()

    async def start(self) -> None:
        """Start the bot; returns, too, when it died meanwhile. Raises what keeps it from starting."""
        await self._do(self.service.start())
        if not self.is_dead:
            self.context().run(self.service.begin)

    async def stop(self) -> None:
        """Stop it in good order, as SIGTERM does; returns, too, when it died meanwhile."""
        await self._do(self.service.stop(STOP_S))

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=self.context())
        await asyncio.wait({task})
        if not self.is_dead:
            task.result()

    def is_quiet(self) -> bool:
        """Tell whether nothing is accepted, handled, committed or sent now."""
        return self.is_dead or (self.service.pump.unfinished == 0 and all(sender.is_idle for sender in self.service.senders.values()))

    def die(self) -> None:
        """End as by SIGKILL."""
        self.is_dead = True
        self.service.pump.abandon()
        self.writer.die()
        self.connector.cut()

    def exit(self, err: BaseException) -> None:
        """End as a process does whose code calls `sys.exit`: what was submitted is committed, nothing else is done."""
        if self.is_dead:
            return
        self.exit_code = status_of_exit(err)
        self.service.pump.abandon()
        self.writer.flush()
        self.die()
        asyncio.get_running_loop().call_soon(self.bury)

    def bury(self, turns: int = _BURY_TURNS) -> None:
        """Cancel what is left of the tasks of a life that ended, on one turn of the loop after the other: some take notice late."""
        left = [task for task in self.tasks if not task.done()]
        for task in left:
            task.cancel()
        for task in self.tasks.difference(left):
            _ = task.cancelled() or task.exception()  # it was seen: asyncio need not report it
        if left and turns:
            left[0].get_loop().call_soon(self.bury, turns - 1)


def make_task(loop: asyncio.AbstractEventLoop, work: Any, **keys: Any) -> asyncio.Task[Any]:
    """Make a task that its life knows (a task factory)."""
    context = keys.get("context")
    owner = _owner.get() if context is None else context.get(_owner)
    task: asyncio.Task[Any] = asyncio.Task(work if owner is None else _Guarded(work, owner.exit), loop=loop, **keys)
    if owner is not None:
        owner.tasks.add(task)
        if owner.is_dead:
            task.cancel()  # what a dead process begins does not even begin
    return task


class _Guarded(Coroutine[Any, Any, Any]):
    """A task's coroutine whose `sys.exit` ends the life that it belongs to, and not the test."""

    def __init__(self, inner: Coroutine[Any, Any, Any], exit_life: Callable[[BaseException], None]) -> None:
        self.cr_await = inner
        """As coroutines name what they wait for."""
        self._exit_life = exit_life
        self.__qualname__ = getattr(inner, "__qualname__", "")

    def send(self, value: Any) -> Any:
        return self._step(self.cr_await.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self.cr_await.throw, *error)

    def close(self) -> None:
        self.cr_await.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.cr_await.__await__()

    def _step(self, go_on: Callable[..., Any], *given: Any) -> Any:
        try:
            return go_on(*given)
        except (SystemExit, KeyboardInterrupt) as err:
            if isinstance(err, KeyboardInterrupt) and not _was_raised(err):
                raise  # whoever runs the test has pressed Ctrl-C
            self._exit_life(err)
            raise Died("sys.exit") from None


def _was_raised(err: BaseException) -> bool:
    """Tell whether a `raise` of the author's made it, and not a signal, which strikes between any two instructions."""
    innermost = err.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None or innermost.tb_frame.f_code.co_filename.startswith(ASYNCIO):
        return False
    return innermost.tb_frame.f_code.co_code[innermost.tb_lasti] == dis.opmap["RAISE_VARARGS"]
