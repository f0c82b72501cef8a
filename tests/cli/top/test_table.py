"""Laws of the table, the logs and the dialogs as widgets: many bots, orders, scrolling, and as little drawing as possible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Server, control_server
from tests.cli.top.conftest import picture, states, summary, table, until
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.top.app import TopApp
from processsupervisor.cli.top.dialogs import Ask, Text
from processsupervisor.cli.top.model import Order
from processsupervisor.kernel.paths import FleetPaths

COUNT = 200
HEIGHT = 40


@pytest.fixture
def many(folder: Path) -> Iterator[FakeFleet]:
    """Two hundred bots behind a real control socket."""
    fleet = FakeFleet(str(folder))
    fleet.bots = {f"bot-{number:03}": "native" for number in range(COUNT)}
    fleet.state = dict.fromkeys(fleet.bots, "RUNNING")
    server: Server = control_server(folder, fleet)
    yield fleet
    server.close()


async def test_two_hundred_bots_are_walked_through(folder: Path, many: FakeFleet) -> None:
    """The cursor goes to the end and back with the table behind it, and stays with its bot when the order changes."""
    app = TopApp(FleetPaths(folder), every_s=0.5)
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        await until(pilot, lambda: len(states(pilot)) == COUNT and "bot-000" in picture(pilot), "all bots")
        assert "bot-199" not in picture(pilot)
        await pilot.press("end")
        await until(pilot, lambda: "bot-199" in picture(pilot) and table(pilot).cursor == "bot-199", "the last one")
        await pilot.press("pageup", "k")
        assert table(pilot).cursor not in ("bot-199", "bot-000") and table(pilot).cursor in table(pilot).visible_names
        await pilot.press("home")
        await until(pilot, lambda: "bot-000" in picture(pilot) and "bot-199" not in picture(pilot), "the first one")
        many.facts["bot-150"] = {"restarts": 9}
        while app.model.order is not Order.RESTARTS:
            await pilot.press("o")
        await until(pilot, lambda: table(pilot).names[0] == "bot-150", "the order by restarts")
        assert table(pilot).cursor == "bot-000" and "by restarts" in summary(pilot)


async def test_only_lines_that_changed_are_drawn(folder: Path, many: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that brings nothing new draws no line; one that changes a bot draws that bot's line."""
    app = TopApp(FleetPaths(folder), every_s=0.5)
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        await until(pilot, lambda: len(states(pilot)) == COUNT, "all bots")
        drawn: list[int] = []
        render_line = table(pilot).render_line

        def count(y: int) -> object:
            drawn.append(y)
            return render_line(y)

        for _ in range(30):  # the bars of a bot grow for a while
            app.model.measure(0.0, {})
        monkeypatch.setattr(table(pilot), "render_line", count)
        for _ in range(20):  # on a busy machine the screen is laid out once more, a while after the bots are there
            drawn.clear()
            app._show()
            app._show()
            await pilot.pause(0.2)
            if not drawn:
                break
        assert drawn == []
        many.facts["bot-003"] = {"restarts": 77}
        await until(pilot, lambda: "77" in picture(pilot), "the news")
        drawn.clear()
        app.model.bots["bot-005"].row = app.model.bots["bot-005"].row | {"restarts": 55}
        app._show()
        await pilot.pause(0.2)
        assert set(drawn) == {6}


async def test_all_are_selected_and_asked_for(folder: Path, many: FakeFleet) -> None:
    """What is asked names the number; escape is no; what the filter hides is not acted on."""
    app = TopApp(FleetPaths(folder), every_s=0.5)
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        await until(pilot, lambda: len(states(pilot)) == COUNT, "all bots")
        await pilot.press("a", "x")
        await until(pilot, lambda: isinstance(app.screen, Ask) and f"Stop {COUNT} bots?" in picture(pilot), "the question")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Ask), "no question")
        await pilot.press("slash", *"01?", "enter", "x")
        await until(pilot, lambda: isinstance(app.screen, Ask) is False and len(states(pilot)) == 0, "nothing matches 01?")
        await pilot.press("escape", "escape", "slash", *"bot-01*", "enter", "a", "x")
        await until(pilot, lambda: isinstance(app.screen, Ask) and "Stop 10 bots?" in picture(pilot), "the question for ten")
        await pilot.press("y")
        await until(pilot, lambda: many.state["bot-019"] == "STOPPED", "the stop")
        assert [name for name, state in many.state.items() if state == "STOPPED"] == [f"bot-01{number}" for number in range(10)]


async def test_help_names_every_key(folder: Path, many: FakeFleet) -> None:
    """Each key of the screen stands in the help, and escape closes it."""
    app = TopApp(FleetPaths(folder), every_s=0.5)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Text) and "quit; the bots go on" in picture(pilot), "the help")
        shown = picture(pilot)
        for words in ("s  start", "x  stop", "r  restart", "p  pause", "u  resume", "/  filter", "o  order", "i  inspect", "l  logs", "q  quit", "MSG/MIN"):
            assert words in shown, words
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Text), "the table")
