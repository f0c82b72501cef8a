"""Rolling bots through a fresh zygote, as seen by a person: one line a batch and a bot, and how it came out.

psvd does it (supervisor/rollout.py). When psvd is killed in mid-rollout the next one rolls nothing by itself: then this
asks it how far the rollout came.
"""

from __future__ import annotations

import time

from processsupervisor.cli.session import Session
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, NoSupervisor, PsvError
from processsupervisor.kernel.units import format_duration

_BACK_S = 30.0
_RETRY_S = 0.1

Event = dict[str, object]


def roll_bots(session: Session) -> int:
    """Roll every running bot and print progress; 0 = all rolled, 1 = stopped, with the reason on stderr.

    Raises what psvd refuses with (another rollout runs, no fresh zygote can be made): no bot was touched then.
    """
    before: dict[str, int] = {}
    with session.client() as client:
        stream = client.stream("fleet.rollout", {}, timeout_s=0)
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                return _print_end(session, end.value)
            except NoSupervisor:
                return _print_interrupted(session, before)
            if event.get("kind") == "plan":
                before = _generations(event.get("bots"))
            _print_event(session, event)


def _print_event(session: Session, event: Event) -> None:
    match event.get("kind"):
        case "plan":
            bots, batches, alone = event.get("bots"), event.get("batches"), event.get("left_alone")
            number = len(batches) if isinstance(batches, list) else 0
            session.say(f"rolling {_count(len(_generations(bots)))} in {number} batch{'' if number == 1 else 'es'}")
            for name, state in alone.items() if isinstance(alone, dict) else ():
                session.say(f"{name}  left alone, is {state}")
        case "batch":
            names = event.get("bots")
            session.say(f"batch {event.get('number')}: {', '.join(map(str, names)) if isinstance(names, list) else ''}")
        case "bot":
            took_s = event.get("took_s")
            took = format_duration(took_s) if isinstance(took_s, (int, float)) else "-"
            session.say(f"{event.get('bot')}  {f'ready after {took}' if event.get('outcome') == 'rolled' else event.get('message')}")
        case _:
            pass


def _print_end(session: Session, result: object) -> int:
    outcome = result if isinstance(result, dict) else {}
    rolled, rest = outcome.get("rolled") or [], outcome.get("not_rolled") or []
    if outcome.get("ok"):
        session.say(f"rolled {_count(len(rolled))}")
        return EXIT_OK
    session.note(f"the rollout stopped: {outcome.get('message')}")
    session.note(f"{_count(len(rolled))} rolled, {len(rest)} not; psv ls shows how they are; psv upgrade --bots tries again")
    return EXIT_FAILED


def _print_interrupted(session: Session, before: dict[str, int]) -> int:
    """psvd ended in mid-rollout: wait for the next one and say which bots have been restarted and run."""
    session.note("psvd ended in mid-rollout; waiting for the next one")
    deadline = time.monotonic() + _BACK_S
    while True:
        try:
            with session.client() as client:
                rows: list[Event] = client.call("bot.list")
                notes = client.call("fleet.status").get("notes")
            break
        except PsvError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
    rolled = [r for r in rows if r.get("state") in ("RUNNING", "PAUSED") and _is_later(r, before)]
    note = next((n.get("message") for n in notes if n.get("subject") == "rollout"), None) if isinstance(notes, list) else None
    if before and len(rolled) == len(before) and note is None:
        session.say(f"rolled {_count(len(rolled))}")
        return EXIT_OK
    session.note(f"the rollout was interrupted: {len(rolled)} of {_count(len(before))} restarted; psv upgrade --bots tries again")
    if note is not None:
        session.note(f"rollout {note}")
    return EXIT_FAILED


def _is_later(row: Event, before: dict[str, int]) -> bool:
    generation, earlier = row.get("generation"), before.get(str(row.get("name")))
    return isinstance(generation, int) and earlier is not None and generation > earlier


def _generations(value: object) -> dict[str, int]:
    return {str(name): int(number) for name, number in value.items()} if isinstance(value, dict) else {}


def _count(bots: int) -> str:
    return f"{bots} bot{'' if bots == 1 else 's'}"
