"""Tables for people: aligned plain text in a pipe, rich with colours when they meet a terminal and NO_COLOR is unset.

rich costs 30 ms to import; that is why it is imported only for a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from processsupervisor.cli.session import is_terminal, safe

_TEXT_WIDTH = 24
_LEAST_TEXT_WIDTH = 8
_COLOURS = {
    "RUNNING": "green",
    "PAUSED": "yellow",
    "STOPPED": "bright_black",
    "FAILED": "bold red",
    "RECOVERING": "yellow",
    "UNKNOWN": "bold magenta",
    "TERMINATED": "bright_black",
    "healthy": "green",
    "settling": "yellow",
    "unhealthy": "red",
}


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print `rows` under `header`; the columns named in `right` are right-aligned."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if is_terminal() and os.environ.get("TERM") != "dumb":
        _print_rich(header, cells, right)
    else:
        sys.stdout.writelines(line + "\n" for line in plain_lines(header, cells, right))


def plain_lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """Return the header and rows as lines with columns two spaces apart and no trailing space."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        parts = [cell.rjust(width) if name in right else cell.ljust(width) for cell, width, name in zip(row, widths, header, strict=True)]
        lines.append("  ".join(parts).rstrip())
    return lines


def _print_rich(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", show_edge=False)
    for position, name in enumerate(header):
        # Short cells (names, states, pids) are what a person acts on and never cut; long text gives way by wrapping.
        width = max(len(row[position]) for row in (header, *rows))
        is_text = width > _TEXT_WIDTH or (position == len(header) - 1 and name not in right)
        table.add_column(
            Text(name),
            justify="right" if name in right else "left",
            no_wrap=not is_text,
            overflow="fold",
            min_width=min(width, _LEAST_TEXT_WIDTH) if is_text else width,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False, no_color="NO_COLOR" in os.environ or None).print(table)
