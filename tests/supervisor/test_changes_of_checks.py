"""Other health checks for a running fleet: a wrong one is found out by the first bot, and how often is asked changes nobody's process."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.supervisor.live import LiveFleet, eventually

pytestmark = pytest.mark.slow
NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def port() -> Iterator[int]:
    """A port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def sleepers(health: str) -> str:
    """Return six bots of one type with these checks: more than a small fleet, which has no canary."""
    head = f'[types.t]\ncommand = ["sleep", "1000"]\nready = {{ after = "0s" }}\nhealth = {{ {health} }}\n'
    return head + "".join(f'[bots.{name}]\ntype = "t"\n' for name in NAMES)


def pids(fleet: LiveFleet) -> dict[str, int]:
    return {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}


def test_a_wrong_check_disturbs_the_first_bot_only(fleet: LiveFleet, port: int, unused_tcp_port: int) -> None:
    """The check of a port at which nobody listens would end all six; one tries it, and everything is as it was."""
    fleet.canary_settle = "0s"
    fleet.configure(sleepers(f'tcp = {port}, every = "1s"'))
    fleet.up()
    eventually(lambda: all(bot["health"] == "healthy" for bot in fleet.call("bot.list")), "six healthy bots")
    before = pids(fleet)
    result = fleet.apply(sleepers(f'tcp = {unused_tcp_port}, every = "1s", fail_after = 1'), now=False)
    assert (result["ok"], result["result"]) == (False, "rolled-back")
    assert f"tcp {unused_tcp_port}" in result["message"]
    after = pids(fleet)
    assert [name for name in NAMES if after[name] != before[name]] == ["a"]
    result = fleet.apply(sleepers(f'tcp = {port}, every = "2s", timeout = "500ms"'), now=False)
    assert (result["ok"], pids(fleet)) == (True, after)
