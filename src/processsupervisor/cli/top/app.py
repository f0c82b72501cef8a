"""The screen of `psv top`: a summary, the table, the logs of the chosen bots, and the keys.

What it shows is model.py's, which feed.py feeds; nothing here blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import ClassVar

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Footer, Input, Static

from processsupervisor.cli.logs import read_specs, secrets_of
from processsupervisor.cli.top.acts import ACTS, Act, Outcome, begin, carry_out
from processsupervisor.cli.top.dialogs import HELP, Ask, Inspect, Text
from processsupervisor.cli.top.feed import Feed, News
from processsupervisor.cli.top.layout import CSS
from processsupervisor.cli.top.logpane import LogPane
from processsupervisor.cli.top.model import Model
from processsupervisor.cli.top.summary import bare_text, log_title, summary_of, too_small
from processsupervisor.cli.top.table import FleetTable
from processsupervisor.cli.top.tail import Tail
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths

_LINES_WITH_LOGS = 14
_CURSOR_RESTS_S = 0.15
_FILTER_HINT = "words or a glob; enter keeps the filter, escape ends it"


class TopApp(App[None]):
    """One run of `psv top`."""

    ENABLE_COMMAND_PALETTE = False
    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit", key_display="q"),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        *(Binding(key, f"act('{name}')", ACTS[name].word) for key, name in zip("sxrpu", ACTS, strict=True)),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("i,enter", "inspect", "Inspect", key_display="i"),
        Binding("space", "select", "Select", key_display="space"),
        Binding("o", "order", "Order"),
        Binding("l", "logs", "Logs"),
        Binding("a", "select_all", show=False),
        Binding("ctrl+z", "suspend_process", show=False),
        Binding("escape", "let_go", show=False),
    ]

    class Came(Message):
        """A look of the feed has ended; posted from its thread."""

        def __init__(self, news: News) -> None:
            super().__init__()
            self.news = news

    class Answered(Message):
        """psvd, or whoever spoke in its place, has answered a key; posted from a thread."""

        def __init__(self, names: Sequence[str], outcome: Outcome) -> None:
            super().__init__()
            self.names, self.outcome = names, outcome

    def __init__(self, paths: FleetPaths, names: Sequence[str] = (), type_name: str | None = None, every_s: float = 2.0) -> None:
        super().__init__(ansi_color="NO_COLOR" in os.environ or None)  # with it no colour is sent at all; Textual would send greys
        self._paths = paths
        self.model = Model(names, type_name)
        self.selected: set[str] = set()
        """The bots that were selected; those that the filter hides are neither shown nor acted on."""
        self._feed = Feed(paths, every_s, lambda news: self.post_message(self.Came(news)))
        self.away: str | None = ""
        """What is known of a psvd that does not answer, None while it does."""
        self._is_known = False
        self._wants_logs = True
        self.followed: tuple[str, ...] = ()
        """The bots whose logs are shown."""
        self._fleet_name = _fleet_name(paths)
        # Kept here and not looked up: news may come while the screen is being taken down.
        self._small, self._bare = Static("", markup=False, id="small"), Static("", markup=False, id="bare")
        self._summary, self._log_title = Static("", id="summary"), Static("", markup=False, id="log-title")
        self._table, self._pane = FleetTable(), LogPane()
        self._filter = Input(placeholder=_FILTER_HINT, id="filter", classes="hidden", compact=True)

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield from (self._small, self._summary, self._table, self._bare, self._log_title, self._pane, self._filter)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self._base = self.screen
        self._table.focus()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError, RuntimeError):  # only the main thread can
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.app_resume_signal.subscribe(self, lambda _: self._draw_all())
        self._feed.start()
        self.run_worker(self._feed.follow(), name="events")
        self._show()

    def on_unmount(self) -> None:
        """Look no more."""
        self._feed.close()

    def _draw_all(self) -> None:
        """Draw every line anew: the shell has written over them while this was suspended."""
        for screen in self.screen_stack:
            for widget in screen.query("*"):
                widget.refresh()

    # -- what is shown

    def on_top_app_came(self, message: Came) -> None:
        """Take what the feed brought."""
        news = message.news
        if news.rows is None:
            self.away = news.why
        else:
            if self.away is not None:
                self._fleet_name = _fleet_name(self._paths)
            self.away, self._is_known = None, True
            (self.model.take_all if news.is_whole else self.model.take_some)(news.rows)
        if news.is_turn:
            self.model.measure(news.at_mono, news.measured)
        self._show()

    def _show(self) -> None:
        """Bring the screen up to date; the table draws only what has changed."""
        shown = self.model.shown()
        self.selected &= self.model.bots.keys()
        self._table.show(shown, frozenset(self.selected))
        self._feed.shown = frozenset(self._table.visible_names)
        text = summary_of(self._fleet_name, self.model, len(shown), len(self._chosen()), self.away)
        self._summary.update(text)
        self._base.set_class(not shown, "bare")
        if not shown:
            self._bare.update(bare_text(self.model, self._is_known, str(self._paths.folder)))
        self._follow()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out for another size."""
        small = too_small(event.size.width, event.size.height)
        self._small.update(small)
        self.screen_stack[0].set_class(bool(small), "small")
        self.screen_stack[0].set_class(not self._wants_logs or event.size.height < _LINES_WITH_LOGS, "low")
        self.call_after_refresh(self._show)

    # -- logs

    def on_fleet_table_moved(self) -> None:
        """Follow the cursor."""
        self._feed.shown = frozenset(self._table.visible_names)
        self._follow()

    def _follow(self) -> None:
        chosen = tuple(self._targets())
        if chosen != self.followed:
            self.followed = chosen
            self._log_title.update(log_title(chosen))
            self._follow_logs(chosen)

    @work(exclusive=True, group="logs")
    async def _follow_logs(self, names: tuple[str, ...]) -> None:
        await asyncio.sleep(_CURSOR_RESTS_S)  # a cursor on its way opens no files
        self._pane.begin(names)
        secrets = await asyncio.to_thread(lambda: secrets_of(self._paths, read_specs(self._paths), names))
        tail = Tail(self._paths, names, secrets)
        try:
            while names:
                if self._pane.display and (lines := await asyncio.to_thread(tail.look)):
                    self._pane.add(lines)
                await asyncio.sleep(tail.look_every_s)
        finally:
            tail.close()

    def action_logs(self) -> None:
        """Show the logs, or not."""
        self._wants_logs = not self._wants_logs
        self._base.set_class(not self._wants_logs or self.size.height < _LINES_WITH_LOGS, "low")
        self.call_after_refresh(self._show)

    # -- choosing

    def _chosen(self) -> list[str]:
        """Return the selected bots that are shown."""
        return [name for name in self._table.names if name in self.selected]

    def _targets(self) -> list[str]:
        """Return the bots on which a key acts."""
        return self._chosen() or ([self._table.cursor] if self._table.cursor is not None else [])

    def action_select(self) -> None:
        """Select the bot under the cursor, or let it go, and go on to the next."""
        if self._table.cursor is not None:
            self.selected ^= {self._table.cursor}
            self._table.action_move(1)
            self._show()

    def action_select_all(self) -> None:
        """Select every bot that is shown."""
        self.selected |= set(self._table.names)
        self._show()

    def action_let_go(self) -> None:
        """End the filter; without one, let the selected bots go."""
        if self.model.words or self._filter.has_focus:
            self._filter.value, self.model.words = "", ()
            self._leave_filter()
        else:
            self.selected = set()
        self._show()

    def action_filter(self) -> None:
        """Ask for words."""
        self._filter.remove_class("hidden")
        self._filter.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.model.words = tuple(event.value.split())
        self._show()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self._filter.add_class("hidden")
        self._table.focus()

    def action_order(self) -> None:
        """Order by something else."""
        self.model.order = self.model.order.following()
        self._show()

    # -- acting

    @work
    async def action_act(self, name: str) -> None:
        """Have psvd do something to the chosen bots; asks before several are interrupted."""
        act, names = ACTS[name], self._targets()
        is_wanted = bool(names)
        if act.interrupts and len(names) > 1:
            is_wanted = await self.push_screen_wait(Ask(f"{act.word} {len(names)} bots?", names))
        if is_wanted:
            self._do(act, names)

    def _do(self, act: Act, names: list[str]) -> None:
        begin(lambda: self.post_message(self.Answered(names, carry_out(self._paths, act, names))))

    def on_top_app_answered(self, message: Answered) -> None:
        """Say what came of it, and look."""
        outcome = message.outcome
        self.notify(outcome.message, severity="information" if outcome.is_ok else "error", markup=False)
        for bot in message.names:
            self._feed.look_at(bot)

    def action_inspect(self) -> None:
        """Show all that is known of the bot under the cursor."""
        if self._table.cursor is not None:
            self.push_screen(Inspect(self._paths, self._table.cursor))

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Text("psv top", HELP))


def _fleet_name(paths: FleetPaths) -> str:
    applied = read_json(paths.applied)
    fleet = applied.get("fleet") if isinstance(applied, dict) else None
    return str(fleet.get("name") or paths.folder.name) if isinstance(fleet, dict) else paths.folder.name
