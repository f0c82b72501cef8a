"""`psv bot dump`: what the threads and tasks of running bots are doing now."""

from __future__ import annotations

from processsupervisor.cli.bots import when
from processsupervisor.cli.session import Session, status_of_results
from processsupervisor.commands.command import Command

_TIMEOUT_S = 30.0


def dump(session: Session, command: Command, *, names: list[str], type: str | None) -> int:
    """Print one block a bot, refusals on stderr."""
    with session.client() as client:
        rows: list[dict[str, object]] = client.call(command.name, {"names": names, "type": type}, timeout_s=_TIMEOUT_S)
    if session.as_json:
        session.print_json(rows)
        return status_of_results(rows)
    for row in rows:
        if row.get("ok"):
            _print(session, row)
        else:
            session.note(f"{row.get('name')}: {row.get('message')}")
    return status_of_results(rows)


def _print(session: Session, row: dict[str, object]) -> None:
    session.say(f"{row['name']}  pid {row['pid']}, generation {row['generation']}, {when(row['at'])}")
    missing = row.get("missing")
    for why in missing if isinstance(missing, list) else []:
        session.say(f"  not to be had: {why}")
    for title, key in (("threads", "stacks"), ("asyncio tasks", "tasks")):
        if row.get(key):
            session.say(f"  {title}")
            session.say_text("\n".join(f"    {line}" for line in str(row[key]).splitlines()))
