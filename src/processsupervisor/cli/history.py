"""`psv bot history`: how much of the time bots were up, and every state change and exit with who asked and why."""

from __future__ import annotations

from processsupervisor.cli.bots import when
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.kernel.units import format_duration

Row = dict[str, object]
_WINDOWS = ("day", "week", "month")
_HEADER = ("TIME", "BOT", "FROM", "TO", "TRIGGER", "REASON", "GEN", "CODE", "BY", "DETAIL")
_KEYS = ("bot", "from", "to", "trigger", "reason", "generation", "exit_code", "by")


def history(session: Session, command: Command, *, names: list[str], type: str | None, limit: int) -> int:
    """Print the share of time in which each bot was up, then the newest rows, oldest first."""
    with session.client() as client:
        rows: list[Row] = client.call(command.name, {"names": names, "type": type, "limit": limit})
    if session.as_json:
        session.print_json(rows)
        return EXIT_OK
    shares = [row for row in rows if row.get("kind") == "uptime"]
    if shares:
        header = ("BOT", *(f"UP {name.upper()}" for name in _WINDOWS), "NOT KNOWN (MONTH)")
        print_table(header, [_share_line(row) for row in shares], right=header[1:])
        session.say()
    print_table(_HEADER, [_line(row) for row in rows if row.get("kind") != "uptime"], right=("GEN", "CODE"))
    return EXIT_OK


def percent(value: object) -> str:
    """Return a share in percent; never 100 for less than all of the time."""
    if not isinstance(value, (int, float)):
        return "-"
    return "100%" if value == 100 else f"{min(value, 99.99):.2f}%"


def _share_line(row: Row) -> list[str]:
    windows = [window if isinstance(window := row.get(name), dict) else {} for name in _WINDOWS]
    return [str(row.get("bot")), *(percent(window.get("percent")) for window in windows), percent(windows[-1].get("unknown_percent"))]


def _line(row: Row) -> list[str]:
    cells = ["-" if row.get(key) in (None, "") else str(row[key]) for key in _KEYS]
    if row.get("kind") == "exit":
        cells[2] = "(ended)"
    return [when(row.get("at")), *cells, _detail(row)]


def _detail(row: Row) -> str:
    if row.get("kind") != "exit":
        return ""
    uptime = row.get("uptime_s")
    ran = f"ready for {format_duration(float(uptime))}" if isinstance(uptime, (int, float)) else "never ready"
    return "; ".join(filter(None, (ran, str(row.get("message") or ""))))
