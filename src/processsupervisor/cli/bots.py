"""The verbs on bots that psvd carries out: ask it, print its answer, derive the exit status."""

from __future__ import annotations

from datetime import datetime

from processsupervisor.cli.session import Session, keeper_runs, status_of_results
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.kernel.units import format_bytes, format_duration

Row = dict[str, object]
_REASON_CHARACTERS = 60
_UP = frozenset({"RUNNING", "PAUSING", "PAUSED", "RESUMING"})
GRACE_S = 10.0
"""What the client waits beyond the operation's own deadline, so that psvd's answer and not ours is seen."""


def list_bots(session: Session, command: Command, *, names: list[str], type: str | None) -> int:
    """Print a table of bots."""
    rows = ask(session, command, {"names": names, "type": type})
    if session.as_json:
        session.print_json(rows)
    elif rows:
        header = ("NAME", "TYPE", "KIND", "STATE", "HEALTH", "PID", "GEN", "UPTIME", "RESTARTS", "MEMORY", "CPU", "REASON")
        print_table(header, [_line(row) for row in rows], right=("PID", "GEN", "UPTIME", "RESTARTS", "MEMORY", "CPU"))
    else:
        session.note("this fleet has no bots; add a [bots.NAME] table to fleet.toml")
    if not session.as_json and not keeper_runs(session.paths):
        session.note("the keeper is gone: bots go on, but nothing is started; bring it back with psv up")
    return EXIT_OK


def show(session: Session, command: Command, *, names: list[str], type: str | None) -> int:
    """Print one block a bot."""
    rows = ask(session, command, {"names": names, "type": type})
    if session.as_json:
        session.print_json(rows)
        return EXIT_OK
    for number, row in enumerate(rows):
        if number:
            session.say()
        for line in block_of(row):
            session.say(line)
    return EXIT_OK


def block_of(row: Row) -> list[str]:
    """Return all that is known of a bot as lines, out of its object of bot.status."""
    return [f"{label:<13}{value}" for label, value in _details(row)] + [f"  | {line}" for line in _log_tail(row)]


def operate(session: Session, command: Command, *, names: list[str], type: str | None, wait: bool, timeout_s: float) -> int:
    """Carry out stop, pause or resume; one line a bot."""
    args: dict[str, object] = {"names": names, "type": type, "wait": wait, "timeout_s": timeout_s}
    return print_results(session, ask(session, command, args, timeout_s + GRACE_S))


def launch(
    session: Session, command: Command, *, names: list[str], type: str | None, wait: bool, timeout_s: float, no_deps: bool
) -> int:
    """Carry out start or restart; one line a bot."""
    args: dict[str, object] = {"names": names, "type": type, "wait": wait, "timeout_s": timeout_s, "no_deps": no_deps}
    return print_results(session, ask(session, command, args, timeout_s + GRACE_S))


def signal(session: Session, command: Command, *, signal: str, names: list[str], type: str | None) -> int:
    """Send a signal."""
    return print_results(session, ask(session, command, {"signal": signal, "names": names, "type": type}))


def when(at: object) -> str:
    """Return an epoch time as local time to the millisecond, or "-"."""
    if not isinstance(at, (int, float)):
        return "-"
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="milliseconds")[:23]


def moment(at: object, zone: object = None) -> str:
    """Return an epoch time as local time to the second, or "-"; where the clock of `zone` shows another, by that one, with its name."""
    if not isinstance(at, (int, float)) or not isinstance(zone, str):
        return when(at)[:19]
    import zoneinfo  # here: few tasks have a zone of their own

    try:
        there = datetime.fromtimestamp(at, zoneinfo.ZoneInfo(zone))
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return when(at)[:19]
    is_same = there.utcoffset() == datetime.fromtimestamp(at).astimezone().utcoffset()
    return when(at)[:19] if is_same else f"{there:%Y-%m-%d %H:%M:%S %Z}"


def summary(row: Row) -> str:
    """Return why a bot is as it is, in a few words: reason, code, and when it comes back; of one that runs, not how it ended before."""
    reason = reason_of(row)
    if reason in ("code", "signal") or (row.get("exit_code") not in (None, 0) and row.get("state") not in _UP):
        reason = f"{reason or 'code'} {_text(row.get('exit_code'), '')}".strip()
    if reason == "dependency" and isinstance(names := row.get("waits_on"), list) and names:
        reason = f"{reason}: {', '.join(map(str, names))}"
    next_start = row.get("next_start_in_s")
    if isinstance(next_start, (int, float)):
        reason = f"{reason}, next start in {format_duration(next_start)}".lstrip(", ")
    if isinstance(next_run := row.get("next_run_at"), (int, float)):
        reason = f"{reason}, next run {moment(next_run)}".lstrip(", ")
    return reason


def reason_of(row: Row) -> str:
    """Return the reason of a bot that does not run; what ended the life before is no fault of one that runs again."""
    return "" if row.get("state") in _UP else _text(row.get("reason"), "")


def ask(session: Session, command: Command, args: dict[str, object], timeout_s: float | None = None) -> list[Row]:
    """Return the rows that psvd answers."""
    with session.client() as client:
        rows: list[Row] = client.call(command.name, args, timeout_s=timeout_s)
    return rows


def print_results(session: Session, results: list[Row]) -> int:
    """Print one line a result and return the exit status."""
    if session.as_json:
        session.print_json(results)
        return status_of_results(results)
    for row in results:
        message = _text(row.get("message"), "")
        if row.get("ok"):
            session.say(f"{row.get('name')} {_text(row.get('state'))}{': ' + message if message else ''}")
        else:
            session.note(f"{row.get('name')}: {message or _text(row.get('code'))} ({_text(row.get('state'))})")
    return status_of_results(results)


def _line(row: Row) -> list[str]:
    health = _text(row.get("health"))
    if row.get("connected") is False and health not in ("-", ""):
        health += ", offline"
    cpu = row.get("cpu_percent")
    return [
        _text(row.get("name")), _text(row.get("type")), _text(row.get("kind")), _text(row.get("state")), health, _text(row.get("pid")),
        _text(row.get("generation")), format_duration(_number(row.get("uptime_s"))), _text(row.get("restarts")),
        format_bytes(_number(row.get("memory_bytes"))), f"{cpu:.1f}%" if isinstance(cpu, (int, float)) else "-",
        summary(row) or unwell(row),
    ]


def unwell(row: Row) -> str:
    """Return which check a bot that runs fails, short enough for a line of a table."""
    message = _text(row.get("health_message"), "") if row.get("health") == "unhealthy" else ""
    return message if len(message) <= _REASON_CHARACTERS else message[: _REASON_CHARACTERS - 1] + "…"


def _details(row: Row) -> list[tuple[str, str]]:
    uptime, memory = _number(row.get("uptime_s")), _number(row.get("memory_bytes"))
    health = ["stopped" if row.get("stopped") else _text(row.get("health"), ""),
              f"up {format_duration(uptime)}" if uptime is not None else "",
              format_bytes(memory) if memory is not None else ""]
    lines = [
        (_text(row.get("name")), f"{_text(row.get('state'))}  (wanted {_text(row.get('wanted'))})"),
        ("  kind", f"{_text(row.get('kind'))}{', type ' + str(row['type']) if row.get('type') else ''}"),
        ("  runs", _program(row.get("spec_summary"))),
        ("  process", f"pid {_text(row.get('pid'))}, generation {_text(row.get('generation'))}, restarts {_text(row.get('restarts'))}"),
        ("  health", ", ".join(filter(None, health)) or "-"),
    ]
    if row.get("stopped"):
        lines.append(("", str(row["stopped"])))
    if row.get("health_message"):
        lines.append(("", str(row["health_message"])))
    proof_s = _number(row.get("connected_age_s"))
    if row.get("connected") is not None:
        said = f", last proof {format_duration(proof_s)} ago" if proof_s is not None else ", no proof yet"
        lines.append(("  network", ("connected" if row["connected"] else "not connected") + said))
    beat_s, lag_s = _number(row.get("beat_age_s")), _number(row.get("lag_s"))
    if beat_s is not None:
        late = "" if row.get("stopped") else f", {1000 * (lag_s or 0.0):.0f} ms late"
        lines.append(("  event loop", f"turned {beat_s:.1f} s ago{late}"))
    if summary(row):
        lines.append(("  reason", summary(row)))
    last = row.get("last_exit")
    if isinstance(last, dict):
        lines.append(("  last exit", _exit_line(last)))
        lines += _dump_lines(last.get("dump"))
    notes = row.get("notes")
    for note in notes if isinstance(notes, list) else []:
        lines.append(("  note", str(note.get("message", note)) if isinstance(note, dict) else str(note)))
    if row.get("what_to_do"):
        lines.append(("  to do", str(row["what_to_do"])))
    return lines


def _program(summary: object) -> str:
    """Return what a bot runs, as it stands in fleet.toml."""
    if not isinstance(summary, dict):
        return _text(summary)
    program = summary.get("run") or summary.get("script") or " ".join(map(str, summary.get("command") or []))
    return " ".join([str(program), *map(str, summary.get("args") or [])])


def _exit_line(last: Row) -> str:
    how = _text(last.get("signal"), "") or (f"code {last['exit_code']}" if last.get("exit_code") is not None else "")
    reason = _text(last.get("reason"))
    line = f"{when(last.get('at'))}  {how if how.startswith(f'{reason} ') else f'{reason} {how}'.rstrip()}"
    raised = last.get("exception")
    if isinstance(raised, dict):
        line += f"; {raised.get('type')}: {raised.get('message')} ({raised.get('file')}:{raised.get('line')})"
    elif last.get("message"):
        line += f"; {last['message']}"
    return line


def _dump_lines(dump: object) -> list[tuple[str, str]]:
    """Return where the dump of a bot that hung lies, where its first thread was, and what could not be had."""
    if not isinstance(dump, dict):
        return []
    lines = [("  dump", str(dump["file"]))] if dump.get("file") else []
    stacks = dump.get("stacks")
    lines += [("", str(line).strip()) for line in (stacks[1:4] if isinstance(stacks, list) else ())]
    return lines + [("", f"not to be had: {why}") for why in dump.get("missing") or ()]


def _log_tail(row: Row) -> list[str]:
    """Return the last words of the life before; those of a bot that runs again only where they are a traceback, from its first line."""
    last = row.get("last_exit")
    tail = last.get("log_tail") if isinstance(last, dict) else None
    lines = [str(line) for line in tail] if isinstance(tail, list) else []
    if row.get("state") not in ("RUNNING", "PAUSED"):
        return lines
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback ")]
    return lines[starts[-1] :] if starts and isinstance(last, dict) and last.get("exception") else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: object, missing: str = "-") -> str:
    return missing if value is None else str(value)
