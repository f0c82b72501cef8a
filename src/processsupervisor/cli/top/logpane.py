"""The lower part of the screen: log lines, the newest at the bottom; `!` before what was written to stderr."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from processsupervisor.cli.session import safe
from processsupervisor.process.logreader import LogLine

_MOST_LINES = 2000
_NAMES = ("cyan", "green", "yellow", "magenta", "bright_blue", "bright_red")
_ERROR, _GAP, _RULE = "bold red", "yellow", "grey50"
_LONGEST_NAME = 24


class LogPane(ScrollView, can_focus=True):
    """Keeps the newest lines; goes along with what comes unless it was scrolled up."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=_MOST_LINES)
        self._bots: list[str] = []
        self._name_width = 0
        self._is_at_end = True

    def begin(self, bots: Sequence[str]) -> None:
        """Show nothing, until lines of these bots come."""
        self._lines.clear()
        self._bots = list(bots)
        self._name_width = min(_LONGEST_NAME, max(map(len, bots), default=0)) if len(bots) > 1 else 0
        self._is_at_end = True
        self._fit()

    def add(self, lines: Iterable[LogLine]) -> None:
        """Add lines that came."""
        self._lines.extend(lines)
        self._fit()

    @property
    def texts(self) -> list[str]:
        """Return the lines as they are drawn, without colours."""
        return ["".join(part for part, _ in self._parts(line)) for line in self._lines]

    def _fit(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines))
        if self._is_at_end:
            self.scroll_to(y=self.max_scroll_y, animate=False)
        self.refresh()

    def on_resize(self) -> None:
        """Stay at the end."""
        self._fit()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Note whether somebody scrolled away from the end, or back to it."""
        super().watch_scroll_y(old_value, new_value)
        self._is_at_end = new_value >= self.max_scroll_y - 1

    def _parts(self, line: LogLine) -> list[tuple[str, str]]:
        text = safe(line.text).expandtabs(4)
        is_aside = line.is_gap or line.stream == "stderr"
        words = [("! " if is_aside else "| ", _ERROR if is_aside else _RULE), (text, _GAP if line.is_gap else "")]
        if not self._name_width:
            return words
        colour = _NAMES[self._bots.index(line.bot) % len(_NAMES)] if line.bot in self._bots else ""
        return [(f"{line.bot[: self._name_width].ljust(self._name_width)} ", colour), *words]

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget."""
        base, number = self.rich_style, self.scroll_offset.y + y
        if number >= len(self._lines):
            return Strip.blank(self.size.width, base)
        left, segments = self.size.width, []
        for text, colour in self._parts(self._lines[number]):
            text = text[:left]  # a cell holds a character at most: what is wider is cut by the strip
            segments.append(Segment(text, base + Style.parse(colour) if colour else base))
            left -= cell_len(text)
            if left <= 0:
                break
        return Strip(segments).adjust_cell_length(self.size.width, base)
