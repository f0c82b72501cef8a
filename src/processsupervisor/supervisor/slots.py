"""Start slots: at most min(cpus, 4) programs that psv starts by itself do the CPU-heavy part of a start at once.

A slot is held from the launch until the bot is ready or gone, or its process tree has become quiet: who waits for a timer or
a network needs no core. While the fleet comes up, a program that was seen to need hardly any CPU for its start takes none; after
an outage all do, so that bots come back one after the other. A start by command takes no slot and waits for none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.states import State
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.tree import descendants_of
from processsupervisor.resources.effort import effort_s, used_s
from processsupervisor.supervisor.events import Event
from processsupervisor.supervisor.gates import BY_ITSELF, WANTED, Hold

MOST_SLOTS = 4
LOOK_EVERY_S = 0.05
QUIET_AFTER_S = 0.1
QUIET_SHARE = 0.1
"""Quiet: the tree used, or waited for, less than this part of a core for QUIET_AFTER_S."""
UNBORN_S = 5.0
"""So long a start without a process keeps its slot: a zygote preloads, or does not get on."""
LIGHT_S = 0.05
"""A program that used less CPU than this until it was ready starts lightly."""

Program = tuple[object, ...]


@dataclass(slots=True)
class _Holder:
    """One start with a slot; `effort_s` was read at `since_mono`, where the present stretch of quiet began."""

    handle: BotHandle
    taken_mono: float
    since_mono: float = 0.0
    effort_s: float = -1.0


def slot_count() -> int:
    """Return how many programs may be started at once on this machine."""
    return max(1, min(MOST_SLOTS, len(os.sched_getaffinity(0))))


class Slots:
    """The slots of one fleet. `on_free` is called when one was let go, or a program turned out to be light."""

    def __init__(self, handles: Mapping[str, BotHandle]) -> None:
        self.count = slot_count()
        self.on_free: Callable[[], None] = lambda: None
        self._handles = handles
        self._holders: dict[str, _Holder] = {}
        self._light: set[Program] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def taken(self) -> int:
        """Return how many slots are held now."""
        return len(self._holders)

    def look(self, handle: BotHandle, how: str) -> Hold | None:
        """See Gate."""
        if not self._needs_one(handle, how) or len(self._holders) < self.count:
            return None
        return Hold(f"waits for its turn: at most {self.count} programs are started at once")

    def take(self, handle: BotHandle, how: str) -> None:
        """Give a slot to a start that has just begun, if it needs one."""
        if self._needs_one(handle, how) and handle.life.state is State.STARTING:
            self._holders[handle.name] = _Holder(handle, mono())
            self._plan()

    def on_event(self, event: Event) -> None:
        """Let the slot of a bot go that is not starting any more, and learn how heavy its start was."""
        if event.get("kind") != "transition" or event.get("from") != State.STARTING:
            return
        handle = self._handles[str(event["bot"])]
        if event.get("to") == State.RUNNING:
            self._learn(handle)
        self._let_go(handle.name)

    def close(self) -> None:
        """Look at nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _needs_one(self, handle: BotHandle, how: str) -> bool:
        return how in BY_ITSELF and not (how == WANTED and _program(handle) in self._light)

    def _let_go(self, name: str) -> None:
        if self._holders.pop(name, None) is not None:
            self.on_free()

    def _learn(self, handle: BotHandle) -> None:
        used = used_s(handle.process.pid) if handle.process is not None else None
        if used is None:
            return
        (self._light.add if used < LIGHT_S else self._light.discard)(_program(handle))

    def _plan(self) -> None:
        if self._timer is None and self._holders:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look_at_holders)

    def _look_at_holders(self) -> None:
        self._timer = None
        now = mono()
        for name, holder in list(self._holders.items()):
            if self._is_quiet(holder, now):
                self._learn(holder.handle)
                self._let_go(name)
        self._plan()

    @staticmethod
    def _is_quiet(holder: _Holder, now: float) -> bool:
        process = holder.handle.process
        if process is None:
            return now - holder.taken_mono > UNBORN_S
        effort = effort_s([process.pid, *descendants_of(process.pid)])
        if not 0 <= effort - holder.effort_s <= QUIET_SHARE * QUIET_AFTER_S or holder.effort_s < 0:
            holder.effort_s, holder.since_mono = effort if effort != float("inf") else -1.0, now
            return False
        return now - holder.since_mono >= QUIET_AFTER_S


def _program(handle: BotHandle) -> Program:
    """Return what tells programs apart: bots of one program start alike."""
    spec = handle.spec
    return spec["run"], spec["script"], tuple(spec["command"] or ()), tuple(spec["args"]), spec["python"]
