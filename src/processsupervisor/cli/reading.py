"""What a bot says on its chat socket, as lines for a terminal: text, files with their paths, numbered buttons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from processsupervisor.connectors.words import in_words
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.storage.records import ButtonRow, FileOut

Event = Mapping[str, object]
WAITED = "(while you were away) "
"""Stands before what the bot said when nobody listened."""


def text_of(event: Event, paths: FleetPaths, name: str) -> str:
    """Return an event of the bot `name` in words. What a newer bot says of it besides is passed over."""
    buttons = [[_button(button) for button in _rows(row)] for row in _lists(event.get("buttons"))]
    files = [FileOut(str(file.get("path", "")), str(file.get("name", "")), "") for file in _rows(event.get("files"))]
    return in_words(str(event.get("text", "")), buttons, files, paths.bot_data(name))


def _button(button: Mapping[str, Any]) -> ButtonRow:
    return ButtonRow(str(button.get("label", "")), str(button.get("data", "")), str(button.get("url", "")))


def _lists(value: object) -> Iterator[object]:
    return iter(value) if isinstance(value, list) else iter(())


def _rows(value: object) -> Iterator[Mapping[str, Any]]:
    return (row for row in _lists(value) if isinstance(row, dict))
