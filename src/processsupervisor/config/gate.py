"""What stands between a configuration that was read and a fleet that runs: mistakes that refuse it, and bots that run elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from processsupervisor.config.elsewhere import find_elsewhere
from processsupervisor.config.problem import Problem
from processsupervisor.config.spec import Applied


def in_the_way(problems: Iterable[Problem], running: Applied) -> list[Problem]:
    """Return the mistakes for which nothing is applied: all but warnings, and but those with which a bot of the running version lives.

    One wrong bot refuses the whole change: half of what a person meant is worse than none. A mistake that was there before is no reason
    to refuse what mends another.
    """
    known = {(problem["code"], problem["message"]) for problem in running["problems"]}
    return [p for p in problems if p.severity == "fatal" or (p.severity == "bot" and (p.code, p.message) not in known)]


def hold_elsewhere(applied: Applied, running: Applied) -> None:
    """Mark in `applied` the bots that run under something else: those that were held back for it before, and new ones that do now."""
    before = {spec["name"]: spec for spec in running["bots"]}
    for spec in applied["bots"]:
        old = before.get(spec["name"])
        if old is not None and old.get("is_elsewhere") and not spec["error"]:
            spec["error"], spec["error_rechecks"], spec["is_elsewhere"] = old["error"], old["error_rechecks"], True
    fresh = {s["name"]: s for s in applied["bots"] if s["name"] not in before and not s["error"] and s["schedule"] is None}
    for one in find_elsewhere(list(fresh.values())) if fresh else ():
        spec = fresh[one.bot]
        spec["error"] = f"{one.text}, then psv start {one.bot}"
        spec["error_rechecks"] = spec["is_elsewhere"] = True
