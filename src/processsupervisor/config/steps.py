"""The steps in which a plan is carried out: who first, who then, and how long that will take. Pure, standard library only.

psvd and the plan that a person reads are made by the same functions. A step is done when its bots are ready, the first of a fleet
that is not small when they are healthy for `settle`; what is live, and what goes, is in no step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from processsupervisor.config.plan import Plan

SMALL_FLEET = 5
"""A fleet of at most so many bots waits for ready only."""

SETTLE_S = 10.0
"""How long canaries must be healthy, unless [fleet] settle says otherwise."""

_START_S = 1.0
"""What a start is taken to need while nothing is known of the bot."""

Member = tuple[str, str | None, str]
"""Name, type and kind of a bot."""


def steps(plan: Plan, bots: Iterable[Member], is_small: bool, also: Collection[str] = ()) -> list[list[str]]:
    """Return the batches of bots that get another process: first one of each type (without a type: of each kind), then a tenth at a time.

    `bots` are those of the new configuration in its order, `also` the names of those to which a live change has to go by a restart. In a
    small fleet nobody goes first: one after the other.
    """
    wanted = {*plan.with_effect("restart", "recreate"), *plan.added, *also}
    touched = [bot for bot in bots if bot[0] in wanted]
    size = max(1, len(touched) // 10)
    canaries: dict[tuple[str | None, str], str] = {}
    for name, type_name, kind in () if is_small else touched:
        canaries.setdefault((type_name, kind), name)
    first = list(canaries.values())
    rest = [name for name, _, _ in touched if name not in first]
    return [batch for batch in (first, *(rest[i : i + size] for i in range(0, len(rest), size))) if batch]


def estimate_s(batches: Sequence[Sequence[str]], settle_s: float, starts: Mapping[str, float]) -> float:
    """Return how long the batches will take: each as long as its slowest start, the canaries `settle_s` more (0 when ready is enough).

    `starts` are the seconds that a bot's last start took, as far as known.
    """
    spent = sum(max(starts.get(name, _START_S) for name in batch) for batch in batches)
    return spent + (settle_s if batches else 0.0)
