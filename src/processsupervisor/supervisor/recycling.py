"""Recycling: a bot that runs well is started anew when it is old, large, or has handled enough.

Soft limits wait for a quiet moment, at most `within`; the hard one does not. One bot of a type at a time, never during a rollout:
who is on its way is seen from the states, so that a new psvd knows it too. Bots without a limit cost nothing here. Nothing is kept
on disk: age is counted from the process's start, messages by the bot, and an end that has begun stands in the bot's record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processsupervisor.config.spec import RecycleSpec
from processsupervisor.kernel.clock import boottime, mono
from processsupervisor.kernel.identity import start_boottime
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.kernel.units import format_bytes, format_duration
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.tree import descendants_of
from processsupervisor.resources.cgroups import Groups
from processsupervisor.resources.usage import cpu_s, pss_bytes, rss_bytes
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.schedule import spread

_log = logging.getLogger("psv.recycling")
LOOK_EVERY_S = 5.0
_PASS_S = 1.0
"""So often somebody is looked at: each bot in its turn, and again at the next pass while it is near a limit."""
_NEAR = 0.7
_SURELY_BELOW = 0.9
"""PSS is never above RSS, which costs a hundredth to read and may be a little out of date."""
_PSS_READS = 4
_QUIET_CPU = 0.05
_QUIET_PASSES = 3
_HEARD_S = 2.5
_RUNS = frozenset({State.RUNNING, State.PAUSED})
_RESTS = frozenset({State.STOPPED, State.FAILED, State.TERMINATED})


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a bot is to be started anew. The reasons are a closed list, so `why` says what admin means here."""

    reason: Reason
    why: str
    is_hard: bool = False


class Watched:
    """One bot with a limit, and what is known of its present life."""

    def __init__(self, handle: BotHandle, limits: RecycleSpec) -> None:
        self.handle, self.limits = handle, limits
        self.next_look_mono = mono() + LOOK_EVERY_S * spread(handle.name)
        self.begin(handle.generation)

    def begin(self, generation: int) -> None:
        """Know nothing yet of another life."""
        self.generation = generation
        self.since_mono: float | None = None  # when a limit was first found to be passed
        self.handled, self.running, self.heard_mono = 0, 0, 0.0
        self.cpu: tuple[float, float] | None = None
        self.quiet_passes = 0
        self.is_near = False
        self.memory: Cause | None = None
        self.read_mono = 0.0

    def limit(self, name: str, value: float) -> float:
        """Return a limit of this life with its jitter: below `value`, never above."""
        return value * (1.0 - self.limits["jitter"] * spread(f"{self.handle.name} {self.generation} {name}"))


class Recycling:
    """All bots with a limit. `is_held` tells whether nobody may be started anew now, because a rollout does."""

    def __init__(self, events: Events, handles: Mapping[str, BotHandle], may_restart: Callable[[BotHandle], bool]) -> None:
        self._handles = handles
        self._events = events
        self._may_restart = may_restart
        self._watched: dict[str, Watched] = {}
        self._has_any = asyncio.Event()
        self.is_held: Callable[[], bool] = lambda: False
        self._reads_left = 0
        self.learn()

    def learn(self) -> None:
        """Note which bots have which limits; called again when settings were changed. Of limits that stay, what is known stays."""
        before, self._watched = self._watched, {}
        for name, handle in self._handles.items():
            limits = handle.spec.get("recycle")
            if limits is None or not _has_limit(limits) or handle.spec.get("schedule") is not None:
                continue
            known = before.get(name)
            is_same = known is not None and known.handle is handle and known.limits == limits
            self._watched[name] = known if known is not None and is_same else Watched(handle, limits)
        if self._watched:
            self._has_any.set()

    async def run(self) -> None:
        """Look for ever, while any bot has a limit."""
        while True:
            if not self._watched:
                self._has_any.clear()
                await self._has_any.wait()
            await asyncio.sleep(_PASS_S)
            self._reads_left = _PSS_READS
            for watched in sorted(self._watched.values(), key=lambda w: w.read_mono):  # whose turn to be measured is next
                if mono() >= watched.next_look_mono:
                    watched.next_look_mono = mono() + self._look(watched) - _PASS_S / 2

    def hear(self, name: str, handled: int, running: int) -> None:
        """Take what a native bot says of its work: messages handled in this life, messages not through yet."""
        watched = self._watched.get(name)
        if watched is not None:
            watched.handled, watched.running, watched.heard_mono = handled, running, mono()

    def _look(self, watched: Watched) -> float:
        """Look at one bot, start it anew if that is due; returns after how long it is to be looked at again."""
        handle = watched.handle
        if handle.process is None or handle.life.state not in _RUNS:
            return LOOK_EVERY_S
        if watched.generation != handle.generation:
            watched.begin(handle.generation)
        if watched.since_mono is not None or watched.limits["max_messages"] is not None:
            self._ask(watched)
        cause = self._cause(watched)
        if cause is None:
            watched.since_mono = None
            return _PASS_S if watched.is_near else LOOK_EVERY_S
        if watched.since_mono is None:
            watched.since_mono = mono()
            self._ask(watched)
        is_time = cause.is_hard or self._is_quiet(watched) or mono() - watched.since_mono >= watched.limits["within_s"]
        if is_time and self._is_free(handle) and handle.end(cause.reason, f"recycled: {cause.why}", is_restart=True):
            _log.info("a bot is recycled", extra={"bot": handle.name, "why": cause.why})
            self._events.tell("recycle", bot=handle.name, reason=cause.reason, message=cause.why)
        return _PASS_S

    def _is_free(self, handle: BotHandle) -> bool:
        """Tell whether nothing forbids it now: no rollout, no stop that waits for others, and no other bot of the type on its way."""
        if self.is_held() or handle.wanted is Wanted.DOWN or not self._may_restart(handle):
            return False
        kind = handle.spec["type"]
        others = [h for h in self._handles.values() if kind is not None and h.spec["type"] == kind and h is not handle]
        return all(h.wanted is Wanted.DOWN or h.life.state in _RUNS | _RESTS for h in others)

    # -- limits

    def _cause(self, watched: Watched) -> Cause | None:
        limits = watched.limits
        watched.is_near = False
        return (
            self._of_memory(watched)
            or _of_age(watched)
            or _passed(watched, "max_messages", limits["max_messages"], watched.handled, lambda n: f"{n:.0f} messages")
        )

    def _of_memory(self, watched: Watched) -> Cause | None:
        soft, hard = watched.limits["max_memory_bytes"], watched.limits["max_memory_hard_bytes"]
        limits = [limit for limit in (watched.limit("max_memory", soft) if soft else None, hard) if limit]
        if not limits:
            return None
        lowest, pids = min(limits), _processes(watched.handle)
        used = sum(map(rss_bytes, pids))
        watched.is_near = used >= _NEAR * lowest
        if used < _SURELY_BELOW * lowest:
            watched.memory = None
        elif self._reads_left > 0:
            self._reads_left -= len(pids)
            watched.read_mono = mono()
            watched.memory = _judge(pids, lowest, soft, hard)
        return watched.memory

    # -- quiet moments

    def _ask(self, watched: Watched) -> None:
        if watched.handle.link is not None:
            watched.handle.link.send({"op": "work"})

    def _is_quiet(self, watched: Watched) -> bool:
        """Tell whether a restart now interrupts nothing: no message under way, or for a program hardly any CPU used for a while."""
        if watched.handle.life.state is State.PAUSED:
            return True
        if watched.handle.spec["kind"] == "native":
            return watched.running == 0 and mono() - watched.heard_mono <= _HEARD_S
        used, now = sum(cpu_s(pid) or 0.0 for pid in _processes(watched.handle)), mono()
        before, watched.cpu = watched.cpu, (now, used)
        is_idle = before is not None and 0 <= used - before[1] < _QUIET_CPU * (now - before[0])
        watched.quiet_passes = watched.quiet_passes + 1 if is_idle else 0
        return watched.quiet_passes >= _QUIET_PASSES


def _has_limit(limits: RecycleSpec) -> bool:
    return any(limits[name] for name in ("max_age_s", "max_memory_bytes", "max_memory_hard_bytes", "max_messages"))


def _processes(handle: BotHandle) -> list[int]:
    """Return the pids of a bot's tree."""
    if handle.process is None:
        return []
    members = Groups.members(handle.group) if handle.group is not None else []
    return members or [handle.process.pid, *descendants_of(handle.process.pid)]


def _of_age(watched: Watched) -> Cause | None:
    process = watched.handle.process
    age_s = boottime() - start_boottime(process) if process is not None else 0.0
    return _passed(watched, "max_age", watched.limits["max_age_s"], age_s, format_duration)


def _passed(watched: Watched, name: str, limit: float | None, found: float, words: Callable[[float], str]) -> Cause | None:
    """Return the cause when `found` has passed a limit of this life."""
    if limit is None:
        return None
    passed_at = watched.limit(name, limit)
    watched.is_near = watched.is_near or found >= passed_at - LOOK_EVERY_S
    return Cause(Reason.ADMIN, f"{words(found)}, {name} is {words(limit)}") if found >= passed_at else None


def _judge(pids: list[int], lowest: float, soft: int | None, hard: int | None) -> Cause | None:
    """Measure a tree and return the cause when it is above a limit; `lowest` is the soft limit with its jitter, if there is one."""
    used = sum(pss_bytes(pid) or 0 for pid in pids)
    if hard is not None and used >= hard:
        return Cause(Reason.MEMORY_POLICY, f"{format_bytes(used)} of memory, max_memory_hard is {format_bytes(hard)}", is_hard=True)
    if soft is not None and used >= lowest:
        return Cause(Reason.MEMORY_POLICY, f"{format_bytes(used)} of memory, max_memory is {format_bytes(soft)}")
    return None
