"""Which lanes there are in the runs with messages in flight, and what they stand on: one fleet, one Bot API double."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.fleet import ChaosFleet, Shape
from tests.chaos.lanes import PROGRAMS, Lane, Promise
from tests.chaos.parlourlane import ParlourLane, install
from tests.chaos.people import Person
from tests.chaos.telegramlanes import BarePeer, NativeTelegram, ProxiedPeer, take_time
from tests.chaos.weblane import WebLane

from processsupervisor.testing.botapi.server import BotApi

MESSAGES = 50
_WEB_PEOPLE = 10
_LIBRARIES = {"aiogram": "flight_aiogram.py", "ptb": "flight_ptb.py"}

HEAD = """
    [global]
    restart = { initial = "0s", base = "0s", window = [] }
    start_timeout = "60s"
    env = { TAKES_S = "%g" }
"""
"""Restarts are immediate and never given up, so that kills alone decide; and how long a handler takes."""
TAKES_S = 0.3


def names() -> list[str]:
    """Return the names of all lanes."""
    return list(_makers())


@contextmanager
def crew(folder: Path, wanted: Sequence[str]) -> Iterator[tuple[ChaosFleet, list[Lane]]]:
    """Make the fleet's folder and the lanes; the double is there as long as the block runs."""
    fleet = ChaosFleet(folder, Shape(0, 0, 0))
    for program in ("flight.py", *_LIBRARIES.values()):
        shutil.copy(PROGRAMS / program, folder)
    install(folder)
    sys.path.insert(0, str(folder))  # the loader of fleet.toml looks there for the connector, as the bots do
    makers = _makers()
    with BotApi() as api:
        take_time(api)
        yield fleet, [makers[name](fleet, api, f"{10 + number}:{'t' * 35}", name) for number, name in enumerate(wanted)]


Maker = Callable[[ChaosFleet, BotApi, str, str], Lane]


def _makers() -> dict[str, Maker]:
    found: dict[str, Maker] = {
        "telegram": lambda fleet, api, token, name: NativeTelegram(Promise.MARKED, _people(name, MESSAGES), api, token, fleet, name),
        "telegram-most": lambda fleet, api, token, name: NativeTelegram(Promise.AT_MOST_ONCE, _people(name, MESSAGES), api, token, fleet, name),
        "parlour": lambda fleet, api, token, name: ParlourLane(name, _people(name, MESSAGES), fleet),
        "web": lambda fleet, api, token, name: WebLane(name, _people(name, _WEB_PEOPLE), fleet, MESSAGES // _WEB_PEOPLE),
    }
    for library, script in _LIBRARIES.items():
        found[f"{library}-bare"] = lambda fleet, api, token, name, script=script: BarePeer(name, _people(name, MESSAGES), api, token, script)
        found[f"{library}-proxied"] = lambda fleet, api, token, name, script=script: ProxiedPeer(
            name, _people(name, MESSAGES), api, token, script, fleet
        )
        found[f"{library}-again"] = lambda fleet, api, token, name, script=script: ProxiedPeer(
            name, _people(name, MESSAGES), api, token, script, fleet, "1m"
        )
    return found


def _people(name: str, count: int) -> list[Person]:
    return [Person(f"{name}.{number}") for number in range(count)]
