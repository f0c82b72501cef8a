"""Hooks of fleet.toml: the operator's commands around the steps of a bot, run as children of psvd that psvd never waits for.

At most RUNNING_MOST before_ and as many after_ hooks run at a time. before_ hooks wait their turn; after_ hooks of one bot run
one after the other, and beyond WAITING_MOST of all bots further ones are left out and said so. A hook is run at most once for
what happened: one that psvd dies over ends with psvd and is not run again. Before what had not happened yet, and is begun anew by
the next psvd, its hook runs anew. The process between is process/hookrun.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from processsupervisor.config.spec import BotSpec, HookSpec
from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.errors import Exhausted
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import State, Trigger
from processsupervisor.launch.known import known_values
from processsupervisor.observe.redact import redact
from processsupervisor.process.hookjob import Result, run_job
from processsupervisor.process.hooks import TURN_LIMIT_S, Before
from processsupervisor.process.lifecycle import Transition
from processsupervisor.supervisor.events import Events

RUNNING_MOST = 4
WAITING_MOST = 500
_LET_GO_S = 0.5
_LATE_S = 1.0
_log = logging.getLogger("psv.hooks")


class HookRunner:
    """All hooks of a fleet; `spec_of` gives the spec of a bot, or None."""

    def __init__(self, paths: FleetPaths, spec_of: Callable[[str], BotSpec | None], events: Events) -> None:
        self._paths = paths
        self._spec_of = spec_of
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self._before = asyncio.Semaphore(RUNNING_MOST)
        self._after = asyncio.Semaphore(RUNNING_MOST)
        self._turns: dict[str, asyncio.Lock] = {}
        self._starting: dict[str, asyncio.Task[Result]] = {}
        self._launched: dict[str, int] = {}
        self._waiting = 0

    # -- what handles ask (process.hooks.Hooks)

    async def before(self, bot: str, step: Before, limit_s: float | None = None) -> str:
        """See process.hooks.Hooks. The time in line counts where there is a limit, since it is the bot's that passes."""
        name = f"before_{step}"
        hook = self._hook(bot, name)
        if hook is None:
            return ""
        began = mono()
        task = asyncio.get_running_loop().create_task(self._in_turn(bot, name, hook, limit_s))
        if step == "start":
            self._starting[bot] = task
        try:
            result = await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                task.cancel()
                raise
            result = {"outcome": "let-go", "code": None, "tail": []}
        finally:
            if self._starting.get(bot) is task:
                del self._starting[bot]
        why = self._tell(bot, name, result, mono() - began)
        if step == "start" and result["outcome"] == "exhausted":
            raise Exhausted(why)
        return why

    def is_before_start(self, bot: str) -> bool:
        """Tell whether the hook before the start of a bot runs, or waits for its turn."""
        return bot in self._starting

    def turn(self, bot: str, step: Before, act: Callable[[], None]) -> None:
        """See process.hooks.Hooks."""
        if self._hook(bot, f"before_{step}") is None:
            act()
            return

        async def after_hook() -> None:
            await self.before(bot, step, TURN_LIMIT_S)
            act()

        self._begin(after_hook())

    # -- what the fleet tells

    def on_transition(self, transition: Transition) -> None:
        """Run what follows a transition; a start that is not wanted any more does not wait for its hook."""
        bot, facts = transition.bot, {"generation": transition.generation, "reason": transition.reason}
        trigger = transition.trigger
        if trigger is Trigger.LAUNCH:
            self._launched[bot] = transition.generation
        elif trigger is Trigger.ADOPT:
            self._launched.pop(bot, None)
        if transition.before is State.STARTING and (task := self._starting.get(bot)) is not None:
            task.cancel()
        if transition.reason == "adopted":
            return
        if trigger is Trigger.EXIT and transition.before in (State.STOPPING, State.RESTARTING):
            self.after(bot, "stop", facts | {"is_restart": transition.before is State.RESTARTING})
        elif trigger is Trigger.READY:
            self.after(bot, "ready", facts)
        elif trigger is Trigger.PAUSED:
            self.after(bot, "pause", facts)
        elif trigger is Trigger.RESUMED:
            self.after(bot, "resume", facts)

    def on_born(self, bot: str, generation: int, pid: int) -> None:
        """Run after_start for a process that was started, not for one that was found."""
        if self._launched.pop(bot, None) == generation:
            self.after(bot, "start", {"generation": generation, "pid": pid})

    def after(self, bot: str, step: str, facts: Mapping[str, object]) -> None:
        """Run the hook after a step, beside everything else."""
        name = f"after_{step}"
        hook = self._hook(bot, name)
        if hook is None:
            return
        if self._waiting >= WAITING_MOST:
            left_out = {"outcome": "left-out", "code": None, "tail": [f"{WAITING_MOST} hooks wait already"]}
            self._tell(bot, name, left_out, 0.0)
            return
        self._waiting += 1
        self._begin(self._follow(bot, name, hook, facts, wall()))

    async def drain(self, timeout_s: float) -> None:
        """Wait until no hook runs or waits, at most for `timeout_s`; those that are left are let go, and told."""
        left = set(self._tasks)
        for wait_s in (max(0.0, timeout_s), _LET_GO_S):
            left = (await asyncio.wait(left, timeout=wait_s))[1] if left else left
            for task in left:
                task.cancel()

    def close(self) -> None:
        """Let go of all hooks: the processes between end them."""
        for task in [*self._tasks, *self._starting.values()]:
            task.cancel()

    # -- inside

    def _hook(self, bot: str, name: str) -> HookSpec | None:
        spec = self._spec_of(bot)
        return None if spec is None else (spec.get("hooks") or {}).get(name)

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, bot: str, name: str, hook: HookSpec, limit_s: float | None) -> Result:
        # The process between ends the hook at the limit and brings what it printed; it is let go only if it is late itself.
        until = mono() + limit_s if limit_s is not None else None
        try:
            async with asyncio.timeout(None if limit_s is None else limit_s + _LATE_S):
                async with asyncio.timeout(limit_s) as patience, self._before:
                    patience.reschedule(None)
                    left_s = None if until is None else max(0.0, until - mono())
                    return await self._run(bot, name, hook, {}, wall(), left_s)
        except TimeoutError:
            return {"outcome": "timed-out", "code": None, "tail": []}

    async def _follow(self, bot: str, name: str, hook: HookSpec, facts: Mapping[str, object], at: float) -> None:
        began = mono()
        try:
            async with self._turns.setdefault(bot, asyncio.Lock()), self._after:
                began = mono()
                self._tell(bot, name, await self._run(bot, name, hook, facts, at, None), mono() - began)
        except asyncio.CancelledError:
            self._tell(bot, name, {"outcome": "let-go", "code": None, "tail": ["psvd ended before it was done"]}, mono() - began)
            raise
        finally:
            self._waiting -= 1

    async def _run(self, bot: str, name: str, hook: HookSpec, facts: Mapping[str, object], at: float, limit_s: float | None) -> Result:
        """Run one hook; returns what the process between says. Cancelled, it lets go of that, which ends the hook."""
        spec = self._spec_of(bot)
        assert spec is not None
        timeout_s = min(float(hook["timeout_s"]), float("inf") if limit_s is None else limit_s)
        event = {"hook": name, "bot": bot, "at": at, "fleet": str(self._paths.folder), **facts}
        return await run_job(self._paths, spec, hook["command"], timeout_s, env=hook["env"], event=event)

    def _tell(self, bot: str, name: str, result: Result, took_s: float) -> str:
        """Tell how a hook ended; returns why it failed, empty when it did not."""
        outcome, code, secrets = str(result["outcome"]), result["code"], known_values(self._paths, bot)
        tail = [redact(str(line), secrets) for line in result["tail"]]
        how = {"failed": f"exit code {code}" if code is not None else "failed", "timed-out": "not done in time"}.get(outcome, outcome)
        message = "" if outcome == "ok" else f"{name}: {tail[-1][:300]} ({how})" if tail else f"{name}: {how}"
        fields = {"hook": name, "outcome": outcome, "code": code, "took_s": round(took_s, 3)}
        self._events.tell("hook", bot=bot, message=message, **fields)
        level = logging.INFO if outcome == "ok" else logging.WARNING
        _log.log(level, "hook ended", extra={"bot": bot, **fields, "output": "\n".join(tail)})
        return message
