"""`psv fleets`: the fleets of this user, from the list in the user's runtime folder; entries of ended keepers are told apart."""

from __future__ import annotations

import time
from pathlib import Path

from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.identity import Identity, Liveness, runtime_folder
from processsupervisor.kernel.units import format_duration

Row = dict[str, object]


def fleets(session: Session, command: Command) -> int:
    """Print all listed fleets."""
    rows = read_list(runtime_folder() / "fleets")
    if session.as_json:
        session.print_json(rows)
    elif not rows:
        session.note("no fleet of this user runs")
    else:
        print_table(("NAME", "STATE", "PID", "SINCE", "FOLDER"), [_line(row) for row in rows], right=("PID",))
    return EXIT_OK


def read_list(folder: Path) -> list[Row]:
    """Return `{name, folder, pid, since, state}` a fleet, oldest first; state is running, gone or unknown."""
    rows: list[Row] = []
    for entry in sorted(folder.glob("*.json")):
        value = read_json(entry)
        if not isinstance(value, dict) or not isinstance(value.get("folder"), str):
            continue
        identity = Identity.from_json(value)
        liveness = identity.liveness() if identity else Liveness.UNVERIFIABLE
        state = {Liveness.ALIVE: "running", Liveness.GONE: "gone", Liveness.UNVERIFIABLE: "unknown"}[liveness]
        rows.append({key: value.get(key) for key in ("name", "folder", "pid", "since")} | {"state": state})
    return sorted(rows, key=_since)


def _since(row: Row) -> float:
    since = row["since"]
    return float(since) if isinstance(since, (int, float)) else 0.0


def _line(row: Row) -> list[str]:
    running = row["state"] == "running"
    since = format_duration(max(0.0, time.time() - _since(row))) if running and _since(row) else "-"
    return [str(row["name"] or "-"), str(row["state"]), str(row["pid"] if row["pid"] is not None else "-"), since, str(row["folder"])]
