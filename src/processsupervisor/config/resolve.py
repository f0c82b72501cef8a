"""Merged settings of one bot to its BotSpec: defaults filled in, units and paths made absolute. Touches no file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from processsupervisor.config.chattables import chat_spec, proxy_spec
from processsupervisor.config.networks import network_findings
from processsupervisor.config.problem import Finding
from processsupervisor.config.schema import BotTable, ControlTable, FleetTable, WebTable
from processsupervisor.config.scopes import PROGRAM_KEYS, Merged
from processsupervisor.config.shape import read_table, ready_of_native
from processsupervisor.config.spec import (
    BotSpec,
    BudgetSpec,
    FleetSpec,
    HealthSpec,
    HookSpec,
    Kind,
    LogLevel,
    ReadyKind,
    ReadySpec,
    RecycleSpec,
    RestartSpec,
    ScheduleSpec,
    WebSpec,
)  # fmt: skip
from processsupervisor.config.tables import (
    HealthTable,
    HooksTable,
    LoginBudgetTable,
    ReadyTable,
    RecycleTable,
    RestartTable,
    ScheduleTable,
)
from processsupervisor.config.taskrules import task_findings
from processsupervisor.kernel.units import format_duration

_KINDS: dict[str, Kind] = {"run": "native", "script": "script", "command": "command"}

_PROBE_TIMEOUT_S = 5.0
_ALL_LOGGERS = "default"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A bot whose tables could be read; `used` are the merged values that hold for it."""

    merged: Merged
    used: dict[str, Any]
    spec: BotSpec
    template: str | None


def absolute(folder: Path, text: str) -> str:
    """Return a path of the file as an absolute one: `~` is the home folder, relative means beside fleet.toml."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text)))  # noqa: PTH111, PTH118 - Path raises for unknown users, and is slow


def fleet_spec(fleet: FleetTable, control: ControlTable) -> FleetSpec:
    """Return the settings of the fleet as a whole."""
    return {
        "name": fleet.name,
        "down_timeout_s": fleet.down_timeout,
        "log_total_bytes": fleet.log_total,
        "disk_free_percent": fleet.disk_free_percent,
        "control_group": control.group,
        "release_watch_s": fleet.release_watch,
        "hints": list(fleet.hints),
        "watch": fleet.watch,
        "settle_s": fleet.settle,
    }


def web_spec(web: WebTable, *, is_written: bool, is_needed: bool = False) -> WebSpec:
    """Return the settings of the page; without a table [web] there is none, unless a bot needs the process (`telegram_proxy`)."""
    host, _, port = web.listen.rpartition(":")
    return {
        "enabled": web.enabled and (is_written or is_needed),
        "listen_host": host.strip("[]"),
        "listen_port": int(port),
        "next_free": web.next_free or (is_needed and not is_written),
    }


def bot_spec(name: str, merged: Merged, values: dict[str, Any], folder: Path) -> tuple[BotSpec, list[Finding]]:
    """Return the spec of one bot and what is wrong with the combination of its scopes (paths as Finding.path says, in the bot).

    `values` (of `merged`) loses what is passed over for this bot.
    """
    findings = []
    program = next((key for key in PROGRAM_KEYS if key in values), None)
    if program is None:
        hint = 'give run = "module:bot", script = "main.py" or command = ["program"]'
        findings.append(Finding((), "no-program", f"bot {name} has nothing to run", hint))
    if program == "run" and "ready" in values:
        if merged.scope_of("ready") != "global":  # in [global] it means: all those that need one
            findings.append(ready_of_native(("ready",)))
        del values["ready"]
    findings += [*task_findings(values, merged), *network_findings(values, merged)]
    kind = _KINDS[program] if program else "native"
    table, faults = read_table(BotTable, values, ("bots", name))
    findings += [replace(fault, path=fault.path[2:]) for fault in faults]
    if table is None:
        table = BotTable()
    if table.health is not None:
        findings += _slow_probe(table.health)
    return _spec(name, table, kind, folder), findings


def _slow_probe(health: HealthTable) -> list[Finding]:
    """Find a deadline of probes that comes only when the next one is due; the two keys may stand in different scopes."""
    if health.timeout is None or health.timeout < health.every:
        return []
    timeout, every = format_duration(health.timeout), format_duration(health.every)
    text = f"found timeout {timeout} for probes that are due every {every}, expected less"
    return [Finding(("health", "timeout"), "probe-timeout", text, "lower health.timeout, or raise health.every")]


def broken_spec(name: str, layers: Sequence[Any], type_name: str | None, folder: Path) -> BotSpec:
    """Return a spec that only serves to report the bot `name`, whose table cannot be read.

    `layers` are the tables that it is made of as they stand in the file, its own first: what it runs is said as far as that can be
    read, and a schedule without any time says that it is a task.
    """
    tables = [table for table in layers if isinstance(table, dict)]
    key, value = next(((key, table[key]) for table in tables for key in _KINDS if key in table), ("run", None))
    spec: BotSpec = {**_spec(name, BotTable(), _KINDS[key], folder), "type": type_name}
    if any("schedule" in table for table in tables):
        spec["schedule"] = _schedule(ScheduleTable.model_construct())
    if key == "command" and isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        spec["command"] = value
    elif key == "script" and isinstance(value, str):
        spec["script"] = absolute(folder, value)
    elif key == "run" and isinstance(value, str):
        spec["run"] = value
    return spec


def _spec(name: str, table: BotTable, kind: Kind, folder: Path) -> BotSpec:
    command = [_program(folder, table.command[0]), *table.command[1:]] if table.command else None
    return {
        "name": name,
        "type": table.type,
        "source": table.source,
        "release": None,
        "kind": kind,
        "run": table.run,
        "script": absolute(folder, table.script) if table.script else None,
        "command": command,
        "args": list(table.args),
        "python": _python(folder, table.python) if table.python else None,
        "cwd": absolute(folder, table.cwd) if table.cwd else str(folder),
        "env": dict(table.env),
        "env_files": [absolute(folder, path) for path in table.env_file],
        "inherit": list(table.inherit),
        "preload": list(table.preload),
        "lock": _locks(table, folder),
        "ready": _ready(table.ready, kind) if table.schedule is None else {"kind": "after", "value": 0.0},
        "start_timeout_s": table.start_timeout,
        "hang_after_s": table.hang_after,
        "health": _health(table.health, folder) if table.health else None,
        "stop": {"timeout_s": table.stop.timeout, "signal": table.stop.signal},
        "restart": _restart(table.restart),
        "schedule": _schedule(table.schedule) if table.schedule else None,
        "recycle": _recycle(table.recycle),
        "priority": table.priority,
        "depends_on": [{"bot": d.bot, "until": d.until} for d in table.depends_on],
        "restart_with": list(dict.fromkeys(table.restart_with)),
        "login_budget": _budget(table.login_budget),
        "essential": table.essential,
        "autostart": table.autostart,
        "user": table.user,
        "umask": table.umask,
        "limits": {
            "nofile": table.limits.nofile,
            "nproc": table.limits.nproc,
            "memory_bytes": table.limits.memory,
            "pids": table.limits.pids,
        },
        "logs": {"max_bytes": table.logs.max, "keep": table.logs.keep},
        "stdin": "null",
        "log_level": cast(LogLevel, table.log_level.get(_ALL_LOGGERS, "info")),
        "log_levels": {name: level for name, level in table.log_level.items() if name != _ALL_LOGGERS},
        "networks": dict(table.networks),
        "chat": chat_spec(table.chat),
        "telegram_proxy": proxy_spec(table.telegram_proxy),
        "hooks": _hooks(table.hooks, folder),
        "options": dict(table.options),
        "error": None,
        "error_rechecks": False,
        "is_elsewhere": False,
    }


def _locks(table: BotTable, folder: Path) -> list[dict[str, str]]:
    """Return each lock once: twice, the bot would wait for itself."""
    locks: list[dict[str, str]] = []
    for lock in table.lock:
        one = {"env": lock.env} if lock.env else {"file": absolute(folder, lock.file or "")}
        if one not in locks:
            locks.append(one)
    return locks


def _health(table: HealthTable, folder: Path) -> HealthSpec:
    return {
        "http": table.http,
        "tcp": table.tcp,
        "exec": [_program(folder, table.exec[0]), *table.exec[1:]] if table.exec else None,
        "env": list(table.env),
        "log_silence_s": table.log_silence,
        "every_s": table.every,
        "timeout_s": table.timeout or min(_PROBE_TIMEOUT_S, table.every / 2),
        "fail_after": table.fail_after,
        "pass_after": table.pass_after,
        "grace_s": table.grace,
        "settle_s": table.settle,
        "action": table.action,
        "connected_within_s": table.connected_within,
    }


def _hooks(table: HooksTable, folder: Path) -> dict[str, HookSpec]:
    hooks: dict[str, HookSpec] = {}
    for name in HooksTable.model_fields:
        hook = getattr(table, name)
        if hook is not None:
            command = [_program(folder, hook.command[0]), *hook.command[1:]]
            hooks[name] = {"command": command, "timeout_s": hook.timeout, "env": list(hook.env)}
    return hooks


def _program(folder: Path, text: str) -> str:
    return absolute(folder, text) if "/" in text else text


def _python(folder: Path, text: str) -> str:
    """Return the interpreter: a file, that of a virtual environment's folder, or (without a slash) one on PATH."""
    path = absolute(folder, text)
    if "/" not in text and not Path(path).exists():
        return shutil.which(text) or path
    return str(Path(path) / "bin" / "python") if Path(path).is_dir() else path


def _ready(table: ReadyTable | None, kind: Kind) -> ReadySpec:
    if kind == "native":
        return {"kind": "said", "value": None}
    given = table.model_dump(exclude_unset=True) if table else {"after": 1.0}
    ready_kind, value = next(iter(given.items()))
    return {"kind": cast(ReadyKind, ready_kind), "value": None if ready_kind == "notify" else value}


def _budget(table: LoginBudgetTable | None) -> BudgetSpec | None:
    return {"count": table.count, "within_s": table.within} if table is not None and table.count else None


def _restart(table: RestartTable) -> RestartSpec:
    return {
        "policy": table.policy,
        "initial_s": table.initial,
        "base_s": table.base,
        "factor": table.factor,
        "max_s": table.max,
        "stable_after_s": table.stable_after,
        "window": [{"count": window.count, "within_s": window.within} for window in table.window],
        "retry_failed_s": table.retry_failed,
    }


def _schedule(table: ScheduleTable) -> ScheduleSpec:
    return {
        "cron": table.cron,
        "every_s": table.every,
        "at": table.at,
        "tz": table.tz,
        "missed": table.missed,
        "overlap": table.overlap,
        "timeout_s": table.timeout,
        "jitter_s": table.jitter,
        "keep": table.keep,
    }


def _recycle(table: RecycleTable) -> RecycleSpec:
    return {
        "max_age_s": table.max_age,
        "max_memory_bytes": table.max_memory,
        "max_memory_hard_bytes": table.max_memory_hard,
        "max_messages": table.max_messages,
        "within_s": table.within,
        "jitter": table.jitter / 100.0,
    }
