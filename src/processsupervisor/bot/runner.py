"""What a forked child runs: import the bot, serve it, end in good order. `main` returns the exit status.

Nothing here starts a thread, a socket or a loop when it is imported: a zygote imports it before it forks. Everything of
ours that a bot needs is imported here, so that it is shared by all bots. Title, locks, FIFOs and signals' defaults are
in place before (launch).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from processsupervisor.bot.api import Bot
from processsupervisor.bot.link import Link
from processsupervisor.bot.loading import EXIT_CRASHED, LoadFailed, load_bot, status_of_exit
from processsupervisor.bot.loop import new_event_loop
from processsupervisor.bot.plugins import make_connectors
from processsupervisor.bot.service import Service
from processsupervisor.bot.settings import Settings
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.web import WebConnector
from processsupervisor.kernel.errors import ConfigError, PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_AUTH, EXIT_CONFIG, EXIT_CONFLICT
from processsupervisor.launch.heartbeat import count_messages
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.jobs import Submits

_STOP_SHARE = 0.8  # of the stop timeout: the rest is for the last commit and the way out
_DEFAULT_STOP_S = 10.0
_STATUSES = {ErrorKind.AUTH: EXIT_AUTH, ErrorKind.CONFLICT: EXIT_CONFLICT}
_log = logging.getLogger("processsupervisor.bot")


class Context(Protocol):
    """What launch hands to a bot (launch.context.LaunchContext)."""

    @property
    def spec(self) -> dict[str, Any]: ...
    @property
    def generation(self) -> int: ...
    @property
    def secret_fd(self) -> int: ...
    @property
    def paths(self) -> FleetPaths: ...


def main(context: Context) -> int:
    """Run the bot of `context` until it is told to stop; returns the exit status, never raises for the bot's faults."""
    secret = _read_secret(context.secret_fd)
    spec = context.spec
    try:
        bot = load_bot(str(spec["run"]))
    except LoadFailed as err:
        print(str(err).rstrip(), file=sys.stderr, flush=True)
        return err.status
    bot.name = str(spec["name"])
    try:
        life = Life(bot, context, secret)
        return _run(life.run(), life.abandon)
    except PsvError as err:  # settings that nothing can be made of
        print(f"bot {bot.name} cannot start: {err}", file=sys.stderr, flush=True)
        return status_of(err)
    except (SystemExit, KeyboardInterrupt) as err:
        return status_of_exit(err)


def status_of(err: PsvError) -> int:
    """Return the exit status for an error that ends a bot."""
    if isinstance(err, NetworkError) and err.kind in _STATUSES:
        return _STATUSES[err.kind]
    return EXIT_CONFIG if isinstance(err, ConfigError) else EXIT_CRASHED


def _read_secret(descriptor: int) -> str:
    if descriptor < 0:
        return ""
    with os.fdopen(descriptor, "rb") as source:
        return source.read(64).decode("ascii", "replace").strip()


def _run(main: Coroutine[Any, Any, int], abandon: Callable[[], None]) -> int:
    """Run the loop like asyncio.run, for less: a Runner unshares 0.2 MB in every bot, and the process ends behind it.

    `abandon` is called before what is left is cancelled.
    """
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        abandon()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))


class Life:
    """One generation from ready to its end."""

    def __init__(self, bot: Bot, context: Context, secret: str, *, writer: Submits | None = None) -> None:
        name, paths = bot.name, context.paths
        self._bot = bot
        self._settings = Settings(bot, context.spec)
        chat, data = context.spec.get("chat") or {}, paths.bot_data(name)
        connectors = [WebConnector(paths.bot_run(name) / "web.sock"), *make_connectors(context.spec.get("networks") or {}, name, data)]
        self._service = Service(bot, BotDatabase(data / "bot.db", writer=writer), connectors, settings=ChatSettings.from_spec(chat))
        commands: dict[str, Callable[[Mapping[str, object]], None]] = {
            "stop": self._on_stop,
            "pause": lambda _: self._turn("pause"),
            "resume": lambda _: self._turn("resume"),
            "config": self._settings.change,
            "replay": self._on_replay,
            "work": lambda _: self._link.work(self._service.pump.handled, self._service.pump.unfinished),
        }
        self._link = Link(paths, name, context.generation, secret, commands)
        self._link.facts = self._settings.facts
        self._settings.took, self._settings.refused, self._settings.changed = self._link.took, self._link.refuse, self._service.reword
        self._service.pump.gave_up = self._link.give_up
        self._service.pump.ended = self._network_ended
        for sender in self._service.senders.values():
            sender.failed = lambda _out, why: self._link.send_failed(why)
            sender.unknown = self._link.send_unknown
        count_messages(lambda: self._service.pump.handled)
        stop = context.spec.get("stop")
        self._stop_s = float(stop["timeout_s"]) if isinstance(stop, dict) else _DEFAULT_STOP_S
        self._ending = asyncio.Event()
        self._status = 0
        self._starting: asyncio.Task[int] | None = None
        """The task that runs the start hooks, until they are through."""
        self._replays: set[asyncio.Task[None]] = set()
        self._turns: asyncio.Queue[str] = asyncio.Queue(maxsize=16)

    async def run(self) -> int:
        """Serve until SIGTERM, SIGINT or a stop over the link."""
        loop = asyncio.get_running_loop()
        self._starting = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        try:
            await self._service.start()
        except asyncio.CancelledError:
            return 0  # told to end before it was ready
        except PsvError as err:
            print(f"bot {self._bot.name} cannot start: {err}", file=sys.stderr, flush=True)
            return status_of(err)
        except Exception:  # noqa: BLE001 - a start hook of the author
            traceback.print_exc()
            return EXIT_CRASHED
        self._starting = None
        tasks = [loop.create_task(self._link.run()), loop.create_task(self._take_turns())]
        self._link.ready()
        self._service.proofs.announce(self._link.prove)
        self._service.begin()
        try:
            await self._ending.wait()
            self._link.stopping()
            await self._service.stop(self._stop_s * _STOP_SHARE)
        finally:
            self._settings.close()
            for task in tasks:
                task.cancel()
        return self._status

    def abandon(self) -> None:
        """End whatever still runs: the loop has stopped."""
        self._service.pump.abandon()

    def _network_ended(self, err: NetworkError) -> None:
        """End, for a network takes the bot no longer: with the status that says why, which psv does not answer by a new start."""
        if not self._status:
            print(f"{self._bot.name}: {err}", file=sys.stderr, flush=True)
            self._status = status_of(err)
        self._end()

    def _end(self) -> None:
        self._ending.set()
        if self._starting is not None:
            self._starting.cancel()

    def _on_stop(self, line: Mapping[str, object]) -> None:
        timeout_s = line.get("timeout_s")
        if isinstance(timeout_s, (int, float)) and timeout_s > 0:
            self._stop_s = float(timeout_s)
        self._end()

    def _on_replay(self, line: Mapping[str, object]) -> None:
        number, letter, send = line.get("id"), line.get("letter"), line.get("send")
        if isinstance(number, int) and isinstance(letter, int):
            work = self._service.replay(letter)
        elif isinstance(number, int) and isinstance(send, int):
            work = self._service.send_anew(send)
        else:
            return
        task = asyncio.get_running_loop().create_task(self._replay(number, work))
        self._replays.add(task)
        task.add_done_callback(self._replays.discard)

    async def _replay(self, number: int, work: Coroutine[Any, Any, str]) -> None:
        self._link.replayed(number, await work)

    def _turn(self, word: str) -> None:
        try:
            self._turns.put_nowait(word)
        except asyncio.QueueFull:
            _log.warning("too many pauses and resumes at once; one was left out")

    async def _take_turns(self) -> None:
        """Pause and resume in the order asked for; a pause waits for what runs, and a resume ends that wait."""
        pausing: asyncio.Task[None] | None = None
        while True:
            word = await self._turns.get()
            if pausing is not None:
                pausing.cancel()
                pausing = None
            if word == "pause":
                pausing = asyncio.get_running_loop().create_task(self._pause())
            else:
                await self._service.resume()
                self._link.resumed()

    async def _pause(self) -> None:
        await self._service.pause()
        self._link.paused()

