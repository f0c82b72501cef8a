"""Laws of what the screen shows: psvd's list, filtered and in order, with what was measured."""

from __future__ import annotations

from processsupervisor.cli.top.model import Measured, Model, Order, Row


def row(name: str, state: str = "RUNNING", **more: object) -> Row:
    """Return an object of bot.list, as far as the screen reads it."""
    has_process = state == "RUNNING"
    facts: Row = {"name": name, "type": None, "kind": "script", "state": state, "health": "healthy" if has_process else None}
    facts |= {"pid": 7 if has_process else None, "generation": 1, "restarts": 0, "memory_bytes": None, "cpu_percent": None, "messages": None}
    return facts | more


def names(model: Model) -> list[str]:
    """Return what is shown."""
    return [bot.name for bot in model.shown()]


def test_the_list_is_the_truth() -> None:
    """Bots come and go with the whole list, in its order; a bot that stays keeps its past; part of a list makes none."""
    model = Model()
    model.take_all([row("b"), row("a")])
    model.measure(0.0, {"b": Measured(50.0, 1, 0.0)})
    model.take_all([row("c"), row("b")])
    assert names(model) == ["c", "b"]
    assert list(model.bots["b"].trend) == [50.0]
    model.take_some([row("b", "STOPPED"), row("ghost")])
    assert names(model) == ["c", "b"]
    assert model.bots["b"].state == "STOPPED"
    assert model.counts() == {"RUNNING": 1, "STOPPED": 1}


def test_only_what_was_asked_for() -> None:
    """Names are globs, and hold for bots that come later; a type narrows further."""
    model = Model(["shop-*"], "helper")
    model.take_all([row("shop-1", type="helper"), row("shop-2"), row("other", type="helper")])
    assert names(model) == ["shop-1"]
    model.take_all([row("shop-3", type="helper")])
    assert names(model) == ["shop-3"]


def test_the_filter_takes_words_and_globs() -> None:
    """Every word must be found, in the name, type, kind, state, health or reason, whatever its case; a glob is one of the name."""
    model = Model()
    model.take_all([row("anna", type="shop"), row("bert", "FAILED", reason="crash-loop"), row("carl", reason="crash-loop")])
    for words, expected in ((("ERT",), ["bert"]), (("crash",), ["bert"]), (("shop", "run"), ["anna"]), (("*r*",), ["bert", "carl"]), (("x",), [])):
        model.words = words
        assert names(model) == expected, words


def test_orders() -> None:
    """Each order puts first what one looks for with it; equal ones stay in the order of fleet.toml."""
    model = Model()
    model.take_all([row("a"), row("b", "FAILED", restarts=4), row("c", messages=100), row("d", health="unhealthy")])
    model.measure(0.0, {"a": Measured(1.0, 10, 0.0), "c": Measured(9.0, 5, 0.0)})
    model.take_some([row("c", messages=130)])
    model.measure(60.0, {"a": Measured(1.0, 10, 0.0), "c": Measured(9.0, 5, 0.0)})
    found = {}
    for _ in Order:
        found[model.order] = names(model)[0]
        model.order = model.order.following()
    assert found == {Order.FLEET: "a", Order.STATE: "d", Order.CPU: "c", Order.MEMORY: "a", Order.MESSAGES: "c", Order.RESTARTS: "b"}
    assert model.order is Order.FLEET


def test_the_newer_figure_is_shown() -> None:
    """What was measured here stands before what psvd knows unless psvd's is newer; without a process there is none."""
    model = Model()
    model.take_all([row("a", memory_bytes=5, memory_age_s=300.0, cpu_percent=1.0), row("b", memory_bytes=5, memory_age_s=1.0), row("c", cpu_percent=2.0)])
    model.measure(0.0, {"a": Measured(7.0, 9, 10.0), "b": Measured(7.0, 9, 10.0)})
    assert [model.bots[name].memory_bytes for name in "abc"] == [9, 5, None]
    assert [model.bots[name].cpu_percent for name in "abc"] == [7.0, 7.0, 2.0]
    model.take_all([row("a", "STOPPED", memory_bytes=5)])
    model.measure(2.0, {})
    assert (model.bots["a"].memory_bytes, model.bots["a"].cpu_percent) == (None, None)
    assert list(model.bots["a"].trend) == [7.0, None]


def test_messages_a_minute_come_from_the_counter() -> None:
    """The counter of psvd's object, over looks in regular turn."""
    model = Model()
    for second in range(0, 62, 2):
        model.take_all([row("a", messages=second)])
        model.measure(float(second), {})
    assert model.bots["a"].messages_per_min == 60.0
