"""The bots as a table on the screen: a line each, under a head that stays.

Draws the lines that are seen, and of those the ones that changed: Textual's own DataTable draws every visible cell again when one changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from processsupervisor.cli.top.columns import Column, cells_of, columns_for, head_of
from processsupervisor.cli.top.model import Bot

_STATES = {
    "RUNNING": "green", "PAUSED": "yellow", "STOPPED": "grey62", "TERMINATED": "grey62", "FAILED": "bold red",
    "RECOVERING": "yellow", "UNKNOWN": "bold magenta",
}  # fmt: skip
_HEALTHS = {"healthy": "green", "settling": "yellow", "unhealthy": "bold red", "offline": "bold red"}
_BEGUN = "cyan"
_QUIET = "grey62"
_CURSOR = Style(bgcolor="#264f78", bold=True)
_CURSOR_WITHOUT_COLOUR = Style(reverse=True)


class FleetTable(ScrollView, can_focus=True):
    """`show` gives it the bots; the cursor stays with its bot wherever that moves to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    class Moved(Message):
        """The cursor stands on another bot."""

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[Column] = []
        self._lines: list[tuple[str, ...]] = []
        self._styles: list[tuple[str, str]] = []
        self._names: list[str] = []
        self._selected: frozenset[str] = frozenset()
        self._row = 0

    @property
    def cursor(self) -> str | None:
        """Return the name of the bot under the cursor."""
        return self._names[self._row] if self._row < len(self._names) else None

    @property
    def names(self) -> list[str]:
        """Return the bots of the table, from the top."""
        return list(self._names)

    @property
    def visible_names(self) -> list[str]:
        """Return the bots that are seen now."""
        return self._names[self.scroll_offset.y : self.scroll_offset.y + max(0, self.size.height - 1)]

    def show(self, bots: Sequence[Bot], selected: frozenset[str]) -> None:
        """Show these bots in this order."""
        before, names = self.cursor, [bot.name for bot in bots]
        columns = columns_for(self.size.width, names)
        is_new = [(c.head, c.width) for c in columns] != [(c.head, c.width) for c in self._columns]
        self._columns = columns if is_new else self._columns
        lines = [cells_of(bot, self._columns) for bot in bots]
        styles = [_styles_of(bot) for bot in bots]
        old = list(zip(self._names, self._lines, self._styles, (name in self._selected for name in self._names), strict=True))
        self._names, self._lines, self._styles, self._selected = names, lines, styles, selected
        new = list(zip(names, lines, styles, (name in selected for name in names), strict=True))
        row, self._row = self._row, self._row_of(before)
        if is_new or len(new) != len(old):
            self.virtual_size = Size(self.size.width, len(new) + 1)
            self.refresh()
        else:
            for number in {n for n in range(len(new)) if new[n] != old[n]} | ({row, self._row} if row != self._row else set()):
                self._refresh_row(number)
        if row != self._row:
            self._follow_cursor()
        if self.cursor != before:
            self.post_message(self.Moved())

    def _row_of(self, name: str | None) -> int:
        if name in self._names:
            return self._names.index(name)
        return max(0, min(self._row, len(self._names) - 1))

    def _refresh_row(self, number: int) -> None:
        y = number - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # -- the cursor

    def action_move(self, by: int) -> None:
        """Move the cursor by lines."""
        self._go_to(self._row + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by screens."""
        self._go_to(self._row + by * max(1, self.size.height - 2))

    def _go_to(self, row: int) -> None:
        row = max(0, min(row, len(self._names) - 1))
        if row == self._row or not self._names:
            return
        before, self._row = self._row, row
        self._refresh_row(before)
        self._refresh_row(row)
        self._follow_cursor()
        self.post_message(self.Moved())

    def _follow_cursor(self) -> None:
        height = max(1, self.size.height - 1)
        first = self.scroll_offset.y
        if self._row < first:
            self.scroll_to(y=self._row, animate=False)
        elif self._row >= first + height:
            self.scroll_to(y=self._row - height + 1, animate=False)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line that was clicked."""
        if event.y >= 1:
            self._go_to(min(self.scroll_offset.y + event.y - 1, len(self._names) - 1))

    # -- drawing

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget."""
        width, base = self.size.width, self.rich_style
        if y == 0:
            return self._strip([Segment(head_of(self._columns), base + Style(bold=True, underline=True))], base + Style(underline=True))
        number = self.scroll_offset.y + y - 1
        if number >= len(self._names):
            return Strip.blank(width, base)
        is_here = number == self._row
        if is_here:
            base += _CURSOR_WITHOUT_COLOUR if self.app.no_color else _CURSOR
        mark = ("●" if self._names[number] in self._selected else " ") + ("▸" if is_here else " ")
        state, health = self._styles[number]
        segments = [Segment(mark, base + Style(color="yellow"))]
        for column, text in zip(self._columns, self._lines[number], strict=True):
            colour = {"STATE": state, "HEALTH": health, "CPU": _BEGUN, "WHY": "" if is_here else _QUIET}.get(column.head, "")
            segments.append(Segment(text + " ", base + Style.parse(colour) if colour else base))
        return self._strip(segments, base)

    def _strip(self, segments: list[Segment], base: Style) -> Strip:
        return Strip(segments).adjust_cell_length(self.size.width, base)


def _styles_of(bot: Bot) -> tuple[str, str]:
    health = "offline" if bot.row.get("connected") is False else str(bot.row.get("health"))
    return _STATES.get(bot.state, _BEGUN), _HEALTHS.get(health, _QUIET)
