"""A change of the configuration as a person sees it: handed to psvd, followed line by line, and how it came out.

psvd alone decides (supervisor/changes); when it is killed in mid-change its successor finishes or undoes it, and this waits for that and
says which. Nothing is printed beside the result with --json.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from processsupervisor.cli.session import Session
from processsupervisor.config.spec import Applied
from processsupervisor.ipc import candidate
from processsupervisor.ipc.candidate import Event, Sources
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, AnswerLost, NoSupervisor, PsvError, Refused
from processsupervisor.kernel.units import format_duration, short_duration
from processsupervisor.observe.redact import redact

_BACK_S = 120.0
_RETRY_S = 0.1
_SHOWN_NAMES = 3

Result = dict[str, Any]


def running(session: Session) -> dict[str, Any]:
    """Return what psvd says of the version that runs; raises NoSupervisor."""
    with session.client() as client:
        return candidate.running(client)


def content(session: Session, number: int | None = None) -> tuple[Applied, dict[str, str]]:
    """Return a kept version (None: the running one) and the text of its files."""
    with session.client() as client:
        return candidate.content(client, number)


def submit(
    session: Session, applied: Applied, sources: Sources, *, base: int | None, reason: str, now: bool = False, again: bool = False
) -> Result:
    """Have psvd apply a configuration, printing its progress, and return `{ok, number, result, message, touched, left}`.

    Raises Refused when `base` no longer runs, or what psvd refuses with: this content was rejected, another rollout runs. Nothing has
    changed then.
    """
    arguments = {"base": base, "reason": redact(reason), "now": now, "again": again}  # versions show it to everybody
    with session.client() as client:
        return _follow(session, candidate.apply(client, session.paths, applied, sources, arguments))


def follow(session: Session, op: str, arguments: Mapping[str, Any]) -> Result:
    """Carry out an operation of psvd that changes the configuration, printing its progress, and return its result."""
    asked = {key: redact(value) if key == "reason" else value for key, value in arguments.items()}
    with session.client() as client:
        return _follow(session, client.stream(op, asked, timeout_s=0))


def finish(session: Session, result: Result) -> int:
    """Say how a change came out and return the exit status: 0 when it runs, 1 when it was taken back."""
    if session.as_json:
        session.print_json(result)
    number, message = result.get("number"), result.get("message")
    if result.get("ok"):
        touched = result.get("touched") or []
        if not session.as_json:
            unchanged = result.get("result") == "unchanged"
            session.say(f"version {number} runs already" if unchanged else f"version {number} runs; {_of(touched)}")
            for bot, why in (result.get("left") or {}).items():
                session.note(f"{bot} was left as it is: {why}")
        return EXIT_OK
    what = "was taken back" if result.get("result") == "rolled-back" else "was not applied"
    session.note(f"version {number} {what}: {message}")
    for bot, why in (result.get("left") or {}).items():
        session.note(f"{bot}: {why}")
    return EXIT_FAILED


def by_whom(version: Mapping[str, Any]) -> str:
    """Return "root, 5m ago: the reason" of a version."""
    at, reason = version.get("at"), version.get("reason")
    ago = f", {short_duration(max(0.0, time.time() - at))} ago" if isinstance(at, (int, float)) else ""
    return f"{version.get('author') or 'unknown'}{ago}" + (f": {reason}" if reason else "")


def some(names: list[str]) -> str:
    """Return the first names and how many more there are."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_SHOWN_NAMES])} and {more} more"


def _follow(session: Session, stream: Generator[Event, None, Result]) -> Result:
    before = running(session).get("number")
    try:
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                outcome: Result = end.value
                return outcome
            if not session.as_json and (line := line_of(event)):
                session.say(line)
    except KeyboardInterrupt:
        session.note("psvd goes on with it; psv config versions shows how it comes out")
        raise
    except AnswerLost:
        return _after_interruption(session, before)
    except PsvError as err:
        if err.code == "version-moved":
            raise _moved(session) from err
        raise


def line_of(event: Event) -> str:
    """Return the line of one event of a change, empty for one that a person need not see."""
    names = [str(name) for name in event.get("bots") or []]
    match event.get("kind"):
        case "plan":
            batches, live = event.get("batches") or [], event.get("live") or []
            parts = [f"live on {_count(len(live))}"] if live else []
            parts += [f"{_count(sum(map(len, batches)))} in {len(batches)} step{'' if len(batches) == 1 else 's'}"] if batches else []
            return "; ".join(parts)
        case "batch":
            return f"step {event.get('number')}: {some(names)}"
        case "live":  # of two hundred that took it over, nobody need read
            return "" if event.get("ok") else f"{event.get('bot')}: {event.get('message')}"
        case "settle":
            return f"now watched for {short_duration(float(event.get('seconds') or 0.0))}"
        case "bot":
            took_s = event.get("took_s")
            took = f" after {format_duration(took_s)}" if isinstance(took_s, (int, float)) else ""
            return f"{event.get('bot')}: {event.get('message') or f'ready{took}'}"
        case "back":
            return f"going back: {event.get('message') or some(names)}"
    return ""


def _of(touched: list[str]) -> str:
    return f"{_count(len(touched))} touched: {some(touched)}" if touched else "no bot was touched"


def _count(bots: int) -> str:
    return f"{bots} bot{'' if bots == 1 else 's'}"


def _moved(session: Session) -> Refused:
    here = running(session)
    what = f"somebody applied version {here.get('number')} ({by_whom(here)}) meanwhile; nothing was changed"
    return Refused(what, hint="look at psv config diff, then apply again", code="version-moved")


def _after_interruption(session: Session, before: object) -> Result:
    """psvd ended in mid-change: wait until its successor has finished or undone it, and return what the versions say."""
    session.note("psvd ended in mid-change; the next one finishes or undoes it")
    deadline = time.monotonic() + _BACK_S
    while True:
        try:
            with session.client() as client:
                here = candidate.running(client)
                newest: Result = next(iter(client.call("config.versions", {"limit": 1})), {})
                if here.get("rollout") is None and newest.get("result") != "pending":  # a new psvd may still be at undoing it
                    break
        except (NoSupervisor, AnswerLost):
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise PsvError("the change is still under way", hint="psv config versions shows how it came out")
        time.sleep(_RETRY_S)
    number = newest.get("number")
    is_ok = bool(newest.get("is_running")) and number != before
    message = newest.get("message") or ("" if is_ok else "psvd ended before anything was changed")
    result = "failed" if number == before else newest.get("result")
    return {"ok": is_ok, "number": number, "result": result, "message": message, "touched": [], "left": {}}
