"""Rules between bots on their order: whom `depends_on` and `restart_with` name, and that nobody waits for himself, or for ever.

Pure. A bot that a scope around it names as its own companion is passed over: `[types.app] depends_on = ["db"]` may hold for db too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from processsupervisor.config.problem import Finding, did_you_mean, quoted
from processsupervisor.config.spec import BotSpec

Key = Literal["depends_on", "restart_with"]
_KEYS: tuple[Key, ...] = ("depends_on", "restart_with")


def companions(spec: BotSpec, key: Key) -> list[str]:
    """Return the bots that `key` of a spec names, each once."""
    named = [d["bot"] for d in spec["depends_on"]] if key == "depends_on" else spec["restart_with"]
    return list(dict.fromkeys(named))


def leave_out_itself(spec: BotSpec, key: Key) -> None:
    """Take the bot's own name out of a list that an outer scope gave."""
    if key == "depends_on":
        spec["depends_on"] = [d for d in spec["depends_on"] if d["bot"] != spec["name"]]
    else:
        spec["restart_with"] = [name for name in spec["restart_with"] if name != spec["name"]]


def check_order(specs: Mapping[str, BotSpec], known: Collection[str]) -> Iterator[tuple[str, str, Finding]]:
    """Yield `(bot, where, finding)` for every name that is nobody's, or leads back to the bot; `known` are all bots of the file.

    `where` is the bot whose key the finding is at: a circle stands once, at the first of its bots, for each of them.
    """
    for key in _KEYS:
        graph = {name: companions(spec, key) for name, spec in specs.items()}
        order = {name: number for number, name in enumerate(graph)}
        for name, named in graph.items():
            for other in named:
                if other not in known:
                    text = f"found the unknown bot {quoted(other)} in {key} of bot {quoted(name)}"
                    yield name, name, Finding((key,), "unknown-bot", text, did_you_mean(other, known, "bots"))
            circle = _circle(graph, name)[:-1]
            if circle:
                first = min(circle, key=order.__getitem__)
                at = circle.index(first)
                way = " -> ".join([*circle[at:], *circle[:at], first])
                hint = "take one of these out" if len(circle) > 1 else "take it out"
                yield name, first, Finding((key,), "circular-order", f"{key} of bot {quoted(first)} leads back to it: {way}", hint)
    for name, spec in specs.items():
        for entry in spec["depends_on"]:
            if (needed := specs.get(entry["bot"])) is not None:
                yield from ((name, name, finding) for finding in _waits_in_vain(entry["until"], needed))


def _waits_in_vain(until: str, other: BotSpec) -> Iterator[Finding]:
    """Find a wait that cannot end, or only by a run of a task."""
    name = quoted(other["name"])
    if other["schedule"] is not None:
        if until != "completed":
            text = f"{name} is a task: who depends on it is started only when a run of it goes on, or has gone well"
            hint = f'write {{ bot = {name}, until = "completed" }} if that is meant'
            yield Finding(("depends_on",), "depends-on-task", text, hint, warning=True)
    elif until == "completed" and other["restart"]["policy"] == "always":
        text = f"{name} never completes: it is started again after every end"
        yield Finding(("depends_on",), "never-completes", text, f'give {name} restart = {{ policy = "on-failure" }}')


def _circle(graph: Mapping[str, list[str]], start: str) -> list[str]:
    """Return the shortest way from `start` back to it, both ends included; empty when there is none."""
    ways, seen = [[start]], {start}
    while ways:
        further = []
        for way in ways:
            for name in graph.get(way[-1], ()):
                if name == start:
                    return [*way, start]
                if name not in seen:
                    seen.add(name)
                    further.append([*way, name])
        ways = further
    return []
