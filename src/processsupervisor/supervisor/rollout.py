"""Rollout: every running bot restarted through a fresh zygote, in batches gated on ready; the old zygote stays until the end.

A bot that does not become ready comes back from the zygote it ran on before, the rollout stops and says why; what was not
reached goes on untouched (I6). A command of a person on a bot wins: the rollout lets go of that bot. One rollout at a time;
trial.py follows a single bot through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from processsupervisor.commands.ports import Emit
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import Refused, SystemRefused
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.launcher import ZygoteSet
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.pins import key_of, split_key
from processsupervisor.supervisor.trial import Outcome, Trials

_log = logging.getLogger("psv.rollout")
_RUNS = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_QUEUE_EVENTS = 4096
_AGAIN = "psv upgrade --bots tries again"


class Rollouts:
    """Runs at most one rollout, and knows how the last one ended."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._present: Rollout | None = None
        self._stopped = ""
        self._task: asyncio.Task[dict[str, object]] | None = None

    async def run(self, handles: Sequence[BotHandle], batch: int | None, emit: Emit) -> dict[str, object]:
        """See FleetPort.rollout. The rollout is a task of its own: whoever watches it may leave."""
        if self._present is not None:
            raise Refused("a rollout runs already", hint="wait for its end; psv status shows how far it is")
        if self._fleet.keeper.pid is None:
            raise Refused("nothing can be started: no keeper", hint="bots go on as they are; psv up brings a new keeper")
        # Progress only: the answer is complete in itself, so that a slow reader loses nothing it needs.
        events: asyncio.Queue[dict[str, object]] = asyncio.Queue(_QUEUE_EVENTS)
        present = self._present = Rollout(self._fleet, handles, batch, lambda event: self._tell(events, event))
        task = self._task = asyncio.get_running_loop().create_task(present.run())
        task.add_done_callback(self._on_done)
        task.add_done_callback(lambda _: _offer(events, {}))
        try:
            while event := await events.get():
                await emit(event)
            return await asyncio.shield(task)
        finally:
            present.is_left = True

    def _tell(self, events: asyncio.Queue[dict[str, object]], event: dict[str, object]) -> None:
        _offer(events, event)
        self._fleet.events.tell("rollout", step=event["kind"], **{name: value for name, value in event.items() if name != "kind"})

    def _on_done(self, task: asyncio.Task[dict[str, object]]) -> None:
        self._present = None
        if task.cancelled():
            return
        if task.exception() is not None:
            _log.warning("no rollout", extra={"reason": str(task.exception())})
            return
        result = task.result()
        self._stopped = "" if result["ok"] else str(result["message"])
        self._fleet.events.tell("rollout", step="end", ok=result["ok"], message=result["message"])
        _log.info("rollout ended", extra={"ok": result["ok"], "outcome": result["message"]})

    @property
    def is_under_way(self) -> bool:
        """Tell whether a rollout runs."""
        return self._present is not None

    def notes(self) -> list[dict[str, str]]:
        """Return what `status` says of a rollout that runs, was stopped, or was interrupted by the end of an earlier psvd."""
        old = self._fleet.zygotes.pins.by_bot
        if self._present is not None:
            message = f"under way: {self._present.progress()}"
        elif old:
            bases = {split_key(pin.key)[0] for pin in old.values()}
            fresh = [h for h in self._fleet.handles.values() if h.process and h.name not in old and _is_of(h, bases)]
            how = f"stopped: {self._stopped}" if self._stopped else "interrupted"
            message = f"{how}; {len(fresh)} on the new zygote, {len(old)} on the old one, which stays for them: {_AGAIN}"
        elif self._stopped:
            message = f"stopped: {self._stopped}: {_AGAIN}"
        else:
            return []
        return [{"subject": "rollout", "message": message}]


class Rollout:
    """One rollout from its plan to its end. `is_left` = whoever asked for it is gone: it stops after the batch under way."""

    def __init__(self, fleet: Fleet, handles: Sequence[BotHandle], batch: int | None, tell: Callable[[dict[str, object]], None]) -> None:
        self._fleet = fleet
        self._tell = tell
        self._bots = [h for h in handles if h.wanted is not Wanted.DOWN and h.life.state in _RUNS and fleet.tasks.get(h.name) is None]
        self._left_alone = {h.name: str(h.life.state) for h in handles if h not in self._bots}
        self._batch = batch
        self._rolled: list[str] = []
        self._let_go: list[str] = []
        self.is_left = False

    def progress(self) -> str:
        """Return how far it is."""
        return f"{len(self._rolled)} of {len(self._bots)} bots run on the new zygote"

    async def run(self) -> dict[str, object]:
        """Roll everything; raises SystemRefused when no fresh zygote can be made."""
        batches = plan(self._bots, self._batch)
        self._tell(
            {
                "kind": "plan",
                "bots": {h.name: h.generation for h in self._bots},
                "batches": [[h.name for h in batch] for batch in batches],
                "left_alone": self._left_alone,
            }
        )
        await self._prepare()
        trials = Trials(self._fleet)
        is_cancelled = False
        why = "it failed inside, see .psv/logs/psv/psvd.log"
        try:
            why = await self._roll(batches, trials)
        except asyncio.CancelledError:
            is_cancelled = True  # psvd ends: its successor finds both zygotes and every bot's origin
            raise
        finally:
            trials.close()
            if not is_cancelled:
                self._fleet.zygotes.release(is_done=not why)
        done = {*self._rolled, *self._let_go}
        not_rolled = [h.name for h in self._bots if h.name not in done]
        return {
            "ok": not why,
            "message": why or f"rolled {len(self._rolled)} of {len(self._bots)}",
            "rolled": self._rolled,
            "not_rolled": not_rolled,
            "let_go": self._let_go,
            "left_alone": self._left_alone,
        }

    async def _prepare(self) -> None:
        """Tie every bot to the zygote it runs on, then make the fresh ones; nothing is changed when that fails."""
        zygotes, before = self._fleet.zygotes, dict(self._fleet.zygotes.pins.by_bot)
        try:
            running = [h for h in self._fleet.handles.values() if h.process is not None]
            await zygotes.hold({h.name: h.via for h in running})
            sets = [await self._fleet.launcher.zygote_set(h.spec) for h in self._bots]
            await zygotes.make_fresh({s.base: s for s in sets if isinstance(s, ZygoteSet)}.values())
        except Exception as err:
            zygotes.pins.by_bot = before
            zygotes.release(is_done=False)
            if isinstance(err, (OSError, ValueError)):
                raise SystemRefused(f"a new zygote cannot be made: {err}", hint="no bot was touched") from err
            raise

    async def _roll(self, batches: list[list[BotHandle]], trials: Trials) -> str:
        """Roll batch after batch; returns why it stopped, empty when it did not."""
        for number, batch in enumerate(batches, 1):
            if why := self._hindrance():
                return why
            self._tell({"kind": "batch", "number": number, "bots": [h.name for h in batch]})
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._roll_one(handle, trials)) for handle in batch]
            if problems := [why for task in tasks if (why := task.result())]:
                return "; ".join(problems)
        return ""

    def _hindrance(self) -> str:
        if self._fleet.is_going_down:
            return "the fleet is going down"
        if self._fleet.keeper.pid is None:
            return "no keeper"
        return "whoever asked for it left" if self.is_left else ""

    async def _roll_one(self, handle: BotHandle, trials: Trials) -> str:
        """Roll one bot; returns why that stops the rollout, empty when it goes on."""
        began = mono()
        if handle.life.state is State.STARTING:  # it ended by itself meanwhile: its turn is when it is back
            await handle.life.wait_for(_RUNS | RESTING, float(handle.spec["start_timeout_s"]))
        if handle.wanted is Wanted.DOWN or handle.life.state not in _RUNS:
            self._fleet.zygotes.pins.drop(handle.name)
            outcome, message = Outcome.LET_GO, f"is {handle.life.state} by now"
        elif wait_s := self._fleet.budgets.wait_s(handle):
            self._fleet.zygotes.pins.drop(handle.name)
            outcome, message = Outcome.LET_GO, f"goes on as it is: {self._fleet.budgets.message(handle, wait_s)}"
        else:
            outcome, message = await trials.roll(handle)
        if outcome is Outcome.ROLLED:
            self._rolled.append(handle.name)
        elif outcome is Outcome.LET_GO:
            self._let_go.append(handle.name)
        self._tell({"kind": "bot", "bot": handle.name, "outcome": outcome, "message": message, "took_s": round(mono() - began, 3)})
        return f"{handle.name} {message}" if outcome in (Outcome.BACK, Outcome.FAILED) else ""


def plan(bots: Sequence[BotHandle], size: int | None) -> list[list[BotHandle]]:
    """Return the batches: first one bot of each type (those without a type: of each kind), then `size` or a tenth at a time."""
    canaries: dict[tuple[Any, Any], BotHandle] = {}
    for bot in bots:
        canaries.setdefault((bot.spec["type"], bot.spec["kind"]), bot)
    first = list(canaries.values())
    rest = [bot for bot in bots if bot not in first]
    step = size or max(1, len(bots) // 10)
    return [batch for batch in (first, *(rest[i : i + step] for i in range(0, len(rest), step))) if batch]


def _is_of(handle: BotHandle, bases: set[str]) -> bool:
    """Tell whether a bot comes from one of these sets. One whose origin a killed psvd could not note was on its way through a fresh one."""
    key = key_of(handle.via)
    return split_key(key)[0] in bases if key else not handle.via and handle.spec["kind"] != "command"


def _offer(events: asyncio.Queue[dict[str, object]], event: dict[str, object]) -> None:
    if events.full():
        events.get_nowait()
    with contextlib.suppress(asyncio.QueueFull):
        events.put_nowait(event)
