"""The steps in which a plan is carried out: who first, who then, and how long that will take. Pure, standard library only.

psvd and the plan that a person reads are made by the same functions. A step is done when its bots are ready, the first of a fleet
that is not small when they are healthy for `settle`; what is live, and what goes, is in no step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from processsupervisor.config.plan import Plan
from processsupervisor.config.spec import BotSpec

SMALL_FLEET = 5
"""A fleet of at most so many bots waits for ready only."""

SETTLE_S = 10.0
"""How long canaries must be healthy, unless [fleet] settle says otherwise."""

_START_S = 1.0
"""What a start is taken to need while nothing is known of the bot."""

Member = tuple[str, str | None, str]
"""Name, type and kind of a bot."""


Needs = Mapping[str, Collection[str]]
"""`{bot: those that it depends on}`."""


def needs_of(bots: Iterable[BotSpec]) -> Needs:
    """Return whom each bot depends on; nobody in settings that an older psv wrote."""
    return {spec["name"]: [entry["bot"] for entry in spec.get("depends_on") or ()] for spec in bots}


def steps(plan: Plan, bots: Iterable[Member], is_small: bool, also: Collection[str] = (), needs: Needs | None = None) -> list[list[str]]:
    """Return the batches of bots that get another process: first one of each type (without a type: of each kind), then a tenth at a time.

    `bots` are those of the new configuration in its order, `also` the names of those to which a live change has to go by a restart. In a
    small fleet nobody goes first: one after the other. By `needs` a bot comes after those that it depends on, and who is new and needed
    by one of the first goes with them.
    """
    wanted = {*plan.with_effect("restart", "recreate"), *plan.added, *also}
    known, needs = {bot[0]: bot for bot in bots}, needs or {}
    touched = [known[name] for name in _in_order(known, needs) if name in wanted and name in known]
    size = max(1, len(touched) // 10)
    canaries: dict[tuple[str | None, str], str] = {}
    for name, type_name, kind in () if is_small else touched:
        canaries.setdefault((type_name, kind), name)
    added = set(plan.added)
    first = _in_order(canaries.values(), {name: [need for need in needed if need in added] for name, needed in needs.items()})
    rest = [name for name, _, _ in touched if name not in first]
    return [batch for batch in (first, *(rest[i : i + size] for i in range(0, len(rest), size))) if batch]


def _in_order(names: Iterable[str], needs: Needs) -> list[str]:
    """Return `names` in their order, each behind all that it needs."""
    found: dict[str, None] = {}
    under_way: set[str] = set()
    stack = list(reversed(list(names)))
    while stack:
        name = stack[-1]
        left = [need for need in needs.get(name, ()) if need not in found and need not in under_way] if name not in found else []
        if left:
            under_way.add(name)
            stack += reversed(left)
        else:
            found[stack.pop()] = None
    return list(found)


def estimate_s(batches: Sequence[Sequence[str]], settle_s: float, starts: Mapping[str, float]) -> float:
    """Return how long the batches will take: each as long as its slowest start, the canaries `settle_s` more (0 when ready is enough).

    `starts` are the seconds that a bot's last start took, as far as known.
    """
    spent = sum(max(starts.get(name, _START_S) for name in batch) for batch in batches)
    return spent + (settle_s if batches else 0.0)
