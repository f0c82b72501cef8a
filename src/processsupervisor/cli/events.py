"""`psv events`: what happened in the fleet, and with --follow what happens, over the death of any psvd.

A follower knows the number of the last event it has shown; the next psvd goes on behind it. It ends when the fleet goes down.
"""

from __future__ import annotations

import json
import time
from typing import TypedDict, Unpack

from processsupervisor.cli.bots import moment, when
from processsupervisor.cli.session import Session, json_text
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, NoSupervisor
from processsupervisor.kernel.units import format_duration

_RETRY_S = 0.1
_BETWEEN = "; "
_WHY = {"schedule": "its time has come", "missed": "its time was missed", "command": "by command"}
_SHOWN_ELSEWHERE = frozenset({"seq", "kind", "at", "bot"})

Event = dict[str, object]


class Wish(TypedDict):
    """The arguments of the command."""

    names: list[str]
    type: str | None
    follow: bool
    limit: int | None
    after: str | None


def events(session: Session, command: Command, **wish: Unpack[Wish]) -> int:
    """Print kept events, and with --follow what comes until the fleet is down."""
    _Follower(session, command, wish).run()
    return EXIT_OK


class _Follower:
    """What has been shown, and by which psvd it was numbered."""

    def __init__(self, session: Session, command: Command, wish: Wish) -> None:
        self._session = session
        self._command = command
        self._wish = wish
        self._life = ""
        self._shown: object = None
        self._is_over = False

    def run(self) -> None:
        """Show everything; raises NoSupervisor when there is none to begin with."""
        self._connect()
        while self._wish["follow"] and not self._is_over:
            self._session.note("psvd is away; waiting for the next one")
            self._come_back()

    def _come_back(self) -> None:
        while not self._is_over:
            try:
                self._connect(is_back=True)
            except NoSupervisor:
                time.sleep(_RETRY_S)
            else:
                return

    def _connect(self, *, is_back: bool = False) -> None:
        """Follow one psvd to its end."""
        args = dict(self._wish)
        if self._shown is not None:
            args["after"], args["limit"] = f"{self._shown}-{self._life}", None
        with self._session.client() as client:
            try:
                for event in client.stream(self._command.name, args, timeout_s=0 if self._wish["follow"] else None):
                    if is_back and event.get("kind") == "begin":
                        self._session.note("psvd is back")
                    self._take(event)
            except NoSupervisor:
                if not self._wish["follow"]:
                    raise

    def _take(self, event: Event) -> None:
        if event.get("kind") == "begin":
            self._life = str(event.get("life"))
            if self._shown is None and self._wish["limit"] == 0:
                self._shown = event.get("seq")
            return
        self._shown = event.get("seq", self._shown)
        self._is_over = event.get("kind") == "down" and self._wish["follow"]
        self._session.say(json_text(event) if self._session.as_json else line_of(event))


def line_of(event: Event) -> str:
    """Return an event for people: when, what, which bot, and the rest in words."""
    bot = str(event.get("bot") or "-")
    return f"{when(event.get('at'))}  {event.get('kind')!s:<10}  {bot:<12}  {_words(event)}".rstrip()


def _words(event: Event) -> str:
    match event.get("kind"):
        case "transition":
            return _joined(f"{event.get('from')} -> {event.get('to')}", _reason(event), _by(event))
        case "exit":
            uptime = event.get("uptime_s")
            ran = f"ready for {format_duration(float(uptime))}" if isinstance(uptime, (int, float)) else ""
            return _joined(str(event.get("reason")), ran, str(event.get("message") or ""))
        case "restart":
            delay = event.get("delay_s")
            due = f"in {format_duration(float(delay))}" if isinstance(delay, (int, float)) and delay else ""
            return _joined(_reason(event), due, _by(event))
        case "command":
            args = event.get("args")
            names = args.get("names") if isinstance(args, dict) else None
            return _joined(" ".join([str(event.get("op")), *map(str, names if isinstance(names, list) else [])]), _by(event))
        case "hook":
            took = event.get("took_s")
            return str(event.get("message") or f"{event.get('hook')} ok in {format_duration(float(str(took or 0)))}")
        case "task":
            message = str(event.get("message") or "")
            due = f"due {moment(event['due_at'])}" if isinstance(event.get("due_at"), (int, float)) else ""
            return _joined(str(event.get("state")), _reason(event), _WHY.get(message, message), due)
        case "health":
            return _joined(str(event.get("health")), str(event.get("message") or ""))
        case "hang":
            return _joined(str(event.get("message")), str(event.get("dump") or ""))
        case "alert":
            return f"{event.get('what')}: {event.get('message')}"
        case "psvd":
            how = "the fleet is started" if event.get("is_cold") else "took over what runs"
            return _joined(how, f"pid {event.get('pid')}, psv {event.get('version')}")
        case "lost":
            return f"{event.get('count')} events are missing here"
    return ", ".join(f"{key} {_value(value)}" for key, value in event.items() if key not in _SHOWN_ELSEWHERE and value not in (None, ""))


def _joined(*parts: str) -> str:
    return _BETWEEN.join(filter(None, parts))


def _reason(event: Event) -> str:
    return str(event.get("reason") or "")


def _by(event: Event) -> str:
    return f"by {event['by']}" if event.get("by") else ""


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, bool)) else str(value)
