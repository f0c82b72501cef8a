"""The words around the table: the line above it, what stands in its place when there is nothing to show, the head of the logs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from processsupervisor.cli.session import safe
from processsupervisor.cli.top.columns import LEAST_COLUMNS
from processsupervisor.cli.top.model import Model, Order
from processsupervisor.kernel.units import format_bytes

LEAST_LINES = 8
_NAMED_IN_TITLE = 4
_COLOURS = {"RUNNING": "green", "FAILED": "bold red", "UNKNOWN": "bold magenta", "STOPPED": "grey62", "TERMINATED": "grey62"}


def summary_of(fleet: str, model: Model, shown: int, selected: int, away: str | None) -> Text:
    """Return the line above the table; `away` is what is known of a psvd that does not answer, None while it does."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(safe(fleet), style="bold")
    if away is not None:
        text.append("  no supervisor, waiting", style="bold red")
        text.append(f"  {safe(away)}" if away else "", style="yellow")
        return text
    text.append(f"  {len(model.bots)} bot{'' if len(model.bots) == 1 else 's'}:")
    for state, count in model.counts().items():
        text.append(f" {count} {state}", style=_COLOURS.get(state, "yellow"))
    bots = model.bots.values()
    if model.words:
        text.append(f"  filter: {safe(' '.join(model.words))} ({shown})", style="yellow")
    if model.order is not Order.FLEET:
        text.append(f"  by {model.order}", style="yellow")
    if selected:
        text.append(f"  {selected} selected", style="yellow")
    cpu_percent, memory_bytes = sum(bot.cpu_percent or 0.0 for bot in bots), sum(bot.memory_bytes or 0 for bot in bots)
    text.append(f"  CPU {cpu_percent:.0f}%  memory {format_bytes(memory_bytes)}")
    if any(bot.messages_per_min is not None for bot in bots):
        text.append(f"  {sum(bot.messages_per_min or 0.0 for bot in bots):.0f} messages/min")
    return text


def bare_text(model: Model, is_known: bool, folder: str) -> str:
    """Return what stands where the bots would, when none is shown."""
    if not is_known:
        return f"Waiting for the supervisor of {safe(folder)}. Start it with: psv up"
    if model.bots:
        return "No bot passes the filter; escape ends it."
    if model.is_narrowed:
        return "This fleet has no such bot; see psv ls."
    return "This fleet has no bots. Add one: psv bot add NAME -- COMMAND"


def log_title(followed: Sequence[str]) -> str:
    """Return the head of the logs."""
    if not followed:
        return "logs"
    more = f" and {len(followed) - _NAMED_IN_TITLE} more" if len(followed) > _NAMED_IN_TITLE else ""
    return f"logs of {', '.join(followed[:_NAMED_IN_TITLE])}{more}"


def too_small(width: int, height: int) -> str:
    """Return what is said of a terminal that is too small, empty when it is not."""
    if width >= LEAST_COLUMNS and height >= LEAST_LINES:
        return ""
    return f"psv top needs {LEAST_COLUMNS} columns and {LEAST_LINES} lines; here are {width} and {height}. q quits."
