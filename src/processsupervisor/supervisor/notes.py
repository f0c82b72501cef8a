"""What `psv status` notes below the table: everything that was done otherwise than asked, and why."""

from __future__ import annotations

import contextlib
import os

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS
from processsupervisor.resources.usage import pss_bytes
from processsupervisor.supervisor.fleet import Fleet

_MOVED = "was moved to {folder}: bots go on, nothing is started until it is back in its place, or after psv -C {folder} down and up"

_MOST_ORPHANS = 20
_NO_JOURNAL = "is no file: how bots end while psvd is away stays unknown"


def own_processes(fleet: Fleet) -> list[dict[str, object]]:
    """Return `{role, pid, generation, code, memory_bytes}` of each own process of the fleet that runs."""
    found: list[dict[str, object]] = []
    keeper = {"role": "keeper", "pid": fleet.keeper.pid, "generation": 1, "code": fleet.keeper.code}
    for facts in (keeper, *fleet.role_facts.values()):
        pid = facts.get("pid")
        if isinstance(pid, int):
            shown = {name: facts.get(name) for name in ("role", "pid", "generation", "code")}
            found.append(shown | {"memory_bytes": pss_bytes(pid)})
    return found


def notes_of(fleet: Fleet) -> list[dict[str, str]]:
    """Return `{subject, message}` for each thing that an operator should know."""
    close_past_loops(fleet)
    found = [{"subject": s, "message": m} for s, m in (fleet.zygotes.notes | fleet.strays.notes()).items()]
    found += [{"subject": h.name, "message": n} for h in fleet.handles.values() for n in h.notes]
    found += fleet.alerts.notes()
    found += [{"subject": name, "message": f"is not run: {error}"} for name, error in fleet.misnamed.items()]
    found += _orphans(fleet)
    found += [{"subject": subject, "message": problem} for subject, problem in _problems(fleet).items() if problem]
    return found


def _orphans(fleet: Fleet) -> list[dict[str, str]]:
    """Return what is kept of bots that the fleet has no more: those of a template whose count was lowered, say."""
    kept: set[str] = set()
    for folder in (fleet.paths.data / "bots", fleet.paths.logs / "bots"):
        with contextlib.suppress(OSError):
            kept |= {entry.name for entry in os.scandir(folder)}
    names = sorted(kept - fleet.handles.keys())
    message = "is no bot of this fleet any more: its data and logs stay until psv bot purge {}"
    found = [{"subject": name, "message": message.format(name)} for name in names[:_MOST_ORPHANS]]
    more = len(names) - len(found)
    return [*found, {"subject": "orphaned bots", "message": f"and {more} more in .psv/data/bots and .psv/logs/bots"}] if more else found


def close_past_loops(fleet: Fleet) -> None:
    """End the alert of bots that have become stable; nothing else happens when they do."""
    for name in fleet.alerts.bots(Reason.CRASH_LOOP):
        handle = fleet.handles[name]
        stable_s = float(handle.spec["restart"]["stable_after_s"])
        if handle.life.state in HAS_PROCESS and handle.uptime_s is not None and handle.uptime_s >= stable_s:
            fleet.alerts.close(name, Reason.CRASH_LOOP)


def _problems(fleet: Fleet) -> dict[str, str]:
    moved = fleet.moved_to()
    return {
        "web": fleet.web.problem,
        "notify": fleet.notify.trouble(),
        "psv.db": fleet.store.problem,
        "starts": fleet.breaker.problem,
        "time zone": fleet.tasks.zone_problem(),
        "fleet folder": _MOVED.format(folder=moved) if moved is not None else "",
        "exits.journal": "" if moved is not None or fleet.paths.journal.is_file() else _NO_JOURNAL,
        "keeper": _keeper(fleet),
    }


def _keeper(fleet: Fleet) -> str:
    if fleet.keeper.is_silent:
        return f"gives no answer (stopped?): bots go on, nothing is started; let it go on with kill -CONT {fleet.keeper.last_pid}"
    return "gone: bots go on, nothing is started; run psv up" if fleet.keeper.pid is None else ""
