"""A live fleet for the screen, and waiting for what the screen shows while its loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.supervisor.live import PATIENCE_S, LiveFleet
from textual.pilot import Pilot
from textual.widgets import Static

from processsupervisor.cli.top.app import TopApp
from processsupervisor.cli.top.logpane import LogPane
from processsupervisor.cli.top.table import FleetTable


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveFleet]:
    """An empty fleet folder with a runtime folder of its own, ended whatever happens."""
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    folder = tmp_path / "live"
    folder.mkdir()
    fleet = LiveFleet(folder)
    try:
        yield fleet
    finally:
        fleet.stop()


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Let the screen run until a condition holds; fails with `what` and the screen at the deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}\n{picture(pilot)}"
        await pilot.pause(0.05)


def picture(pilot: Pilot[None]) -> str:
    """Return what stands on the screen, as text."""
    width, height = pilot.app.size
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip()[:width] for strip in lines[:height])


def states(pilot: Pilot[None]) -> dict[str, str]:
    """Return the state of each bot that the screen shows."""
    app = pilot.app
    assert isinstance(app, TopApp)
    return {name: app.model.bots[name].state for name in table(pilot).names}


def said(pilot: Pilot[None]) -> str:
    """Return what the screen has told of late, in the corner."""
    return "\n".join(notice.message for notice in pilot.app._notifications)


def table(pilot: Pilot[None]) -> FleetTable:
    """Return the table of the screen."""
    return pilot.app.screen_stack[0].query_one(FleetTable)


def logs(pilot: Pilot[None]) -> list[str]:
    """Return the log lines of the screen."""
    return pilot.app.screen_stack[0].query_one(LogPane).texts


def summary(pilot: Pilot[None]) -> str:
    """Return the line above the table."""
    return str(pilot.app.screen_stack[0].query_one("#summary", Static).render())
