"""The table as text: which columns a width has room for, and what stands in them. Pure; widths are cells of a terminal, not characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from processsupervisor.cli.bots import summary, unwell
from processsupervisor.cli.session import safe
from processsupervisor.cli.top.model import Bot, restarts
from processsupervisor.cli.top.rates import bars
from processsupervisor.kernel.units import format_bytes

LEAST_COLUMNS = 40
_LONGEST_NAME, _LONGEST_NAME_WIDE, _LEAST_NAME = 24, 40, 8
_WIDE = 150
_LEAST_WHY = 16
_MARK = 2


class Column(NamedTuple):
    """One column: its head, its width, and how a bot fills it."""

    head: str
    width: int
    text: Callable[[Bot], str]
    is_right: bool = False

    def fit(self, text: str) -> str:
        """Return `text` in just this width; what is cut off ends with an ellipsis."""
        text = cut(text, self.width)
        return " " * (self.width - cell_len(text)) + text if self.is_right else set_cell_size(text, self.width)


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def columns_for(width: int, names: Iterable[str]) -> list[Column]:
    """Return the columns for a screen of `width` cells; the least important go first when there is not room for all."""
    longest = max((cell_len(safe(name)) for name in names), default=0)
    name_width = min(max(longest, _LEAST_NAME), _LONGEST_NAME_WIDE if width >= _WIDE else _LONGEST_NAME)
    trend_width = 20 if width >= _WIDE else 12
    by_rank = [
        Column("STATE", 12, lambda bot: bot.state),
        Column("CPU%", 6, _cpu, True),
        Column("MEMORY", 8, lambda bot: format_bytes(bot.memory_bytes), True),
        Column("HEALTH", 9, _health),
        Column("MSG/MIN", 7, _messages, True),
        Column("RESTARTS", 8, lambda bot: str(restarts(bot)), True),
        Column("CPU", trend_width, lambda bot: bars(bot.trend, trend_width)),
    ]
    left = width - _MARK - min(name_width, max(_LEAST_NAME, width // 4)) - 1
    chosen = []
    for column in by_rank:
        if left < column.width + 1:
            break
        chosen.append(column)
        left -= column.width + 1
    name_width = min(name_width, max(_LEAST_NAME, width // 4) + max(0, left))
    left = width - _MARK - (name_width + 1) - sum(column.width + 1 for column in chosen)
    order = ("STATE", "HEALTH", "MEMORY", "CPU%", "CPU", "RESTARTS", "MSG/MIN")
    found = [Column("NAME", name_width, lambda bot: safe(bot.name)), *sorted(chosen, key=lambda column: order.index(column.head))]
    if len(chosen) == len(by_rank) and left >= _LEAST_WHY:
        found.append(Column("WHY", left - 1, _why))
    return found


def head_of(columns: Iterable[Column]) -> str:
    """Return the line above the bots."""
    return " " * _MARK + " ".join(column.fit(column.head) for column in columns)


def cells_of(bot: Bot, columns: Iterable[Column]) -> tuple[str, ...]:
    """Return what stands in each column for one bot, cut and padded."""
    return tuple(column.fit(safe(column.text(bot))) for column in columns)


def _health(bot: Bot) -> str:
    if bot.row.get("connected") is False and bot.row.get("health") == "healthy":
        return "offline"
    return str(bot.row.get("health") or "-")


def _cpu(bot: Bot) -> str:
    return "-" if bot.cpu_percent is None else f"{bot.cpu_percent:.1f}"


def _messages(bot: Bot) -> str:
    rate = bot.messages_per_min
    if rate is None:
        return "-"
    return f"{rate:.1f}" if 0 < rate < 10 else f"{rate:.0f}"


def _why(bot: Bot) -> str:
    return summary(bot.row) or unwell(bot.row)
