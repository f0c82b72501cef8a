"""Which settings do not go together with `schedule` and `recycle`, in one bot after its scopes are merged; and what is
wrong with the time zone of the machine. Touches no file but that of the zone.

What [global] says is meant for all those that need it: there it is passed over in silence, anywhere else it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from processsupervisor.config.problem import Finding
from processsupervisor.config.scopes import Merged
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.zone import goes_by_local_time, local_zone_problem

_NOT_OF_A_TASK = {
    "ready": "a task runs from its first moment: remove this ready",
    "restart": "a run that failed is not repeated, the next one comes at its time: remove this restart",
    "recycle": "each run is a process of its own: remove this recycle",
    "essential": "a task ends all the time: remove essential",
}
_LIMITS = ("max_age", "max_memory", "max_memory_hard", "max_messages")


def task_findings(values: dict[str, Any], merged: Merged) -> list[Finding]:
    """Return what is refused; `values` (of `merged`) loses what [global] says for other bots only."""
    return [*_of_task(values, merged), *_of_recycle(values, merged)]


def zone_warnings(specs: Mapping[str, BotSpec]) -> Iterator[tuple[str, Finding]]:
    """Yield (bot, warning) for each task that goes by the time zone of the machine, where that cannot be used."""
    for name, spec in specs.items():
        schedule = spec["schedule"]
        if schedule is not None and goes_by_local_time(schedule["cron"], schedule["at"], schedule["tz"]) and (why := local_zone_problem()):
            yield name, Finding(("schedule",), "time-zone", why, "give the schedule a tz, or correct TZ where psv up is run", warning=True)


def _is_own(merged: Merged, key: str, inner: str | None = None) -> bool:
    """Tell whether the bot or its type says `key` (or `inner` in that table), and not [global] alone."""
    given = [layer.given[key] for layer in merged.layers if layer.scope != "global" and key in layer.given]
    return any(inner is None or inner in table for table in given)


def _of_task(values: dict[str, Any], merged: Merged) -> Iterator[Finding]:
    if values.get("schedule") is None:
        return
    if "run" in values:
        text = "found schedule on a native bot (run), which lives on, expected a program that ends"
        yield Finding(("schedule",), "schedule-native", text, 'make it a script = "main.py" or command = ["program"]')
    for key, hint in _NOT_OF_A_TASK.items():
        if key not in values:
            continue
        if _is_own(merged, key) and values[key] is not False:
            yield Finding((key,), "schedule-with", f"found {key} beside schedule, expected one of them", hint)
        del values[key]


def _of_recycle(values: dict[str, Any], merged: Merged) -> Iterator[Finding]:
    if not isinstance(values.get("recycle"), dict):
        return
    limits = values["recycle"] = dict(values["recycle"])
    soft, hard = limits.get("max_memory"), limits.get("max_memory_hard")
    if soft is not None and hard is not None and hard < soft:
        text = f"found recycle.max_memory_hard = {hard} below max_memory = {soft}, expected at least as much"
        yield Finding(("recycle", "max_memory_hard"), "recycle-order", text, "the soft limit is the lower one")
    if "max_messages" in limits and "run" not in values:
        if _is_own(merged, "recycle", "max_messages"):
            text = "found recycle.max_messages on a program, whose messages psv does not see, expected it on a native bot (run)"
            yield Finding(("recycle", "max_messages"), "recycle-messages", text, "use max_age or max_memory")
        del limits["max_messages"]
    if limits and not any(limits.get(name) for name in _LIMITS) and _is_own(merged, "recycle"):
        text = "found recycle without a limit, expected at least one"
        yield Finding(("recycle",), "recycle-empty", text, "give max_age, max_memory, max_memory_hard or max_messages")
