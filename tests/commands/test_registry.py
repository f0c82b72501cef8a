"""Laws of the registry and of dispatch."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys

import pytest
from tests.commands.fakefleet import FakeFleet

from processsupervisor.commands.ports import Caller, FleetPort
from processsupervisor.commands.registry import REGISTRY, dispatch
from processsupervisor.kernel.errors import NoSuchBot, PsvError, Refused, UsageError

OWNER = Caller(1000, "ann", "control")


async def ignore(event: dict[str, object]) -> None:
    """Take an event."""


async def ask(fleet: FakeFleet, op: str, args: dict[str, object] | None = None, caller: Caller = OWNER) -> object:
    return await dispatch(fleet, op, args or {}, caller, ignore)


def test_fake_has_the_shape_of_the_port() -> None:
    """The fake offers every method of FleetPort with the same parameters."""
    for name, method in inspect.getmembers(FleetPort, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(method).parameters) == list(inspect.signature(getattr(FakeFleet, name)).parameters), name


@pytest.mark.parametrize("name", REGISTRY)
def test_handlers_take_exactly_the_declared_arguments(name: str) -> None:
    """A daemon command has a handler whose keyword names are its arguments; a client command has none."""
    command = REGISTRY[name]
    if command.place == "client":
        assert command.handler is None
        return
    assert command.handler is not None
    parameters = inspect.signature(command.handler).parameters.values()
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == {arg.name for arg in command.args}


def test_names_and_verbs_are_unique() -> None:
    """Dotted names have two parts, and no form on the command line stands for two commands."""
    verbs = [verb for command in REGISTRY.values() for verb in command.verbs]
    assert len(verbs) == len(set(verbs))
    assert all(name.count(".") == 1 and name == command.name for name, command in REGISTRY.items())


async def test_only_what_changes_something_is_audited() -> None:
    """Reading leaves no audit line, acting does, with who acted."""
    fleet = FakeFleet()
    await ask(fleet, "bot.list")
    await ask(fleet, "bot.stop", {"names": ["alice"]})
    assert fleet.audited == [("ann", "bot.stop")]


async def test_unknown_operation_names_the_nearest() -> None:
    """A misspelt operation is a usage error with the right name in its hint."""
    with pytest.raises(UsageError, match=r'bot\.list'):
        await ask(FakeFleet(), "bot.lst")


async def test_client_operation_is_refused_by_the_daemon() -> None:
    """What the client carries out cannot be asked of psvd."""
    with pytest.raises(UsageError, match="client"):
        await ask(FakeFleet(), "bot.chat", {"name": "alice"})


@pytest.mark.parametrize("via", ["bot", "somewhere"])
async def test_other_ways_in_hold_no_operator_permission(via: str) -> None:
    """Only the control socket grants what operators may do; an unknown way in grants nothing."""
    fleet = FakeFleet()
    with pytest.raises(Refused):
        await ask(fleet, "bot.stop", {"names": ["alice"]}, Caller(None, "x", via))
    assert fleet.state["alice"] == "RUNNING"
    assert fleet.audited == []


async def test_a_refusal_of_one_bot_does_not_fail_the_others() -> None:
    """Pausing a program is its own result, with code and reason; native bots of the same call are paused."""
    results = await ask(FakeFleet(), "bot.pause", {"names": ["*"]})
    assert isinstance(results, list)
    by_name = {row["name"]: row for row in results}
    assert by_name["alice"]["state"] == by_name["bob"]["state"] == "PAUSED"
    assert (by_name["legacy"]["ok"], by_name["legacy"]["code"]) == (False, "refused")
    assert "cannot pause" in by_name["legacy"]["message"]


async def test_bots_of_one_call_do_not_wait_for_each_other() -> None:
    """bob's restart is carried out while alice's waits (here: for bob's)."""
    import asyncio

    fleet = FakeFleet()
    fleet.gate = asyncio.Event()
    async with asyncio.timeout(5):
        results = await ask(fleet, "bot.restart", {"names": ["alice", "bob"]})
    assert [row["name"] for row in results] == ["alice", "bob"]  # type: ignore[union-attr]


async def test_acting_without_a_name_is_a_usage_error() -> None:
    """`bot.stop` of nothing never means all; reading without a name does."""
    with pytest.raises(UsageError, match="no bot is named"):
        await ask(FakeFleet(), "bot.stop")
    assert len(await ask(FakeFleet(), "bot.list")) == 3  # type: ignore[arg-type]


async def test_type_alone_names_bots() -> None:
    """`type` without names acts on all bots of that type."""
    fleet = FakeFleet()
    await ask(fleet, "bot.stop", {"type": "helper"})
    assert fleet.state == {"alice": "STOPPED", "bob": "STOPPED", "legacy": "RUNNING"}


async def test_unknown_bot_reaches_the_caller() -> None:
    """The port's NoSuchBot is the answer."""
    with pytest.raises(NoSuchBot, match="alice"):
        await ask(FakeFleet(), "bot.status", {"names": ["alcie"]})


async def test_signal_reports_each_bot() -> None:
    """A bot without a process is refused, the other gets the signal."""
    fleet = FakeFleet()
    fleet.state["bob"] = "STOPPED"
    results = await ask(fleet, "bot.signal", {"names": ["alice", "bob"], "signal": "HUP"})
    assert [row["ok"] for row in results] == [True, False]  # type: ignore[union-attr]


async def test_history_of_many_bots_keeps_nobody_waiting() -> None:
    """Between two bots the others have their turn: a month of each takes psvd milliseconds, and there may be hundreds."""
    turns = [0]
    fleet = FakeFleet()
    looks: list[int] = []
    uptime = fleet.uptime

    def look(name: str) -> dict[str, object]:
        looks.append(turns[0])
        return uptime(name)

    fleet.uptime = look  # type: ignore[method-assign]

    async def work() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(work())
    await ask(fleet, "bot.history")
    other.cancel()
    assert len(looks) == 3 and len(set(looks)) == 3


async def test_history_is_merged_by_time_and_limited() -> None:
    """Rows of several bots come oldest first; the limit keeps the newest."""
    rows = await ask(FakeFleet(), "bot.history", {"limit": 2})
    kinds = [row["kind"] for row in rows]  # type: ignore[union-attr]
    assert [row["at"] - 1700000000.0 for row in rows[:2]] == [2.0, 3.0]  # type: ignore[index]
    assert kinds == ["transition", "transition", "uptime", "uptime", "uptime"]


async def test_streams_emit_before_they_answer() -> None:
    """fleet.down emits a transition per bot and then answers how many stopped."""
    events: list[dict[str, object]] = []

    async def emit(event: dict[str, object]) -> None:
        events.append(event)

    result = await dispatch(FakeFleet(), "fleet.down", {}, OWNER, emit)
    assert result == {"stopped": 3}
    assert [event["bot"] for event in events] == ["alice", "bob", "legacy"]


async def test_handler_errors_are_ours() -> None:
    """Whatever dispatch raises on purpose is a PsvError, so that it can cross the socket."""
    with pytest.raises(PsvError):
        await ask(FakeFleet(), "bot.start", {"names": "alice"})


def test_import_is_cheap() -> None:
    """The registry loads no event loop, no validation library and no logging."""
    code = "import sys, processsupervisor.commands.registry; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout.split())
    assert not loaded & {"asyncio", "pydantic", "msgspec", "rich", "logging", "click", "dataclasses"}
