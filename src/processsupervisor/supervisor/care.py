"""What psvd does about bots that run and do not work: the one place that acts on the verdicts of health/.

A bot that hangs, or fails its checks, tells what it still can, is killed with its whole tree, and is followed like any exit that nobody
asked for. A bot that goes on meanwhile, or that somebody stops or restarts, is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from processsupervisor.health.checkup import Checkups
from processsupervisor.health.dumper import Dumper
from processsupervisor.health.dumpfile import keep
from processsupervisor.health.hangs import Hangs
from processsupervisor.health.monitor import JUDGED, Monitor
from processsupervisor.health.verdict import Verdict, Watched
from processsupervisor.kernel.errors import Refused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.chores import Chores
from processsupervisor.process.condition import Health
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.events import Events

_log = logging.getLogger("psv.care")


class FleetAround(Protocol):
    """What of the fleet is cared for."""

    paths: FleetPaths
    handles: dict[str, BotHandle]
    events: Events


class Care:
    """One fleet's monitor, and what follows its verdicts."""

    def __init__(self, fleet: FleetAround) -> None:
        self._fleet = fleet
        self._hangs = Hangs(fleet.paths)
        self._checkups = Checkups(fleet.paths, self._on_health)
        self._dumper = Dumper(fleet.paths)
        self._busy: set[str] = set()
        self._chores = Chores(lambda raised: _log.error("a verdict could not be carried out", exc_info=raised))
        bots: Callable[[], list[Watched]] = lambda: list(fleet.handles.values())  # noqa: E731
        self._monitor = Monitor(bots, [self._hangs, self._checkups], self._on_verdict)

    async def run(self) -> None:
        """Look after the fleet for ever."""
        try:
            await self._monitor.run()
        finally:
            self._checkups.close()
            self._chores.cancel()

    def vitals(self, handle: BotHandle) -> dict[str, object]:
        """Return what status shows of a bot's pulse."""
        return self._hangs.vitals(handle)

    def messages(self, handle: BotHandle) -> int | None:
        """Return how many messages a bot has handled in this life; None for one that does not count."""
        return self._hangs.messages(handle)

    async def dump(self, handle: BotHandle) -> dict[str, object]:
        """Return stacks and tasks of a bot that runs, which goes on; raises Refused when it can give neither."""
        process = handle.process
        if process is None:
            raise Refused(f"{handle.name} has no process", hint=f"start it: psv start {handle.name}")
        dump = await self._dumper.take(handle, process, self._hangs.pulse(handle))
        if not dump.stacks and not dump.tasks:
            why = dump.missing[0].partition(": ")[2] if dump.missing else "it said nothing"
            raise Refused(f"{handle.name} (pid {process.pid}) gives no dump: {why}", hint=f"see psv bot status {handle.name}")
        return {
            "pid": dump.pid,
            "generation": dump.generation,
            "at": dump.at,
            "process": dump.process,
            "stacks": dump.stacks,
            "tasks": dump.tasks,
            "missing": dump.missing,
        }

    def _on_verdict(self, verdict: Verdict) -> None:
        if verdict.bot not in self._busy:
            self._busy.add(verdict.bot)
            self._chores.begin(self._replace(self._fleet.handles[verdict.bot], verdict))

    def _on_health(self, bot: str, health: Health, why: str) -> None:
        if (handle := self._fleet.handles.get(bot)) is None:
            return  # a change let the bot go while it was looked at
        level = logging.INFO if health is Health.HEALTHY else logging.WARNING
        _log.log(level, "a bot's health has changed", extra={"bot": bot, "health": health, "why": why})
        self._fleet.events.tell("health", bot=bot, health=health, message=why, connected=handle.condition.is_connected)

    def _still_holds(self, handle: BotHandle, verdict: Verdict) -> bool:
        return (self._checkups if verdict.is_probed else self._hangs).still_holds(handle)

    async def _replace(self, handle: BotHandle, verdict: Verdict) -> None:
        try:
            process = handle.process
            if process is None:
                return
            dump = await self._dumper.take(handle, process, self._hangs.pulse(handle))
            is_same = handle.generation == verdict.generation and handle.process == process and handle.life.state in JUDGED
            if not is_same or not self._still_holds(handle, verdict):
                return
            saved = keep(self._fleet.paths, dump)
            _log.warning("a bot is replaced", extra={"bot": handle.name, "why": verdict.message, "dump": saved["file"]})
            handle.put_down(verdict.reason, verdict.message, saved)
            self._fleet.events.tell("hang", bot=handle.name, reason=verdict.reason, message=verdict.message, dump=saved["file"])
        finally:
            self._busy.discard(handle.name)
