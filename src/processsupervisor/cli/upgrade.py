"""`psv upgrade`: the package that this command belongs to takes the place of the one that runs the fleet.

The package is copied into the fleet and tried on a copy of the live records before anything is touched; the keeper does the
rest (process/upgrade.py) and goes back to the former copy when a part of the new one does not answer.
"""

from __future__ import annotations

import time

from processsupervisor.cli import machine
from processsupervisor.cli.rollout import roll_bots
from processsupervisor.cli.selfcheck import check_copy
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.commands.command import Command
from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.errors import EXIT_OK, NoSupervisor, PsvError, Refused
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code, install

_ANSWER_S = 10.0
_RETRY_S = 0.02


def upgrade(session: Session, command: Command, *, bots: bool, timeout_s: float) -> int:
    """Replace psv's own processes; with `bots` the bots too, afterwards."""
    machine.require_linux()
    paths = session.paths
    if not keeper_runs(paths):
        raise NoSupervisor(f"no keeper runs for {paths.folder}", hint="psv up starts the installed psv, and takes over bots that still run")
    running = _running(session)
    code = install(paths)
    if running == {code.name}:
        session.say(f"psv {code.name} runs already")
    else:
        check_copy(paths, code)
        _ask(paths, code)
        _follow(session, paths, code, timeout_s)
    return roll_bots(session) if bots else EXIT_OK


def _running(session: Session) -> set[str]:
    """Return the copies that psv's own processes run; empty when psvd gives no answer, which is no reason not to go on."""
    try:
        with session.client(_ANSWER_S) as client:
            processes = client.call("fleet.status").get("processes", [])
    except PsvError as err:
        session.note(f"psvd gives no answer ({err.message}); it is replaced all the same")
        return set()
    return {str(p.get("code")) for p in processes if p.get("role") in ("keeper", "psvd", "logd")}


def _ask(paths: FleetPaths, code: Code) -> None:
    """Ask the keeper to begin; raises Refused or PsvError with its reason."""
    try:
        connection = connect_unix(paths.socket("keeper"), _ANSWER_S)
    except OSError as err:
        raise NoSupervisor(f"the keeper of {paths.folder} gives no answer: {err.strerror}", hint="see psv status") from err
    link = LineSocket(connection)
    try:
        link.send({"op": "upgrade", "package": str(code.package), "python": code.python})
        link.socket.settimeout(_ANSWER_S)
        answers = link.receive()
    finally:
        link.close()
    answer = answers[0] if answers else {"ok": False, "message": "the keeper gives no answer", "hint": "see psv status"}
    if not answer.get("ok"):
        raise Refused(str(answer.get("message")), hint=str(answer.get("hint", "")))


def _follow(session: Session, paths: FleetPaths, code: Code, timeout_s: float) -> None:
    """Print the steps until the upgrade has come to its end; raises PsvError when it did not succeed."""
    deadline = time.monotonic() + timeout_s
    shown = ""
    while True:
        note = read_json(paths.upgrade)
        facts = note if isinstance(note, dict) and note.get("to") == code.name else {}
        step = str(facts.get("step", ""))
        if step == "failed":
            message = f"the fleet goes on with {facts.get('from')}: {facts.get('message')}"
            raise PsvError(message, hint="see .psv/logs/psv", code="upgrade-failed")
        if step == "done":
            session.say(f"psv {code.name} runs; bots were not touched")
            return
        if step and step != shown:
            session.say(f"replacing {step}")
            shown = step
        if not keeper_runs(paths):
            raise PsvError("the keeper ended in the middle of it; bots go on", hint="psv up brings a new keeper")
        if time.monotonic() > deadline:
            raise PsvError(f"not done within {timeout_s:g} s, and still under way", hint=f"see {paths.upgrade}", code="timeout")
        time.sleep(_RETRY_S)
