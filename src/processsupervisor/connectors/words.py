"""Buttons and files where there is nothing but text: how a reply reads there, and which button a typed text means.

Readers number the buttons as they stand here, and the core (bot/pressing.py) takes a number by the same rule. Nothing is pressed or
fetched here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from processsupervisor.storage.records import ButtonRow, FileOut

Buttons = Sequence[Sequence[ButtonRow]]
_MOST_DIGITS = 3


def pressable(buttons: Buttons) -> list[ButtonRow]:
    """Return the buttons that can be pressed, in the order of their numbers: those that open an address have none."""
    return [button for row in buttons for button in row if button.data]


def is_numbered(labels: Sequence[str]) -> bool:
    """Tell whether numbers stand for the labels: not where a label is a number itself."""
    return not any(label.strip().isdecimal() for label in labels)


def index_of(text: str, labels: Sequence[str]) -> int | None:
    """Return which label somebody typed, as it is (case and spaces apart) or by its number from 1; None for anything else."""
    said = folded(text)
    for index, label in enumerate(labels):
        if folded(label) == said:
            return index
    if said.isdecimal() and len(said) <= _MOST_DIGITS and is_numbered(labels) and 1 <= int(said) <= len(labels):
        return int(said) - 1
    return None


def folded(text: str) -> str:
    """Return a text without what does not count: case, and how much space stands where."""
    return " ".join(text.casefold().split())


def in_words(text: str, buttons: Buttons = (), files: Sequence[FileOut] = (), folder: Path | None = None) -> str:
    """Return a reply as text alone: below it each file with its path below `folder`, and each row of buttons.

    What can be pressed is "[1] Yes", or "[5]" where the labels are numbers; what opens an address is "[Site] https://…".
    """
    numbers = is_numbered([button.label for button in pressable(buttons)])
    count = 0
    lines = [text] if text else []
    lines += [f"[{file.name}] {folder / file.path if folder is not None else file.path}" for file in files]
    for row in buttons:
        shown = []
        for button in row:
            count += bool(button.data)
            shown.append(f"[{count}] {button.label}" if button.data and numbers else f"[{button.label}] {button.url}".rstrip())
        lines.append("  ".join(shown))
    return "\n".join(lines)
