"""Which settings do not go together with `schedule` and `recycle`, in one bot after its scopes are merged. Pure.

What [global] says is meant for all those that need it: there it is passed over in silence, anywhere else it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from processsupervisor.config.problem import Finding

_NOT_OF_A_TASK = {
    "ready": "a task runs from its first moment: remove this ready",
    "restart": "a run that failed is not repeated, the next one comes at its time: remove this restart",
    "recycle": "each run is a process of its own: remove this recycle",
    "essential": "a task ends all the time: remove essential",
}
_LIMITS = ("max_age", "max_memory", "max_memory_hard", "max_messages")


def task_findings(values: dict[str, Any], scope_of: Callable[[str], str | None]) -> list[Finding]:
    """Return what is refused; `values` loses what [global] says for other bots only."""
    return [*_of_task(values, scope_of), *_of_recycle(values, scope_of)]


def _of_task(values: dict[str, Any], scope_of: Callable[[str], str | None]) -> Iterator[Finding]:
    if values.get("schedule") is None:
        return
    if "run" in values:
        text = "found schedule on a native bot (run), which lives on, expected a program that ends"
        yield Finding(("schedule",), "schedule-native", text, 'make it a script = "main.py" or command = ["program"]')
    for key, hint in _NOT_OF_A_TASK.items():
        if key not in values:
            continue
        if scope_of(key) != "global" and values[key] is not False:
            yield Finding((key,), "schedule-with", f"found {key} beside schedule, expected one of them", hint)
        del values[key]


def _of_recycle(values: dict[str, Any], scope_of: Callable[[str], str | None]) -> Iterator[Finding]:
    limits = values.get("recycle")
    if not isinstance(limits, dict):
        return
    soft, hard = limits.get("max_memory"), limits.get("max_memory_hard")
    if soft is not None and hard is not None and hard < soft:
        text = f"found recycle.max_memory_hard = {hard} below max_memory = {soft}, expected at least as much"
        yield Finding(("recycle", "max_memory_hard"), "recycle-order", text, "the soft limit is the lower one")
    if "max_messages" in limits and "run" not in values:
        if scope_of("recycle") != "global":
            text = "found recycle.max_messages on a program, whose messages psv does not see, expected it on a native bot (run)"
            yield Finding(("recycle", "max_messages"), "recycle-messages", text, "use max_age or max_memory")
        del limits["max_messages"]
    if limits and not any(limits.get(name) for name in _LIMITS) and scope_of("recycle") != "global":
        text = "found recycle without a limit, expected at least one"
        yield Finding(("recycle",), "recycle-empty", text, "give max_age, max_memory, max_memory_hard or max_messages")
