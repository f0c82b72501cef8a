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


def check_order(specs: Mapping[str, BotSpec], known: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Yield `(bot, finding)` for every name that is nobody's, leads back to the bot, or is waited for in vain; `known` are all bots."""
    for name, spec in specs.items():
        for other in (d["bot"] for d in spec["depends_on"] if d["until"] == "completed"):
            if other in specs and _never_completes(specs[other]):
                text = f'found until = "completed" for bot {quoted(other)}, which is started again after every end'
                yield name, Finding(("depends_on",), "never-completed", text, f'give {other} restart = {{ policy = "on-failure" }}')
    for key in _KEYS:
        graph = {name: companions(spec, key) for name, spec in specs.items()}
        for name, named in graph.items():
            for other in named:
                if other not in known:
                    text = f"found the unknown bot {quoted(other)} in {key} of bot {quoted(name)}"
                    yield name, Finding((key,), "unknown-bot", text, did_you_mean(other, known, "bots"))
            circle = _circle(graph, name)
            if circle:
                hint = "take one of these out" if len(circle) > 2 else "take it out"
                yield name, Finding((key,), "circular-order", f"{key} of bot {quoted(name)} leads back to it: {' -> '.join(circle)}", hint)


def _never_completes(spec: BotSpec) -> bool:
    """Tell whether the bot never ends for good with code 0; what is wrong itself is told of already."""
    return not spec["error"] and spec["schedule"] is None and spec["restart"]["policy"] == "always"


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
