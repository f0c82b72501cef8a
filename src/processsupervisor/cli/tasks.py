"""The verbs on tasks: what they run, when next, and what became of their runs."""

from __future__ import annotations

from processsupervisor.cli.bots import GRACE_S, Row, ask, moment, print_results
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.kernel.units import format_duration


def list_tasks(session: Session, command: Command, *, names: list[str], type: str | None) -> int:
    """Print a table of tasks."""
    rows = ask(session, command, {"names": names, "type": type})
    if session.as_json:
        session.print_json(rows)
    elif rows:
        print_table(("NAME", "STATE", "SCHEDULE", "NEXT RUN", "LAST RUN", "TOOK", "RESULT"), [_line(row) for row in rows], right=("TOOK",))
    else:
        session.note("no bot is a task; give one a schedule in fleet.toml")
    return EXIT_OK


def run(session: Session, command: Command, *, names: list[str], wait: bool, timeout_s: float) -> int:
    """Run tasks now; one line a task."""
    return print_results(session, ask(session, command, {"names": names, "wait": wait, "timeout_s": timeout_s}, timeout_s + GRACE_S))


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
    return [str(row.get("name")), str(row.get("state")), _schedule(schedule), begins, moment(run.get("started_at"), zone),
            _took(run), _result(run) if run else "-"]


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
    return [moment(row.get("due_at"), zone), str(row.get("bot")), str(row.get("why")), str(row.get("state")),
            moment(row.get("started_at"), zone), _took(row), _result(row), str(row.get("generation") or "-")]


def _took(run: Row) -> str:
    took = run.get("duration_s")
    return format_duration(float(took)) if isinstance(took, (int, float)) else "-"


def _result(run: Row) -> str:
    how = str(run.get("signal") or (f"code {run['exit_code']}" if run.get("exit_code") else ""))
    reason = str(run.get("reason") or run.get("state"))
    words = how if how.startswith(f"{reason} ") else f"{reason} {how}".strip()
    message = str(run.get("message") or "")
    return f"{words}: {message}" if message and not message.startswith(("exited with", "killed by")) else words
