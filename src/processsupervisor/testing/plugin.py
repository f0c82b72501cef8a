"""The pytest plugin: the fixture `lab`, and async tests that take it run on its loop and clock, without any other plugin.

The bot is what a fixture `bot` of the test's own returns: a Bot, or "module:bot". Settings are the marker's:
`@pytest.mark.lab(options={…}, chat={…})`. Loaded in every pytest run where processsupervisor is installed, so it imports nothing else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from processsupervisor.testing.lab import Lab

pytest.register_assert_rewrite("processsupervisor.testing.people", "processsupervisor.testing.connectorlaw")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "lab(**settings): settings of the fixture lab: options, chat, name, network, start")


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Return a Lab with the bot of the fixture `bot`."""
    from processsupervisor.testing.lab import Lab

    try:
        bot = request.getfixturevalue("bot")
    except pytest.FixtureLookupError:
        pytest.fail('the fixture lab needs a fixture bot that returns your Bot, or "module:bot"', pytrace=False)
    marker = request.node.get_closest_marker("lab")
    with Lab(bot, **(marker.kwargs if marker is not None else {})) as made:
        yield made


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> Generator[None, Any, Any]:
    """Turn async tests that take `lab` into plain ones, innermost: the plugins that look for async tests see nothing of them."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj) and _takes_our_lab(item):
            item.obj = _on_lab_loop(item.obj)
    return made


def _takes_our_lab(item: pytest.Function) -> bool:
    """Tell whether `lab` is the fixture above: somebody else's of that name is none of our business."""
    found = item._fixtureinfo.name2fixturedefs.get("lab")
    return found is not None and inspect.unwrap(found[-1].func).__module__ == __name__


def _on_lab_loop(function: Any) -> Any:
    @functools.wraps(function)
    def run(*args: Any, lab: Lab, **keys: Any) -> None:
        takes_lab = "lab" in inspect.signature(function).parameters
        lab.run(function(*args, **keys, **({"lab": lab} if takes_lab else {})))

    return run
