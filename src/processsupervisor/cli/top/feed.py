"""The way from psvd to the screen: on a thread of its own, so that neither a slow psvd nor /proc holds a key up.

The whole list each `every_s`; in between only the bots that an event named. A psvd that dies is waited for, over and over; meanwhile
what the processes cost is still measured. The screen hears of everything by `post`, which must be safe to call from another thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic

from processsupervisor.cli.top.model import Measured, Row
from processsupervisor.cli.top.usage import Usage
from processsupervisor.ipc.client import ControlClient
from processsupervisor.ipc.client_async import AsyncControlClient
from processsupervisor.kernel.errors import NoSuchBot, PsvError
from processsupervisor.kernel.paths import FleetPaths

_GATHER_S = 0.1
"""Events of so long are answered by one look."""
_AWAY_S = 0.25
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class News:
    """What one look brought. `rows` None: psvd is away, and `why` says what is known of that; `is_whole`: all bots are in it.

    `is_turn`: it is one of the looks in regular turn, of which each gives every figure a point; only these bring what was `measured`.
    """

    at_mono: float
    rows: list[Row] | None
    is_whole: bool = True
    is_turn: bool = False
    why: str = ""
    measured: Mapping[str, Measured] = field(default_factory=dict)


class Feed:
    """One screen's feed: `start`, `close`; `shown` are the bots whose figures matter most now."""

    def __init__(self, paths: FleetPaths, every_s: float, post: Callable[[News], object]) -> None:
        self._paths, self._every_s, self._post = paths, every_s, post
        self._usage = Usage(paths)
        self._rows: list[Row] = []
        self._client: ControlClient | None = None
        self._lock = threading.Lock()
        self._named: set[str] = set()
        self._woken = threading.Event()
        self._due_mono = 0.0
        self._is_away = False
        self._is_closed = False
        self.shown: Collection[str] = ()

    def start(self) -> None:
        """Begin; the thread ends with the process, or soon after `close`."""
        threading.Thread(target=self._run, daemon=True, name="feed").start()

    def close(self) -> None:
        """Post nothing more."""
        self._is_closed = True
        self._woken.set()

    def look_at(self, name: str) -> None:
        """Ask for this bot soon, not at the next turn."""
        with self._lock:
            self._named.add(name)
        self._woken.set()

    async def follow(self) -> None:
        """Hear from psvd which bots change, for ever; what is missed while it is away comes with the next whole list."""
        while True:
            was_there = False
            try:
                async for event in AsyncControlClient(self._paths).stream("fleet.events", {"follow": True, "limit": 0}):
                    was_there = True
                    if isinstance(bot := event.get("bot"), str):
                        self.look_at(bot)
            except (PsvError, OSError):
                pass
            if was_there:  # it has ended just now: see at once, and not at the next turn
                self._due_mono = 0.0
                self._woken.set()
            await asyncio.sleep(_AWAY_S)

    def _run(self) -> None:
        while not self._is_closed:
            try:
                wait_s = self._step()
            except Exception as err:  # noqa: BLE001 - the outermost loop of this thread: the screen says it, and the next turn tries again
                self._tell(News(monotonic(), None, why=f"internal error: {type(err).__name__}: {err}"))
                wait_s = self._every_s
            if self._woken.wait(wait_s) and not self._is_closed:
                time.sleep(_GATHER_S)
                self._woken.clear()
        self._disconnect()

    def _step(self) -> float:
        """Do what is due, and return after how long something is due again."""
        is_turn = monotonic() >= self._due_mono
        if is_turn:
            self._due_mono = monotonic() + self._every_s
        if is_turn or self._is_away:
            self._look_at_all(is_turn)
        else:
            self._look_at_some()
        wait_s = max(0.0, self._due_mono - monotonic())
        return min(_AWAY_S, wait_s) if self._is_away else wait_s

    def _look_at_all(self, is_turn: bool) -> None:
        with self._lock:
            self._named.clear()
        rows, why = self._ask(())
        was_away, self._is_away = self._is_away, rows is None
        if rows is not None:
            self._rows = rows
        if is_turn or was_away != self._is_away:
            measured = self._usage.measure(self._rows, self.shown, self._every_s) if is_turn else {}
            self._tell(News(monotonic(), rows, True, is_turn, why, measured))

    def _look_at_some(self) -> None:
        with self._lock:
            named = self._named & {str(row["name"]) for row in self._rows}
            self._named.clear()
        if named:
            rows, why = self._ask(sorted(named))
            self._is_away = rows is None
            self._tell(News(monotonic(), rows, False, why=why))

    def _ask(self, names: Collection[str]) -> tuple[list[Row] | None, str]:
        try:
            if self._client is None:
                self._client = ControlClient(self._paths, _ANSWER_S)
            rows: list[Row] = self._client.call("bot.list", {"names": list(names)})
        except NoSuchBot:
            return [], ""
        except (PsvError, OSError) as err:
            self._disconnect()
            return None, str(err)
        return rows, ""

    def _tell(self, news: News) -> None:
        if not self._is_closed:
            self._post(news)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
