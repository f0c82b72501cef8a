"""How a bot is shown: the object of `bot.list`, the longer one of `bot.status`, and what an operator can do about it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.kernel.units import short_duration
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.readiness import goal_of
from processsupervisor.supervisor.fleet import RESTING
from processsupervisor.supervisor.healthof import health_of
from processsupervisor.supervisor.sampler import Sample

_LAST_LINE_S = 0.5
_LONG_WAIT_S = 10.0
_LIVES_AWAITED = 3
_SETTLED = RESTING | {State.RUNNING, State.PAUSED}
_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_ADVICE = {
    Reason.CONFIG: "read psv logs {name}; correct the program or its settings, then psv restart {name}",
    Reason.AUTH: "the network refused the token: set a valid one, then psv restart {name}",
    Reason.CONFLICT: "something else uses the same identity: stop it, then psv restart {name}",
    Reason.LOCK_HELD: "stop the holder that the message names; {name} is tried again by itself",
    Reason.EXEC_FAILED: "correct command in fleet.toml, or install the program, then psv restart {name}",
    Reason.CRASH_LOOP: "read psv logs {name}; it is tried again now and then, or at once by psv restart {name}",
    Reason.START_TIMEOUT: "read psv logs {name}; raise start_timeout, or correct ready",
    Reason.HANG: "read what the last exit says, its dump and psv logs {name}; it comes back by itself (see hang_after and health)",
    Reason.START_FAILED: "correct what the last exit names; {name} comes back by itself, or at once by psv restart {name}",
    Reason.UNKNOWN: "its end was seen, how it ended was not: read psv logs {name}, then psv restart {name} if it does not come back",
    Reason.UNKNOWN_WHILE_UNSUPERVISED: "nobody saw its end: read psv logs {name}, then psv restart {name} if it does not come back",
}
_UNHEALTHY = "it did not pass the checks that the last exit names: read psv logs {name}; it comes back by itself (see health)"
_TOO_LARGE = "raise its recycle limit of memory in fleet.toml above what it needs, then psv reload; it is tried now and then"
_HOOK_FAILED = (
    "correct its before_start in fleet.toml or what that runs (what it printed is in .psv/logs/psv/psvd.log); {name} comes back by itself, "
    "or at once by psv restart {name}"
)
_CANNOT_TELL = (
    "cannot tell whether {name} still runs, so nothing is signalled and nothing started: see who holds .psv/run/bots/{name}/lock "
    "(lsof, also in other containers) and end it; {name} goes on by itself as soon as that is clear"
)
_BEING_CLEARED = "processes of an earlier generation of {name} are being ended; it goes on by itself"
_LOCK_STAYS_HELD = (
    "end the processes that the message names (kill -9), or see who holds .psv/run/bots/{name}/lock; "
    "if {name} does not go on by itself then, psv restart {name}"
)


_UNKILLABLE = (
    "the kernel holds the process in a call that does not return, mostly of a dead disk or network file system (see wchan in its folder "
    "of /proc): free that, or restart the machine; nothing is started in its place"
)


def describe(handle: BotHandle, sample: Sample | None, next_run_at: float | None = None) -> dict[str, object]:
    """Return the bot object of the contract; None where a value is not known. `next_run_at` is a task's."""
    state = handle.life.state
    is_ready = state in HAS_PROCESS and handle.ready_at is not None
    last = handle.last_exit
    return {
        "name": handle.name,
        "type": handle.spec["type"],
        "kind": handle.spec["kind"],
        "state": state,
        "wanted": handle.wanted,
        "health": health_of(handle),
        "health_message": handle.condition.why or None if state in _READY else None,
        "connected": handle.condition.is_connected,
        "connected_age_s": round(age_s, 1) if (age_s := handle.condition.proof_age_s) is not None else None,
        "pid": handle.process.pid if handle.process else None,
        "generation": handle.generation,
        "ready_at": handle.ready_at,
        "exited_at": handle.exited_at,
        "uptime_s": round(handle.uptime_s, 3) if is_ready and handle.uptime_s is not None else None,
        "restarts": handle.restarts,
        "memory_bytes": sample.memory_bytes if sample else None,
        "memory_age_s": round(mono() - sample.at_mono, 1) if sample else None,
        "cpu_percent": sample.cpu_percent if sample else None,
        "reason": handle.reason or None,
        "exit_code": last.exit_code if last else None,
        "next_start_in_s": round(max(0.0, handle.next_start_mono - mono()), 1) if handle.next_start_mono is not None else None,
        "next_run_at": next_run_at,
    }


def detail(
    handle: BotHandle, sample: Sample | None, next_run_at: float | None = None, *, is_hooked: bool = False
) -> dict[str, object]:
    """Return describe() with what the bot is, its last exit, notes, and what to do; `is_hooked`: its hook before the start runs."""
    return describe(handle, sample, next_run_at) | {
        "spec_summary": _summary(handle.spec),
        "via": handle.via,
        "last_exit": handle.last_exit.to_json() if handle.last_exit else None,
        "waits_for": handle.waits_for or None,
        "notes": list(handle.notes),
        "what_to_do": what_to_do(handle) or _goal(handle, is_hooked=is_hooked),
    }


def _goal(handle: BotHandle, *, is_hooked: bool = False) -> str:
    """Return what a bot that is STARTING waits for; empty for any other."""
    if handle.life.state is not State.STARTING:
        return ""
    if handle.process is None:
        return "waits for its hook before_start to end" if is_hooked else "waits for its process to be born"
    return f"waits for {goal_of(handle.spec['ready'])}, at most {short_duration(float(handle.spec['start_timeout_s']))} (start_timeout)"


def what_to_do(handle: BotHandle) -> str:
    """Return one sentence for an operator, empty when all is well."""
    state, reason, name = handle.life.state, handle.reason, handle.name
    if state is State.UNKNOWN:
        return (_BEING_CLEARED if reason == Reason.CONFLICT else _CANNOT_TELL).format(name=name)
    if handle.is_unkillable:
        return _UNKILLABLE
    if handle.waits_for:
        return _waiting(handle)
    if state not in (State.FAILED, State.RECOVERING) or reason not in _ADVICE:
        return ""
    last = handle.last_exit
    if reason == Reason.CONFLICT and last is not None and last.exit_code is None:
        return _LOCK_STAYS_HELD.format(name=name)
    if reason == Reason.CRASH_LOOP and last is not None and last.reason is Reason.MEMORY_POLICY:
        return _TOO_LARGE
    if reason == Reason.CONFIG and handle.spec["error"]:
        return _misconfigured(handle.spec)
    if reason == Reason.HANG and last is not None and last.message.startswith("unhealthy: "):
        return _UNHEALTHY.format(name=name)
    if reason == Reason.START_FAILED and last is not None and last.message.startswith("before_start"):
        return _HOOK_FAILED.format(name=name)
    return _ADVICE[Reason(reason)].format(name=name)


def _misconfigured(spec: BotSpec) -> str:
    """Return what an operator can do about settings that cannot be used; what lies outside fleet.toml is looked at again at each start."""
    if spec.get("is_elsewhere"):
        return f"stop the copy that runs elsewhere as the message says, then psv start {spec['name']}"
    if spec["error_rechecks"]:
        return f"correct what the message names, then psv restart {spec['name']}"
    return "correct fleet.toml as the message says (psv check shows the place), then psv reload"


def _waiting(handle: BotHandle) -> str:
    """Return what an operator can do about a bot that is held back."""
    name = handle.name
    match handle.reason:
        case Reason.BUDGET:
            return f"{handle.waits_for}; it is started by itself then; login_budget in fleet.toml sets another limit"
        case Reason.DEPENDENCY:
            return f"{handle.waits_for}; it is started by itself then, or now by psv start {name} --no-deps"
    return f"{handle.waits_for}; it is started by itself then, or now by psv start {name}"


def _summary(spec: BotSpec) -> dict[str, object]:
    """Return what the bot is, without environment values: those may be secrets."""
    names = ("run", "script", "command", "args", "python", "cwd", "user", "preload", "ready", "stop", "restart", "schedule", "recycle",
             "essential")  # fmt: skip
    shown: dict[str, object] = {name: value for name, value in spec.items() if name in names}
    return shown | {"env": sorted(spec["env"]), "env_files": spec["env_files"]}


def history(transitions: list[dict[str, object]], exits: list[ExitRecord], bot: str) -> list[dict[str, object]]:
    """Return the rows of `bot.history`: transitions and exits in the order of their times, all with the same first keys."""
    rows: list[dict[str, object]] = [{"kind": "transition", **row} for row in transitions]
    for record in exits:
        none = {"from": None, "to": None, "trigger": None}
        first = {"kind": "exit", "bot": bot, "at": record.at, **none, "reason": record.reason, "generation": record.generation}
        more = {"signal": record.signal, "uptime_s": record.uptime_s, "message": record.message}
        rows.append({**first, "exit_code": record.exit_code, "by": None, **more})
    return sorted(rows, key=_at)


def _at(row: dict[str, object]) -> float:
    at = row["at"]
    return at if isinstance(at, float) else 0.0


async def await_last_words(record: ExitRecord | None) -> None:
    """Give logd a moment: the last line of a bot that failed to start says more than its exit code."""
    deadline = mono() + _LAST_LINE_S
    while record is not None and not record.log_tail and mono() < deadline:
        await asyncio.sleep(0.02)


def is_settled(handle: BotHandle) -> bool:
    """Tell whether a bot is ready, rests, or is known to wait for longer than anybody wants to watch."""
    waits_s = handle.next_start_mono - mono() if handle.next_start_mono is not None else 0.0
    return handle.life.state in _SETTLED or waits_s > _LONG_WAIT_S


def is_in_vain(handle: BotHandle, first: int) -> bool:
    """Tell whether a bot has ended before it was ready so often, from generation `first` on, that a command need not wait for more."""
    return handle.life.state is State.RECOVERING and handle.generation >= first + _LIVES_AWAITED - 1


def why_not_ready(handle: BotHandle) -> str:
    """Return why a bot is not ready, in one line."""
    if handle.waits_for:
        return f"{handle.reason}: {handle.waits_for}" if handle.reason else handle.waits_for
    last = handle.last_exit
    if (last is None or not handle.reason) and (goal := _goal(handle)):
        return goal
    if not handle.reason:
        return ""  # nothing went wrong: how an earlier generation ended has nothing to do with it
    text = last.message if last is not None and last.message else ""
    if last is not None and last.exception:
        text += f" ({last.exception['type']} at {Path(str(last.exception['file'])).name}:{last.exception['line']})"
    elif last is not None and last.log_tail and last.exit_code and not _says(last.log_tail[-1], text):
        text += f": {last.log_tail[-1].strip()[:200]}"
    return f"{handle.reason}: {text}" if text else handle.reason


def _says(line: str, message: str) -> bool:
    """Tell whether a line of the log says what the message says: what could not be started has said so there too."""
    return bool(message) and message.partition("; ")[0] in line


def words_of_running(handle: BotHandle) -> str:
    """Return what a start says of a bot that it leaves as it is."""
    if handle.wanted is Wanted.PAUSED:
        return f"is paused; psv bot resume {handle.name} lets it go on"
    return "already runs" if handle.life.state in _READY else "is on its way"
