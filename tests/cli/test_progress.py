"""Laws of what `psv up` prints in the foreground; the keeper it watches is this test's own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import control_server, environment
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.progress import talk_hint
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths


def change(bot: str, to: str, reason: str | None = None) -> dict[str, object]:
    return {"kind": "transition", "bot": bot, "from": "STARTING", "to": to, "reason": reason, "at": 1.0}


class Printer:
    """The real progress process and what it has printed so far."""

    def __init__(self, folder: Path, keeper: int) -> None:
        argv = [sys.executable, "-m", "processsupervisor.cli.progress", str(folder), str(keeper)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment())
        self.shown: list[str] = []

    def expect(self, text: str) -> None:
        assert self.process.stdout is not None
        while not self.shown or text not in self.shown[-1]:
            line = self.process.stdout.readline()
            assert line, f"{text!r} was not printed, but {self.shown}"
            self.shown.append(line.rstrip("\n"))

    def rest(self) -> list[str]:
        shown, _ = self.process.communicate(timeout=20)
        return self.shown + shown.splitlines()


@pytest.fixture
def printers() -> Iterator[list[Printer]]:
    """Printers that are ended with the test."""
    started: list[Printer] = []
    yield started
    for printer in started:
        printer.process.kill()
        printer.process.communicate()


def test_a_start_from_nothing_to_down(fleet: FakeFleet, folder: Path, printers: list[Printer]) -> None:
    """A line a bot as it becomes ready or fails, the page's address, the hints, and at the end the count."""
    fleet.state = dict.fromkeys(fleet.bots, "STARTING")
    fleet.watched = [change("bob", "RUNNING"), change("alice", "FAILED", "start-failed"), change("legacy", "RUNNING")]
    write_json(FleetPaths(folder).applied, {"fleet": {"hints": ["ask it: psv chat bob hello"]}})
    printer = Printer(folder, os.getpid())
    printers.append(printer)
    shown = printer.rest()
    assert shown[0].startswith("bob  ready after ")
    assert shown[1] == "alice  FAILED: start-failed; see psv bot status alice"
    assert shown[2].startswith("legacy  ready after ")
    assert shown[3:] == ["web http://127.0.0.1:8450/", "ask it: psv chat bob hello", "stopped 3 bots"]


def test_it_outlives_psvd(folder: Path, printers: list[Printer]) -> None:
    """A psvd that is gone is waited for; what its successor tells anew is not said twice."""
    first = FakeFleet()
    first.is_endless = True
    server = control_server(folder, first)
    printer = Printer(folder, os.getpid())
    printers.append(printer)
    printer.expect("web ")
    server.close()
    second = FakeFleet()
    second.state["bob"] = "PAUSED"
    server = control_server(folder, second)
    try:
        shown = printer.rest()
    finally:
        server.close()
    assert shown[-2:] == ["bob  paused", "stopped 3 bots"]
    assert sum(line.startswith("alice") for line in shown) == 1


def test_ctrl_c_is_answered_and_not_obeyed(fleet: FakeFleet, folder: Path, printers: list[Printer]) -> None:
    """SIGINT prints that the fleet stops; the printer goes on until the sockets are gone."""
    fleet.is_endless = True
    printer = Printer(folder, os.getpid())
    printers.append(printer)
    printer.expect("web ")
    printer.process.send_signal(signal.SIGINT)
    printer.expect("stopping 3 bots")
    printer.process.send_signal(signal.SIGINT)
    assert printer.process.poll() is None


def test_end_of_the_keeper(fleet: FakeFleet, folder: Path, tmp_path: Path) -> None:
    """When the keeper is killed, the printer says so and ends; the bots are not counted as stopped."""
    fleet.is_endless = True
    keeper = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "processsupervisor.cli.progress", {str(folder)!r}, str(os.getpid())])
sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", keeper], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("web "):
            process.kill()
            break
    rest = process.stdout.read().splitlines()
    process.communicate()
    assert rest == ["the keeper is gone; bots go on without it: bring it back with psv up"]


@pytest.mark.parametrize(
    ("bots", "hints", "said"),
    [
        ({"bob": "native", "old": "script"}, [], ["talk to it: psv -C x chat bob"]),
        (dict.fromkeys("abcde", "native"), [], ["talk to one of them: psv -C x chat NAME (a, b, c and 2 more)"]),
        ({"a": "native", "b": "native"}, ["see the logs"], ["talk to one of them: psv -C x chat NAME (a, b)"]),
        ({"bob": "native"}, ["ask it: psv chat bob hello"], []),
        ({"old": "script"}, [], []),
    ],
)
def test_who_can_be_talked_to_is_said(folder: Path, bots: dict[str, str], hints: list[str], said: list[str]) -> None:
    """With the command, unless the fleet's own hints have it."""
    paths = FleetPaths(folder)
    write_json(paths.applied, {"fleet": {"hints": hints}, "bots": [{"name": name, "kind": kind} for name, kind in bots.items()]})
    assert talk_hint(paths, "psv -C x") == said
