"""The verbs on tasks: what they run, when next, and what became of their runs."""

from __future__ import annotations

import time

from processsupervisor.cli.bots import GRACE_S, Row, ask, moment, print_results
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, AnswerLost, NoSupervisor
from processsupervisor.kernel.units import format_duration

_RETRY_S = 0.1


def list_tasks(session: Session, command: Command, *, names: list[str], type: str | None) -> int:
    """Print a table of tasks."""
    rows = ask(session, command, {"names": names, "type": type})
    if session.as_json:
        session.print_json(rows)
    elif rows:
        print_table(("NAME", "STATE", "SCHEDULE", "NEXT RUN", "LAST RUN", "TOOK", "RESULT"), [_line(row) for row in rows], right=("TOOK",))
    elif names or type:
        session.note("none of these is a task; psv task list shows all")
    else:
        session.note("no bot is a task; give one a schedule in fleet.toml")
    return EXIT_OK


def run(session: Session, command: Command, *, names: list[str], wait: bool, timeout_s: float) -> int:
    """Run tasks now; one line a task."""
    rows = ask(session, command, {"names": names, "wait": False, "timeout_s": timeout_s}, GRACE_S)
    deadline = time.monotonic() + timeout_s
    if wait:  # by the number of each run: it is known to the next psvd too, and asking again runs nothing twice
        rows = [_outcome(session, row, deadline) if row.get("run") else row for row in rows]
    return print_results(session, rows)


def _outcome(session: Session, row: Row, deadline: float) -> Row:
    """Return what came of a run that has begun, over the death of any psvd. Raises NoSupervisor when the keeper is gone too."""
    while True:
        left_s = max(0.001, deadline - time.monotonic())
        args = {"name": row["name"], "run": row["run"], "timeout_s": left_s}
        try:
            with session.client() as client:
                found: Row = client.call("task.outcome", args, timeout_s=left_s + GRACE_S)
            return found
        except AnswerLost:
            session.note("psvd is away; the run goes on, waiting for the next one")
        except NoSupervisor:
            if not keeper_runs(session.paths) or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def history(session: Session, command: Command, *, names: list[str], limit: int) -> int:
    """Print the newest runs, oldest first."""
    rows = ask(session, command, {"names": names, "limit": limit})
    if session.as_json:
        session.print_json(rows)
        return EXIT_OK
    header = ("DUE", "TASK", "WHY", "STATE", "STARTED", "TOOK", "RESULT", "GEN")
    print_table(header, [_run_line(row) for row in rows], right=("TOOK", "GEN"))
    return EXIT_OK


def _line(row: Row) -> list[str]:
    last = row.get("running") or row.get("last")
    run: Row = last if isinstance(last, dict) else {}
    schedule = row.get("schedule")
    zone = schedule.get("tz") if isinstance(schedule, dict) else None
    begins = moment(row.get("next_run_at"), zone) if row.get("wanted") != "down" else "stopped"
    return [
        str(row.get("name")),
        str(row.get("state")),
        _schedule(schedule),
        begins,
        moment(run.get("started_at"), zone),
        _took(run),
        f"config: {row['error']}" if row.get("error") else _result(run) if run else "-",
    ]


def _schedule(schedule: object) -> str:
    """Return when a task runs, as it stands in fleet.toml."""
    if not isinstance(schedule, dict):
        return "-"
    zone = f" {schedule['tz']}" if schedule.get("tz") else ""
    if schedule.get("cron"):
        return f"{schedule['cron']}{zone}"
    if schedule.get("every_s"):
        return f"every {format_duration(float(schedule['every_s']))}"
    times = schedule.get("at") or []
    return f"at {times[0]}{zone}" + (f" and {len(times) - 1} more" if len(times) > 1 else "") if times else "-"


def _run_line(row: Row) -> list[str]:
    zone = row.get("tz")
    return [
        moment(row.get("due_at"), zone),
        str(row.get("bot")),
        str(row.get("why")),
        str(row.get("state")),
        moment(row.get("started_at"), zone),
        _took(row),
        _result(row),
        str(row.get("generation") or "-"),
    ]


def _took(run: Row) -> str:
    took = run.get("duration_s")
    return format_duration(float(took)) if isinstance(took, (int, float)) else "-"


def _result(run: Row) -> str:
    how = str(run.get("signal") or (f"code {run['exit_code']}" if run.get("exit_code") else ""))
    reason = str(run.get("reason") or run.get("state"))
    words = how if how.startswith(f"{reason} ") else f"{reason} {how}".strip()
    message = str(run.get("message") or "")
    return f"{words}: {message}" if message and not message.startswith(("exited with", "killed by")) else words
