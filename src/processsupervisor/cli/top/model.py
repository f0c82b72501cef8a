"""What the screen shows, without the screen: the bots as psvd lists them, with what was measured, filtered and in order. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from processsupervisor.cli.bots import reason_of
from processsupervisor.cli.top.rates import Rate

Row = dict[str, object]
_POINTS = 60
_BAD_FIRST = (
    "FAILED", "UNKNOWN", "RECOVERING", "STOPPING", "RESTARTING", "STARTING", "INITIALIZING", "PAUSING", "RESUMING", "PAUSED", "RUNNING",
)  # fmt: skip


class Measured(NamedTuple):
    """What one process costs now; `memory_age_s` says how old the memory is."""

    cpu_percent: float | None
    memory_bytes: int | None
    memory_age_s: float


class Order(StrEnum):
    """By what the bots stand; FLEET is that of fleet.toml."""

    FLEET = "fleet.toml"
    STATE = "state"
    CPU = "CPU"
    MEMORY = "memory"
    MESSAGES = "messages"
    RESTARTS = "restarts"

    def following(self) -> Order:
        """Return the next one, round and round."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(slots=True)
class Bot:
    """One bot. `row` is its object of bot.list; memory and CPU are the newest that anybody measured."""

    row: Row
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    messages_per_min: float | None = None
    trend: deque[float | None] = field(default_factory=lambda: deque(maxlen=_POINTS))
    rate: Rate = field(default_factory=Rate)

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.row.get("name"))

    @property
    def state(self) -> str:
        """Return its state in the lifecycle."""
        return str(self.row.get("state"))


class Model:
    """The bots that were asked for: `names` are globs (none: all), `type_name` a type."""

    def __init__(self, names: Sequence[str] = (), type_name: str | None = None) -> None:
        self._names, self._type = tuple(names), type_name
        self.bots: dict[str, Bot] = {}
        self.words: tuple[str, ...] = ()
        self.order = Order.FLEET

    def take_all(self, rows: Iterable[Row]) -> None:
        """Take the whole list of bots; those that are not in it are gone."""
        before, self.bots = self.bots, {}
        for row in filter(self._is_wanted, rows):
            bot = before.get(str(row.get("name"))) or Bot(row)
            bot.row = row
            self.bots[bot.name] = bot

    def take_some(self, rows: Iterable[Row]) -> None:
        """Take the objects of a few bots, between two whole lists."""
        for row in rows:
            if (bot := self.bots.get(str(row.get("name")))) is not None:
                bot.row = row

    def measure(self, at_s: float, measured: Mapping[str, Measured]) -> None:
        """Take one point of every figure; what could not be measured here is shown as psvd knows it. `at_s` is monotonic."""
        for name, bot in self.bots.items():
            _measure(bot, at_s, measured.get(name))

    def shown(self) -> list[Bot]:
        """Return the bots that pass the filter, in order."""
        found = [bot for bot in self.bots.values() if all(_matches(bot, word) for word in self.words)]
        match self.order:
            case Order.STATE:
                found.sort(key=lambda bot: (bot.row.get("health") != "unhealthy", _rank(bot.state)))
            case Order.CPU:
                found.sort(key=lambda bot: -(bot.cpu_percent or 0.0))
            case Order.MEMORY:
                found.sort(key=lambda bot: -(bot.memory_bytes or 0))
            case Order.MESSAGES:
                found.sort(key=lambda bot: -(bot.messages_per_min or 0.0))
            case Order.RESTARTS:
                found.sort(key=lambda bot: -restarts(bot))
        return found

    def counts(self) -> dict[str, int]:
        """Return how many bots are in each state, the most frequent first."""
        found: dict[str, int] = {}
        for bot in self.bots.values():
            found[bot.state] = found.get(bot.state, 0) + 1
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def keep(self, names: Collection[str]) -> set[str]:
        """Return those of `names` that are still there."""
        return {name for name in names if name in self.bots}

    @property
    def is_narrowed(self) -> bool:
        """Tell whether only some bots were asked for."""
        return bool(self._names) or self._type is not None

    def _is_wanted(self, row: Row) -> bool:
        is_named = not self._names or any(fnmatchcase(str(row.get("name")), name) for name in self._names)
        return is_named and (self._type is None or row.get("type") == self._type)


def restarts(bot: Bot) -> int:
    """Return how often a bot was restarted without being asked to."""
    count = bot.row.get("restarts")
    return count if isinstance(count, int) else 0


def _matches(bot: Bot, word: str) -> bool:
    """Tell whether a word of the filter stands in name, type, kind, state, health or reason, or is a glob of the name."""
    word = word.casefold()
    fields = (*(bot.row.get(key) for key in ("name", "type", "kind", "state", "health")), reason_of(bot.row))
    return fnmatchcase(bot.name.casefold(), word) or any(word in str(value).casefold() for value in fields if value is not None)


def _measure(bot: Bot, at_s: float, measured: Measured | None) -> None:
    generation, count = bot.row.get("generation"), bot.row.get("messages")
    bot.rate.take(at_s, generation if isinstance(generation, int) else 0, count if isinstance(count, int) else None)
    bot.messages_per_min = bot.rate.per_minute(at_s)
    has_process = bot.row.get("pid") is not None
    if measured is None:
        bot.cpu_percent = _number(bot.row.get("cpu_percent")) if has_process else None
        bot.memory_bytes = _whole(bot.row.get("memory_bytes")) if has_process else None
    else:
        bot.cpu_percent = measured.cpu_percent
        told, age_s = _whole(bot.row.get("memory_bytes")), _number(bot.row.get("memory_age_s"))
        is_ours = measured.memory_bytes is not None and (told is None or age_s is None or measured.memory_age_s <= age_s)
        bot.memory_bytes = measured.memory_bytes if is_ours else told
    bot.trend.append(bot.cpu_percent)


def _rank(state: str) -> int:
    return _BAD_FIRST.index(state) if state in _BAD_FIRST else len(_BAD_FIRST)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
