"""How the screen is laid out, in Textual's CSS. The classes `small`, `bare` and `low` say what there is no room, or nothing, for."""

from __future__ import annotations

CSS = """
Screen { layout: vertical; }
#small, #bare { display: none; padding: 1 2; }
#summary { height: 1; padding: 0 1; background: $panel; }
FleetTable { height: 2fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
#log-title { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
LogPane { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
LogPane:focus { background-tint: $foreground 5%; }
#filter { height: 1; border: none; padding: 0 1; }
.hidden, .small #summary, .small FleetTable, .small #bare, .small #log-title, .small LogPane, .small Footer { display: none; }
.small #small { display: block; }
.bare FleetTable { display: none; }
.bare #bare { display: block; height: 2fr; }
.low #log-title, .low LogPane { display: none; }
ModalScreen { align: center middle; }
.dialog { width: 64; max-width: 95%; height: auto; max-height: 90%; border: round $primary; padding: 1 2; background: $surface; }
.wide { width: 100; }
.dialog Static { height: auto; }
.question { text-style: bold; }
.names { color: $text-muted; max-height: 6; margin: 1 0; }
"""
