"""`psv status` and `psv down`: the fleet as a whole, asked over the control socket."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping

from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.errors import EXIT_OK, NoSupervisor, PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import HAS_PROCESS
from processsupervisor.kernel.units import format_bytes

_ANSWER_S = 5.0
_FORCED_END_S = 60.0
_KEEPER_END_S = 15.0
"""How long the keeper may take to leave after the last bot has stopped."""


def status(session: Session, command: Command) -> int:
    """Print own processes, bots per state and notes."""
    with session.client() as client:
        fleet: dict[str, object] = client.call(command.name)
    if session.as_json:
        session.print_json(fleet)
        return EXIT_OK
    session.say(f"fleet {fleet.get('fleet')} in {fleet.get('folder')} (psv {fleet.get('version')})")
    counts = fleet.get("bots")
    if isinstance(counts, dict):
        session.say("bots " + (", ".join(f"{number} {state}" for state, number in counts.items() if number) or "none"))
    if fleet.get("web"):
        session.say(f"web {fleet['web']}")
    session.say()
    processes = fleet.get("processes")
    rows = [(str(p.get("role")), _dash(p.get("pid")), _dash(p.get("generation")), format_bytes(p.get("memory_bytes")))
            for p in (processes if isinstance(processes, list) else [])]
    print_table(("PROCESS", "PID", "GEN", "MEMORY"), rows, right=("PID", "GEN", "MEMORY"))
    notes = fleet.get("notes")
    for note in notes if isinstance(notes, list) else []:
        session.say(f"note: {note.get('subject')}: {note.get('message')}")
    if line := differing(fleet):
        session.say(line)
    return EXIT_OK


def differing(fleet: Mapping[str, object]) -> str:
    """Return the line that says that the files differ from what runs, empty when they do not; `fleet` is psvd's answer to fleet.status."""
    config = fleet.get("config")
    known = config if isinstance(config, dict) else {}
    if not known.get("differs", fleet.get("config_differs")):
        return ""
    number, why = known.get("number"), known.get("rejected")
    what = "note: fleet.toml differs from " + ("what runs" if number is None else f"running version {number}")
    if why:
        reason = why.get("reason") if isinstance(why, dict) else why
        return f"{what}: rejected because {reason}; mend it, or psv config apply --again"
    if known.get("refused"):
        from processsupervisor.config.problem import printable

        return f"{what} and cannot be applied: {printable(str(known['refused']))}; mend it"
    return f"{what}; psv config diff shows how, psv config apply takes it over"


def down(session: Session, command: Command, *, timeout_s: float | None) -> int:
    """Stop the fleet, with progress; return when its keeper is gone."""
    keeper = open_keeper(session.paths)
    try:
        try:
            with session.client() as client:
                client.call("ping", timeout_s=_ANSWER_S)
                stopped = _stop(session, client.stream(command.name, {"timeout_s": timeout_s}, timeout_s=0), keeper)
        except PsvError as err:
            if keeper < 0 and err.code == "no-supervisor" and "take over" not in err.hint:
                raise NoSupervisor(err.message, hint="there is nothing to stop") from err
            if keeper < 0 or err.code not in ("timeout", "no-supervisor"):
                raise
            return _down_by_keeper(session, keeper)
        if keeper >= 0 and not _wait_end(keeper, _KEEPER_END_S):
            raise PsvError("all bots have stopped, but the keeper has not ended", hint=_STUCK.format(keeper=_keeper_note(session)))
    finally:
        if keeper >= 0:
            os.close(keeper)
    session.say(f"stopped {stopped} bot{'' if stopped == 1 else 's'}")
    return EXIT_OK


_STUCK = "if it was stopped, let it go on: kill -CONT PID, else kill -9 PID ({keeper})"


def _keeper_note(session: Session) -> str:
    """Return what the keeper's lock says of its holder: "keeper pid N"."""
    with contextlib.suppress(OSError):
        return session.paths.role_lock("keeper").read_text().strip()
    return "see .psv/run/keeper.lock"


def _down_by_keeper(session: Session, keeper: int) -> int:
    """End the fleet without psvd, which gives no answer: SIGTERM to the keeper, which kills what has not stopped in time."""
    session.note("psvd gives no answer; the keeper ends the fleet, killing what does not stop by itself")
    signal.pidfd_send_signal(keeper, signal.SIGTERM)
    if not _wait_end(keeper, _FORCED_END_S):
        raise PsvError("the keeper has not ended", hint=_STUCK.format(keeper=_keeper_note(session)))
    session.say("stopped the fleet")
    return EXIT_OK


def _stop(session: Session, stream: object, keeper: int) -> int:
    """Follow the stream of fleet.down and return how many bots were stopped."""
    seen: set[str] = set()
    ran: set[str] = set()
    iterator = iter(stream)  # type: ignore[call-overload]
    while True:
        try:
            event = next(iterator)
        except StopIteration as end:
            result = end.value
            return int(result.get("stopped", len(seen))) if isinstance(result, dict) else len(seen)
        except NoSupervisor:
            # psvd may leave before its last line is out; what counts is whether the fleet is down.
            if keeper >= 0 and _wait_end(keeper, _KEEPER_END_S):
                return len(seen)
            raise
        if event.get("from") in HAS_PROCESS:
            ran.add(str(event.get("bot")))
        line = _progress_line(event)
        if line and str(event.get("bot")) in ran:  # what had no process only stays where it is
            seen.add(str(event.get("bot")))
            session.say(line)


def _progress_line(event: dict[str, object]) -> str:
    if event.get("to") not in ("STOPPED", "FAILED", "TERMINATED"):
        return ""
    reason = event.get("reason")
    return f"{event.get('bot')} {event.get('to')}" + ("" if reason in (None, "admin", "clean") else f" {reason}")


def open_keeper(paths: FleetPaths) -> int:
    """Return a pidfd of the fleet's keeper, -1 when none runs or this system has no pidfd.

    Who listens at keeper.sock is the keeper. It is asked again after the pidfd was opened: the same answer means that the
    pid was not given to another process in between.
    """
    if not hasattr(os, "pidfd_open"):
        return -1
    pid = _listener_pid(paths)
    try:
        keeper = os.pidfd_open(pid) if pid > 0 else -1
    except OSError:
        return -1
    if keeper >= 0 and _listener_pid(paths) != pid:
        os.close(keeper)
        return -1
    return keeper


def _listener_pid(paths: FleetPaths) -> int:
    try:
        with connect_unix(paths.socket("keeper"), 5.0) as connection:
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return -1
    return int(pid)


def _wait_end(pidfd: int, timeout_s: float) -> bool:
    waiter = select.poll()
    waiter.register(pidfd, select.POLLIN)
    return bool(waiter.poll(timeout_s * 1000))


def _dash(value: object) -> str:
    return "-" if value is None else str(value)
