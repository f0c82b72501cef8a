"""The steps of a plan: who goes first, how many at a time, and how long it is said to take."""

from __future__ import annotations

from processsupervisor.config.plan import BotChange, Plan
from processsupervisor.config.spec import Effect
from processsupervisor.config.steps import Member, estimate_s, steps


def _plan(effects: dict[str, Effect], added: tuple[str, ...] = ()) -> Plan:
    return Plan(added=added, changed={name: BotChange(name, ("args",), effect) for name, effect in effects.items()})


def test_one_of_each_type_goes_first() -> None:
    """One bot of each type, those without a type one of each kind; then a tenth of all at a time."""
    bots: list[Member] = [*((f"shop{i}", "shop", "native") for i in range(30)), ("a", None, "script"), ("b", None, "command"), ("c", None, "script")]
    batches = steps(_plan({name: "restart" for name, _, _ in bots}), bots, False)
    assert batches[0] == ["shop0", "a", "b"]
    assert [len(batch) for batch in batches[1:]] == [3] * 10
    assert sorted(name for batch in batches for name in batch) == sorted(name for name, _, _ in bots)


def test_what_is_live_gets_no_step() -> None:
    """A live change needs no new process, unless the bot cannot take it over; an added bot does."""
    bots: list[Member] = [(name, None, "native") for name in ("a", "b", "c", "d")]
    plan = _plan({"a": "live", "b": "live", "c": "recreate"}, added=("d",))
    assert steps(plan, bots, False) == [["c"], ["d"]]
    assert steps(plan, bots, False, also=["b"]) == [["b"], ["c"], ["d"]]


def test_small_fleet_has_no_canary() -> None:
    """A small fleet goes one after the other, in its order."""
    bots: list[Member] = [("a", "x", "native"), ("b", "y", "native"), ("c", "x", "native")]
    assert steps(_plan({name: "restart" for name, _, _ in bots}), bots, True) == [["a"], ["b"], ["c"]]


def test_estimate_adds_the_slowest_of_each_batch() -> None:
    """Batches follow each other, the bots of one start together; the canaries settle once."""
    assert estimate_s([["a", "b"], ["c"]], 10.0, {"a": 0.5, "b": 2.0}) == 13.0
    assert estimate_s([], 10.0, {}) == 0.0


def test_who_depends_on_another_comes_behind_it() -> None:
    """A new bot that one of the first needs goes with them; those that run already need not."""
    bots: list[Member] = [("a", None, "native"), *((f"b{i}", "x", "script") for i in range(5)), ("db", "x", "script")]
    needs = {"a": ["b1"], "b1": ["db"], "b0": ["db"]}
    assert steps(_plan({}, added=("a", "b0", "b1", "db")), bots, True, needs=needs) == [["db"], ["b1"], ["a"], ["b0"]]
    assert steps(_plan({}, added=("a", "b0", "b1", "db")), bots, False, needs=needs) == [["db", "b1", "a"], ["b0"]]
    assert steps(_plan({"a": "restart", "b1": "restart", "db": "restart"}), bots, False, needs=needs) == [["db", "a"], ["b1"]]
