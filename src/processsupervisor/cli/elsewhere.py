"""`psv adopt --check`: the bots of this fleet that run under something else, each with the command that stops it there.

Exit 0 = none, 1 = some, 2 = fleet.toml cannot be used. A supervisor that cannot be asked is named on
stderr. `psv up` asks the same, and starts none of them.
"""

from __future__ import annotations

import time

from processsupervisor.cli.check import print_problems
from processsupervisor.cli.session import Session
from processsupervisor.config.elsewhere import Running, find_elsewhere
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import Applied, BotSpec
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE

_PATIENCE_S = 1.5
_MOST_PATIENCE_S = 15.0


def report_elsewhere(session: Session) -> int:
    """Print what runs elsewhere."""
    loaded = load_fleet(session.paths.folder)
    if loaded.applied is None:
        print_problems(session, loaded.problems)
        return EXIT_USAGE
    silent: list[str] = []
    found = find_elsewhere(loaded.applied["bots"], silent=silent)
    for line in silent:
        session.note(line)
    if session.as_json:
        rows = [{"bot": one.bot, "pid": one.pid or None, "state": one.state or None, "by": one.by, "stop": one.stop} for one in found]
        session.print_json(rows)
    elif not found:
        session.say("no bot of this fleet runs elsewhere")
    else:
        for one in found:
            session.say(f"{one.bot}: {one.text}")
    return EXIT_FAILED if found else EXIT_OK


def hold_back(session: Session, applied: Applied) -> set[str]:
    """Mark the bots that run elsewhere, so that `psv up` starts no second copy, and return them; `psv start` looks again. No tasks."""
    held: set[str] = set()
    specs = {spec["name"]: spec for spec in applied["bots"] if not spec["error"] and spec["schedule"] is None}
    for one in _settled(list(specs.values())):
        spec = specs[one.bot]
        spec["error"] = f"{one.text}, then psv start {one.bot}"
        spec["error_rechecks"] = spec["is_elsewhere"] = True
        session.note(f"{one.bot} is not started: {spec['error']}")
        held.add(one.bot)
    return held


def _settled(specs: list[BotSpec]) -> list[Running]:
    """Return what runs elsewhere and stays: what was told to stop a moment ago is waited for as long as it becomes less."""
    found = find_elsewhere(specs)
    began = mono()
    patient_until = began + _PATIENCE_S
    while found and mono() < min(patient_until, began + _MOST_PATIENCE_S):
        time.sleep(0.25)
        before, found = len(found), find_elsewhere(specs)
        if len(found) < before:
            patient_until = mono() + _PATIENCE_S
    return found
