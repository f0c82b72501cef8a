"""One change of the configuration from its plan to its end: live keys pushed, processes replaced batch by batch, committed or undone.

The order is that of least harm: nothing is touched before the version and the change are on disk; what goes is stopped last; the
commit is one replaced file. Whatever fails before it leads back: everything touched gets its old settings (I6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from processsupervisor.config.plan import Plan
from processsupervisor.config.spec import Applied, BotSpec
from processsupervisor.config.steps import SETTLE_S, SMALL_FLEET, estimate_s, needs_of, steps
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.launch.references import live_needs_restart
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.roster import Roster
from processsupervisor.supervisor.turns import Outcome, Turns

_log = logging.getLogger("psv.changes")
_RUNS = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_HELLO_S = 5.0
_PUSHES_AT_ONCE = 100
_STOP_MARGIN_S = 30.0
_KEEPER_LOOK_S = 0.5
_LIVE_IN_BOT = frozenset({"options", "log_level", "log_levels"})

Tell = Callable[[dict[str, object]], None]


class LivePort(Protocol):
    """How a running native bot gets other settings."""

    async def push(self, handle: BotHandle, timeout_s: float = 10.0) -> str:
        """Send the live values of handle.spec; returns "" when the bot has taken them, else why not."""
        ...

    def takes_options(self, handle: BotHandle) -> bool:
        """Tell whether the bot has a handler for changed options."""
        ...


@dataclass(frozen=True, slots=True)
class Ways:
    """How each changed bot gets its new settings: `swapped` in psvd alone, `pushed` to the bot too, in `batches` by a new process."""

    swapped: list[str]
    pushed: list[str]
    batches: list[list[str]]


def ways_of(plan: Plan, new: Applied, handles: Mapping[str, BotHandle], live: LivePort) -> Ways:
    """Return how the bots of `plan` get what `new` says, from how they are now."""
    swapped, pushed, by_restart = [], [], []
    resting = set[str]()
    unreadable = {spec["name"] for spec in new["bots"] if live_needs_restart(spec)}
    for name, change in plan.changed.items():
        handle = handles[name]
        runs = handle.life.state in HAS_PROCESS
        is_native = handle.spec["kind"] == "native"
        is_task_still = bool(handle.spec.get("schedule")) and "schedule" not in change.keys
        has_options = runs and is_native and "options" in change.keys  # no program is ever given them
        is_refused = has_options and (name in unreadable or not live.takes_options(handle))
        if is_task_still or (not runs and handle.wanted is Wanted.DOWN):
            resting.add(name)  # it takes them at its next start
        elif change.effect != "live" or "schedule" in change.keys or is_refused:
            by_restart.append(name)
        elif runs and is_native and _LIVE_IN_BOT & set(change.keys):
            pushed.append(name)
        else:
            swapped.append(name)
    specs = [(spec["name"], spec["type"], str(spec["kind"])) for spec in new["bots"] if spec["name"] not in resting]
    return Ways([*swapped, *resting], pushed, steps(plan, specs, is_small(new), by_restart, needs_of(new["bots"])))


async def hear_first(plan: Plan, handles: Mapping[str, BotHandle]) -> None:
    """Wait a moment for native bots that have other options and have not said yet, to a psvd that is new, whether they take them."""
    asked = [handles[name] for name, change in plan.changed.items() if "options" in change.keys]
    deadline = mono() + _HELLO_S
    while mono() < deadline and any(_is_silent(handle) for handle in asked):
        await asyncio.sleep(0.05)


def _is_silent(handle: BotHandle) -> bool:
    return handle.spec["kind"] == "native" and handle.life.state in _RUNS and not handle.condition.is_known


def is_small(applied: Applied) -> bool:
    """Tell whether the fleet is so small that ready is enough."""
    return len(applied["bots"]) <= SMALL_FLEET


@dataclass
class Change:
    """One change under way. `commit` makes the new version the running one; it raises, and nothing has changed, or it is done."""

    fleet: Fleet
    roster: Roster
    live: LivePort
    new: Applied
    plan: Plan
    ways: Ways
    tell: Tell
    is_hasty: bool
    commit: Callable[[], None]
    touched: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Bots that a person's newer command took out of it, and what they are."""
    _old: dict[str, BotSpec] = field(default_factory=dict)
    _removed: list[BotHandle] = field(default_factory=list)
    _broken: str = ""
    _is_broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> str:
        """Carry it out; returns "" when the new version runs, else why everything is as it was before."""
        turns = Turns(self.fleet, self.roster, self._on_broken)
        turns.open()
        try:
            why = await self._try(turns)
            if why:
                self.left |= await self._back(turns, why)
            else:
                for handle in self._removed:
                    self.roster.drop(handle)
            return why
        finally:
            turns.close()  # also when psvd ends: its successor finds the change on disk

    async def _try(self, turns: Turns) -> str:
        """Go forward and commit; returns why not."""
        try:
            if why := await self._forward(turns):
                return why
            reach(CrashPoint.PSVD_CHANGE_BEFORE_COMMIT)
            await asyncio.to_thread(self.commit)
            reach(CrashPoint.PSVD_CHANGE_COMMITTED)
        except PsvError as err:  # the disk refuses the commit
            return err.message
        except Exception:  # noqa: BLE001 - whatever it is, what was touched must be taken back
            _log.exception("a change failed inside")
            return "it failed inside, see .psv/logs/psv/psvd.log"
        return ""

    # -- forward

    async def _forward(self, turns: Turns) -> str:
        specs = {spec["name"]: spec for spec in self.new["bots"]}
        self._tell_plan()
        self._old = {name: self.fleet.handles[name].spec for name in self.plan.changed}
        if why := await self._push({name: specs[name] for name in self.ways.pushed}):
            return why
        for number, names in enumerate(self.ways.batches, 1):
            if why := self._broken or self._hindrance():
                return why
            self.tell({"kind": "batch", "number": number, "bots": names})
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._turn(turns, name, specs[name])) for name in names]
            if failed := [why for task in tasks if (why := task.result())]:
                return "; ".join(failed)
            if number == 1 and (why := await self._settle()):
                return why
            reach(CrashPoint.PSVD_CHANGE_BATCH)
        self.roster.swap({name: specs[name] for name in self.ways.swapped})
        return await self._stop_removed() or self._broken

    def _tell_plan(self) -> None:
        waits = self._settle_s() if self.ways.batches else 0.0
        self.tell({
            "kind": "plan", "added": list(self.plan.added), "removed": list(self.plan.removed), "live": self.ways.pushed,
            "batches": self.ways.batches, "settle_s": waits, "estimate_s": round(estimate_s(self.ways.batches, waits, {}), 1),
        })  # fmt: skip

    def _hindrance(self) -> str:
        if self.fleet.is_going_down:
            return "the fleet is going down"
        return "" if self.fleet.can_start else "nothing can be started: no keeper"

    def _settle_s(self) -> float:
        hasty = self.is_hasty or is_small(self.new)
        return 0.0 if hasty else float(self.new["fleet"].get("settle_s", SETTLE_S))

    async def _turn(self, turns: Turns, name: str, spec: BotSpec) -> str:
        """Give one bot its turn; returns why that ends the change, empty when it goes on."""
        began, is_new = mono(), name not in self.fleet.handles
        former = [handle for old, new in self.plan.renames if new == name and (handle := self.fleet.handles.get(old)) is not None]
        if problems := await self._end(former):  # what looks renamed has the same login: never both at once
            return "; ".join(problems)
        must_be_healthy = not (self.is_hasty or is_small(self.new))
        handle = self.roster.add(spec) if is_new else self.fleet.handles[name]
        was_failing = not is_new and handle.life.state not in HAS_PROCESS and handle.wanted is not Wanted.DOWN
        self.touched.append(name)
        if is_new:
            outcome, words = await turns.begin(handle, must_be_healthy=must_be_healthy)
        else:
            is_new_kind = name in self.plan.added or self.plan.changed[name].effect == "recreate"  # added: it did not end once
            outcome, words = await turns.take(handle, spec, is_new_kind=is_new_kind, must_be_healthy=must_be_healthy)
        if outcome is Outcome.LET_GO:
            self.left[name] = words
        if outcome is Outcome.FAILED and was_failing:
            outcome, words = Outcome.LET_GO, f"did not run before, nor does it now: {words}"
            self.left[name] = words
        self.tell({"kind": "bot", "bot": name, "outcome": outcome, "message": words, "took_s": round(mono() - began, 3)})
        return f"{name}: {words}" if outcome is Outcome.FAILED else ""

    async def _settle(self) -> str:
        """Watch the first ones for a while; returns what broke."""
        if seconds := self._settle_s():
            self.tell({"kind": "settle", "seconds": seconds})
            try:
                async with asyncio.timeout(seconds):
                    await self._is_broken.wait()
            except TimeoutError:
                pass
        return self._broken

    def _on_broken(self, why: str) -> None:
        self._broken = self._broken or why
        self._is_broken.set()

    async def _push(self, specs: Mapping[str, BotSpec]) -> str:
        """Push live settings: to one bot of each type first, then to all others; returns why one of them did not take them."""
        first: dict[object, str] = {}
        for name, spec in specs.items():
            first.setdefault((spec["type"], spec["kind"]), name)
        rest = [name for name in specs if name not in first.values()]
        for names in (list(first.values()), rest):
            self.touched += names
            self.roster.swap({name: specs[name] for name in names})
            if problems := await self._push_all(names, is_forward=True):
                return "; ".join(problems)
        return ""

    async def _push_all(self, names: Iterable[str], *, is_forward: bool) -> list[str]:
        """Push to all of these at once; returns what went wrong. A bot that has no process takes them at its next start."""
        slots = asyncio.Semaphore(_PUSHES_AT_ONCE)

        async def push(name: str) -> str:
            async with slots:
                handle = self.fleet.handles[name]
                why = await self.live.push(handle) if handle.life.state in HAS_PROCESS else ""
            if why and handle.life.state not in HAS_PROCESS:
                why = ""
            if is_forward:
                self.tell({"kind": "live", "bot": name, "ok": not why, "message": why})
            return f"{name}: {why}" if why else ""

        return [why for why in await _gather([push(name) for name in names]) if why]

    async def _stop_removed(self) -> str:
        """Stop what is not in the new version; psv itself wants it down, not a person. Returns what does not end."""
        handles = self.fleet.handles  # a bot whose name could not be used has none
        problems = await self._end([handles[name] for name in self.plan.removed if name in handles])
        # Who came to rest first may have been started again by a person: a bot that runs must not be let go.
        problems += [f"{h.name}: is {h.life.state} again, by a newer command" for h in self._removed if h.life.state not in RESTING]
        return "; ".join(filter(None, problems))

    async def _end(self, handles: Sequence[BotHandle]) -> list[str]:
        """Stop bots that are to go, unless that was done; returns what does not end."""
        new = [handle for handle in handles if handle not in self._removed]
        self._removed += new
        self.touched += [handle.name for handle in new]
        for handle in new:
            self.fleet.tasks.unschedule(handle)
            handle.wanted = Wanted.DOWN
            handle.stop()
        return [why for why in await _gather([self._wait_rest(handle) for handle in new]) if why]

    @staticmethod
    async def _wait_rest(handle: BotHandle) -> str:
        is_over = await handle.life.wait_for(RESTING, float(handle.spec["stop"]["timeout_s"]) + _STOP_MARGIN_S)
        return "" if is_over else f"{handle.name}: does not end, it is {handle.life.state}"

    # -- back

    async def _back(self, turns: Turns, why: str) -> dict[str, str]:
        """Give everything touched its old settings; returns `{bot: what is wrong with it}` of what does not run with those either."""
        reach(CrashPoint.PSVD_CHANGE_BACK)
        self.tell({"kind": "back", "message": why})
        while not self.fleet.can_start and not self.fleet.is_going_down:
            await asyncio.sleep(_KEEPER_LOOK_S)  # a bot that is stopped now could not come back
        turned = [name for batch in self.ways.batches for name in batch if name in self.touched and name in self._old]
        pushed = [name for name in self.ways.pushed if name in self.touched]
        self.roster.swap({name: self._old[name] for name in (*pushed, *self.ways.swapped)})
        backs = [turns.take_back(self.fleet.handles[name], self._old[name]) for name in turned]
        problems = await _gather([*backs, self._drop_added()])
        problems += await self._push_all(pushed, is_forward=False)
        reach(CrashPoint.PSVD_CHANGE_BACK_DONE)
        return {words.partition(":")[0].partition(" ")[0]: words for words in problems if words}

    def _keep_removed(self) -> None:
        """Let those that were to go go on, as a person wants them: that is what is on disk."""
        wishes = {**self.fleet.store.wanted(), **self.fleet.store.unsaved}
        for handle in self._removed:
            handle.wanted = wishes.get(handle.name) or (Wanted.UP if handle.spec["autostart"] else Wanted.DOWN)
            if handle.wanted is not Wanted.DOWN and not self.fleet.start(handle, "command") and handle.life.state is State.STOPPING:
                handle.stop(is_restart=True)

    async def _drop_added(self) -> None:
        """End those that came, and only then let those go on that were to go: one of them may be the same under another name."""
        added = [self.fleet.handles[name] for name in self.plan.added if name in self.fleet.handles]
        for handle in added:
            handle.wanted = Wanted.DOWN
            handle.stop()
        await _gather([self._wait_rest(handle) for handle in added])
        for handle in added:
            if handle.life.state in RESTING:
                self.roster.drop(handle)
        self._keep_removed()


async def _gather(steps_: Iterable[Awaitable[str | None]]) -> list[str]:
    return [result or "" for result in await asyncio.gather(*steps_)]
