"""The commands on tasks (`task.*`): bots that run when their time comes. Declarations, and handlers against FleetPort."""

from __future__ import annotations

from processsupervisor.commands.bots import NAMES, TIMEOUT, TYPE, for_each
from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort
from processsupervisor.kernel.errors import Refused, UsageError


async def list_tasks(port: FleetPort, emit: Emit, *, names: list[str], type: str | None) -> object:
    """Return the task objects of `names`; what is no task is left out."""
    return [task for name in port.select(names, type) if (task := port.task(name)) is not None]


async def run(port: FleetPort, emit: Emit, *, names: list[str], wait: bool, timeout_s: float) -> object:
    """Run tasks now."""
    if not names:
        raise UsageError("no task is named", hint="psv task list shows all")
    return await for_each(port, port.run_task, port.select(names, None), wait, timeout_s)


async def outcome(port: FleetPort, emit: Emit, *, name: str, run: int, timeout_s: float) -> object:
    """Wait for the end of one run, whichever psvd began it."""
    (bot,) = port.select([name], None)[:1]
    return await port.task_outcome(bot, run, timeout_s)


async def history(port: FleetPort, emit: Emit, *, names: list[str], limit: int) -> object:
    """Return the newest `limit` runs of the tasks together, oldest first."""
    chosen = port.select(names, None)
    found = {name: _zone(task) for name in chosen if (task := port.task(name)) is not None}
    if names and not found:
        raise Refused(f"{chosen[0]} is no task", hint="psv task list shows all")
    rows = [(str(row["due_at"]), row | {"tz": zone}) for name, zone in found.items() for row in port.task_history(name, limit)]
    rows.sort(key=lambda pair: float(pair[0]))
    return [row for _, row in rows][-limit:]


def _zone(task: dict[str, object]) -> object:
    schedule = task.get("schedule")
    return schedule.get("tz") if isinstance(schedule, dict) else None


COMMANDS = (
    Command("task.list", "List tasks with their last and next run", (NAMES, TYPE), "view", list_tasks, verbs=("task list",), json=True),
    Command(
        "task.run",
        "Run tasks now, as well as when their time comes",
        (
            NAMES,
            Arg("wait", "flag", False, "Wait until the run has ended", option=("--wait",)),
            TIMEOUT,
        ),
        "operate",
        run,
        verbs=("task run",),
        json=True,
    ),
    Command(
        "task.outcome",
        "Wait for the end of a run that task.run has begun",
        (
            Arg("name", "text", None, "The task", required=True),
            Arg("run", "integer", None, "Its number, as task.run gave it", required=True),
            TIMEOUT,
        ),
        "view",
        outcome,
    ),
    Command(
        "task.history",
        "List the runs of tasks: when they were due, how long they took, how they ended",
        (
            NAMES,
            Arg("limit", "integer", 50, "At most N rows", option=("-n", "--limit"), least=1, most=10_000),
        ),
        "view",
        history,
        verbs=("task history",),
        json=True,
    ),
)
