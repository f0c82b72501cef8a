"""What comes over the table: a question, the help, and all that is known of a bot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from processsupervisor.cli.bots import block_of
from processsupervisor.cli.session import safe
from processsupervisor.cli.top.acts import begin
from processsupervisor.cli.top.model import Row
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths

HELP = """\
up down j k, page up, page down, home, end   go to another bot
space        select the bot, or let it go         a    select all that are shown
escape       end the filter, then let all go      tab  to the logs and back

s  start     x  stop     r  restart     p  pause     u  resume
   these act on the selected bots, else on the one under the cursor; they ask before
   they interrupt more than one

/  filter: words that stand in name, type, kind, state, health or reason, or a glob
o  order: fleet.toml, state, CPU, memory, messages, restarts
i  inspect: all that psv bot status says                   enter  the same
l  logs on and off
q  quit; the bots go on

CPU%       of one core, since the last look, of the bot's first process
CPU        the same over the last looks: a bar from 1, 3, 6, 12, 25, 50 and 90 % on
MEMORY     PSS of that process, of what is seen some seconds old
MSG/MIN    messages that a native bot handled in the last minute; others count none
RESTARTS   those that nobody asked for"""
_REFRESH_S = 2.0


class Ask(ModalScreen[bool]):
    """A question; only y is yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q,enter", "answer(False)", "No"),
    ]

    def __init__(self, question: str, names: Sequence[str]) -> None:
        super().__init__()
        self._question, self._names = question, names

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False, classes="question")
            yield Static(", ".join(self._names), markup=False, classes="names")
            yield Static("y: yes   n: no", markup=False)

    def action_answer(self, is_yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(is_yes)


class Text(ModalScreen[None]):
    """A text to read, closed by escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i,enter,question_mark", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll(classes="dialog wide") as box:
            box.border_title = safe(self._title).replace("[", "(")
            box.border_subtitle = "escape closes"
            yield Static(self._text, markup=False, id="text")

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


class Inspect(Text):
    """All of `psv bot status NAME`, as it is now."""

    class Told(Message):
        """psvd has answered; posted from a thread."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, paths: FleetPaths, name: str) -> None:
        super().__init__(name, "…")
        self._paths, self._bot = paths, name
        self._is_asking = False

    def on_mount(self) -> None:
        """Look, now and then again."""
        self._look()
        self.set_interval(_REFRESH_S, self._look)

    def _look(self) -> None:
        if not self._is_asking:
            self._is_asking = True
            begin(lambda: self.post_message(self.Told(text_of_status(lambda: ask_status(self._paths, self._bot)))))

    def on_inspect_told(self, message: Told) -> None:
        """Show it."""
        self._is_asking = False
        self.query_one("#text", Static).update(message.text)


def ask_status(paths: FleetPaths, name: str) -> list[Row]:
    """Ask psvd for the bot's object of bot.status."""
    with ControlClient(paths) as client:
        rows: list[Row] = client.call("bot.status", {"names": [name]})
    return rows


def text_of_status(ask: Callable[[], list[Row]]) -> str:
    """Return what is known of a bot as text, or why it is not."""
    try:
        rows = ask()
    except (PsvError, OSError) as err:
        return safe(str(err))
    return "\n".join(safe(line) for row in rows for line in block_of(row))
