"""What an earlier psvd left in the middle of a change of the configuration: finished if it was committed, else undone.

fleet.json decides, and this psvd was started with it. So undoing is: bots of the version that did not come are stopped, and what
runs with its settings is started with the old ones. Nobody waits for that; the change stays on disk until it is through.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from processsupervisor.config.plan import effect_of
from processsupervisor.config.spec import Applied, BotSpec, Effect
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import Refused
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.change import LivePort
from processsupervisor.supervisor.changefile import ChangeFile, drop_change, read_change
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.gates import ANEW
from processsupervisor.supervisor.roster import Roster
from processsupervisor.supervisor.versions import ROLLED_BACK, Versions

_log = logging.getLogger("psv.changes")
_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_WHY = "psvd ended in the middle of it"
_LINK_S = 5.0
_LOOK_S = 0.2
_DEADLINE_S = 300.0
_NOT_COMPARED = frozenset({"error", "error_rechecks", "is_elsewhere"})


class Unfinished:
    """The change that this psvd finds on disk, if there is one."""

    def __init__(self, fleet: Fleet, roster: Roster, versions: Versions, live: LivePort, effects: dict[str, Effect]) -> None:
        self._fleet = fleet
        self._roster = roster
        self._versions = versions
        self._live = live
        self._effects = effects
        self._change: ChangeFile | None = None
        self._leaving: list[BotHandle] = []
        self.base: int | None = None
        """The version in whose place the present one came, when psvd died between that and saying so."""

    def find(self) -> None:
        """Look for it, before any bot is: those that only the other version has are taken in, to be adopted and stopped."""
        change = read_change(self._fleet.paths)
        if change is None or change.number == self._versions.number:
            if change is not None:
                self.base = change.base
                drop_change(self._fleet.paths)
            self._versions.give_up_pending()
            return
        self._change = change
        _log.warning("a change of the configuration is undone", extra={"number": change.number, "base": change.base})
        added = set(change.added) - self._fleet.handles.keys()
        for spec in self._specs(change.number) if added else ():
            if spec["name"] in added:
                self._leaving.append(self._fleet.make_handle(spec, Wanted.DOWN))
        self._roster.learn()

    def _specs(self, number: int) -> list[BotSpec]:
        try:
            applied: Applied = self._versions.content(number)[0]
        except Refused:
            return []
        return applied["bots"]

    @property
    def is_under_way(self) -> bool:
        """Tell whether something is still undone."""
        return self._change is not None

    async def settle(self) -> None:
        """Undo it, when all bots are adopted."""
        if self._change is None:
            return
        fleet, change = self._fleet, self._change
        leaving = {handle.name for handle in self._leaving}
        handles = [handle for name in change.touched if name not in leaving and (handle := fleet.handles.get(name)) is not None]
        await asyncio.gather(*(self._bring_back(handle) for handle in handles), *(self._end(handle) for handle in self._leaving))
        self._versions.finish(change.number, ROLLED_BACK, _WHY)
        drop_change(fleet.paths)
        self._change = None
        reach(CrashPoint.PSVD_CHANGE_ENDED)
        words = f"version {change.base} runs again: {_WHY}"
        fleet.events.tell("config-change", version=change.number, step="end", ok=False, message=words)

    async def _bring_back(self, handle: BotHandle) -> None:
        """Start a bot anew that does not run with the settings of this version."""
        while not self._fleet.can_start and not self._fleet.is_going_down:
            await asyncio.sleep(_LOOK_S)  # a bot that is stopped now could not come back
        await handle.life.wait_until(lambda: handle.life.state is not State.UNKNOWN, _DEADLINE_S)
        if await self._is_current(handle):
            # The launch that is under way may come upon a process with the other settings that was born late: that one is adopted.
            await handle.life.wait_until(lambda: handle.life.state is not State.STARTING, _DEADLINE_S)
            if await self._is_current(handle):
                return
        before = handle.generation
        if handle.life.state in HAS_PROCESS:
            handle.stop(is_restart=handle.wanted is not Wanted.DOWN)
        elif self._has_failed(handle):
            self._fleet.forget_quick(handle)
            self._fleet.start(handle, ANEW)

        def has_arrived() -> bool:
            return (handle.generation > before and handle.life.state in _READY) or handle.life.state in RESTING

        await handle.life.wait_until(has_arrived, _DEADLINE_S)

    def _has_failed(self, handle: BotHandle) -> bool:
        """Tell whether a bot waits or was given up after an end that the other settings may have brought about."""
        has_ended = handle.life.state in (State.FAILED, State.RECOVERING) and not handle.waits_for
        return has_ended and handle.wanted is not Wanted.DOWN and self._fleet.tasks.get(handle.name) is None

    async def _is_current(self, handle: BotHandle) -> bool:
        """Tell whether the bot's process was started with what its settings say now, as far as a restart makes a difference."""
        written = self._written(handle)
        if written.get("generation") != handle.generation:
            return False
        is_live = False
        if handle.spec["kind"] == "native" and written.get("options") != handle.spec["options"]:
            for _ in range(int(_LINK_S / _LOOK_S)):
                if handle.condition.is_known:
                    break
                await asyncio.sleep(_LOOK_S)
            is_live = self._live.takes_options(handle)
        return all(written.get(key) == value for key, value in handle.spec.items() if self._matters(key, is_live=is_live))

    def _matters(self, key: str, *, is_live: bool) -> bool:
        if key == "options":
            return not is_live
        parts = [effect for name, effect in self._effects.items() if name.partition(".")[0] == key]
        return key not in _NOT_COMPARED and any(effect != "live" for effect in parts or [effect_of(key, self._effects)])

    def _written(self, handle: BotHandle) -> dict[str, Any]:
        try:
            value = json.loads((self._fleet.paths.bot_run(handle.name) / "spec.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    async def _end(self, handle: BotHandle) -> None:
        """Stop a bot that this version does not have, and let it go."""
        handle.stop()
        if await handle.life.wait_for(RESTING, _DEADLINE_S):
            self._roster.drop(handle)
