"""A fleet in memory behind FleetPort, for tests of whoever stands above the port: handlers, dispatch, the command line."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Mapping, Sequence

from processsupervisor.commands.command import nearest_hint
from processsupervisor.commands.ports import Caller, Emit
from processsupervisor.kernel.errors import NoSuchBot, Refused


def bot_object(name: str, kind: str, state: str) -> dict[str, object]:
    """Return a bot object with every key of the contract."""
    running = state == "RUNNING"
    return {
        "name": name, "type": "helper" if kind == "native" else None, "kind": kind, "state": state, "wanted": "up",
        "health": "healthy" if running else None, "health_message": None, "connected": None, "connected_age_s": None,
        "pid": 4711 if running else None, "generation": 1,
        "ready_at": 1700000000.5 if running else None,
        "exited_at": None if running else 1700000000.25, "uptime_s": 12.5 if running else None, "restarts": 0,
        "memory_bytes": 3 << 20 if running else None,
        "memory_age_s": 0.5 if running else None, "cpu_percent": 0.1 if running else None, "reason": None if running else "code",
        "exit_code": None if running else 3, "next_start_in_s": None, "next_run_at": None, "waits_on": [],
        "messages": 7 if running and kind == "native" else None,
    }


class FakeFleet:
    """Three bots: alice and bob (native), legacy (a script). Every verb ends at once; `audited` keeps what was allowed."""

    def __init__(self, folder: str = "/fleet") -> None:
        self.folder = folder
        self.bots = {"alice": "native", "bob": "native", "legacy": "script"}
        self.state = dict.fromkeys(self.bots, "RUNNING")
        self.facts: dict[str, dict[str, object]] = {}
        self.audited: list[tuple[str, str]] = []
        self.is_down = False
        self.watched: list[dict[str, object]] = []
        self.is_endless = False
        self.gate: asyncio.Event | None = None
        self.told: list[dict[str, object]] = []
        self.web: str | None = "http://127.0.0.1:8450/"

    async def status(self) -> dict[str, object]:
        counts: dict[str, int] = {}
        for state in self.state.values():
            counts[state] = counts.get(state, 0) + 1
        return {
            "fleet": "demo", "folder": self.folder, "version": "0.1.0", "config_differs": True, "bots": counts, "web": self.web,
            "processes": [{"role": "psvd", "pid": 2, "generation": 1, "memory_bytes": 30 << 20}],
            "notes": [{"subject": "legacy", "message": "runs as a command"}],
        }

    async def down(self, timeout_s: float | None, emit: Emit) -> dict[str, object]:
        running = [name for name in self.bots if self.state[name] == "RUNNING"]
        for name in self.bots:
            before = "STOPPING" if name in running else self.state[name]
            self.state[name] = "STOPPED"
            await emit({"kind": "transition", "bot": name, "from": before, "to": "STOPPED", "reason": "admin", "at": 1700000000.0})
        self.is_down = True
        return {"stopped": len(running)}

    async def watch(self, emit: Emit) -> None:
        await emit({"kind": "snapshot", "bots": [self.describe(name) for name in self.bots]})
        for event in self.watched:
            await emit(event)
        if self.is_endless:
            await asyncio.Event().wait()
        await emit({"kind": "down", "stopped": len(self.bots)})

    async def rollout(self, names: Sequence[str], batch: int | None, emit: Emit) -> dict[str, object]:
        await emit({"kind": "plan", "bots": dict.fromkeys(names, 1), "batches": [list(names)], "left_alone": {}})
        return {"ok": True, "message": "", "rolled": list(names), "not_rolled": [], "let_go": [], "left_alone": {}}

    def hand_over(self, resting: Sequence[str]) -> dict[str, object]:
        return {"pid": 2}

    async def wait(self, timeout_s: float) -> dict[str, object]:
        late = [name for name, state in self.state.items() if state != "RUNNING"]
        ready = [name for name in self.bots if name not in late]
        rows = [{"name": name, "state": self.state[name], "reason": "code"} for name in late]
        return {"ready": ready, "not_ready": rows, "web": self.web}

    def select(self, names: Sequence[str], type_name: str | None) -> list[str]:
        for name in names:
            if not fnmatch.filter(self.bots, name):
                raise NoSuchBot(f'there is no bot "{name}"', hint=nearest_hint(name, list(self.bots), "the fleet has"))
        found = [bot for bot in self.bots if not names or any(fnmatch.fnmatchcase(bot, name) for name in names)]
        return [bot for bot in found if type_name is None or self.describe(bot)["type"] == type_name]

    def describe(self, name: str) -> dict[str, object]:
        return bot_object(name, self.bots[name], self.state[name]) | self.facts.get(name, {})

    def detail(self, name: str) -> dict[str, object]:
        raised = {"type": "ValueError", "message": "no token", "file": "bots.py", "line": 7}
        last = {"reason": "code", "exit_code": 3, "signal": None, "at": 1700000000.0, "generation": 1, "uptime_s": 1.0,
                "log_tail": ["boom\x1b[31m"], "exception": raised, "message": "exit code 3"}
        return self.describe(name) | {"spec_summary": {"run": "bots:bot", "script": None, "command": None, "args": []}, "last_exit": last, "notes": ["a note"], "what_to_do": "read the log"} | self.facts.get(name, {})

    async def start(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        return await self._become(name, "RUNNING")

    async def stop(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        return await self._become(name, "STOPPED")

    async def restart(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        if self.gate is not None and name == "alice":
            await self.gate.wait()
        elif self.gate is not None:
            self.gate.set()
        return await self._become(name, "RUNNING")

    async def pause(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        if self.bots[name] != "native":
            raise Refused(f"{name} is a {self.bots[name]} and cannot pause", hint="stop it instead")
        return await self._become(name, "PAUSED")

    async def resume(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        return await self._become(name, "RUNNING")

    async def _become(self, name: str, state: str) -> dict[str, object]:
        self.state[name] = state
        return {"name": name, "ok": True, "state": state, "message": "", "code": "ok"}

    def signal(self, name: str, signal_name: str) -> None:
        if self.state[name] != "RUNNING":
            raise Refused(f"{name} does not run")

    async def dump(self, name: str) -> dict[str, object]:
        if self.bots[name] == "command":
            raise Refused(f"{name} gives no dump")
        facts = {"name": name, "ok": True, "state": self.state[name], "message": "", "code": "", "pid": 7, "generation": 1, "at": 1700000000.0}
        return facts | {"process": {"State": "S"}, "stacks": f"stack of {name}\x1b[31m", "tasks": "Task a: main", "missing": ["x: why"]}

    async def replay(self, name: str, what: str, which: int) -> dict[str, object]:
        return {"name": name, "ok": which == 7, "message": "" if which == 7 else f"it has no {what} {which}"}

    def history(self, name: str, limit: int) -> list[dict[str, object]]:
        times = {"alice": (3.0, 1.0), "bob": (2.0,), "legacy": ()}[name]
        row = {"kind": "transition", "bot": name, "from": "STARTING", "to": "RUNNING", "trigger": "ready", "reason": None, "generation": 1, "exit_code": None, "by": None}
        return [row | {"at": 1700000000.0 + at} for at in sorted(times)][-limit:]

    def uptime(self, name: str) -> dict[str, object]:
        known = {"percent": 99.999, "unknown_percent": 0.0, "up_s": 3600.0, "down_s": 0.036, "unknown_s": 0.0}
        return {"day": known, "week": known, "month": known | {"percent": None}}

    async def events(
        self, names: Sequence[str] | None, emit: Emit, *, after: str | None, limit: int | None, is_followed: bool
    ) -> None:
        await emit({"kind": "begin", "life": "ab", "seq": 2})
        for event in self.told:
            if after is None or int(str(event["seq"])) > int(after.partition("-")[0]):
                await emit(event)

    def task(self, name: str) -> dict[str, object] | None:
        if name != "legacy":
            return None
        run = {"bot": name, "due_at": 1700000000.0, "why": "schedule", "state": "ended", "generation": 1, "started_at": 1700000000.5,
               "ended_at": 1700000002.5, "duration_s": 2.0, "reason": "code", "exit_code": 3, "signal": None, "message": "exited with 3"}
        schedule = {"cron": "0 4 * * *", "every_s": None, "at": None, "tz": "Europe/Berlin"}
        return {"name": name, "schedule": schedule, "state": "FAILED", "wanted": "up", "next_run_at": 1700000100.0, "queued": 0, "running": None, "last": run, "error": None}

    def task_history(self, name: str, limit: int) -> list[dict[str, object]]:
        task = self.task(name)
        return [] if task is None else [dict(task["last"])][-limit:]  # type: ignore[call-overload]

    async def run_task(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        if self.task(name) is None:
            raise Refused(f"{name} is no task", hint="give it a schedule")
        return {"name": name, "ok": True, "state": "STARTING", "message": "running", "code": "", "run": 7}

    async def task_outcome(self, name: str, number: int, timeout_s: float) -> dict[str, object]:
        return {"name": name, "ok": True, "state": "TERMINATED", "message": f"run {number} is clean", "code": "", "run": number}

    def audit(self, caller: Caller, op: str, args: Mapping[str, object]) -> None:
        self.audited.append((caller.name, op))
