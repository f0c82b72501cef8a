"""The choices of a question: as buttons, and what a contact chose by a button, a number or the words."""

from __future__ import annotations

from collections.abc import Sequence

from processsupervisor.connectors.words import folded, index_of
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.records import ButtonRow, InboxRow, Kind

MAX_CHOICES = 50
MAX_CHOICE_CHARS = 200
_PREFIX = "psv-ask"
_IN_A_ROW, _ROW_CHARS = 4, 30


def check_choices(choices: Sequence[str]) -> tuple[str, ...]:
    """Return the choices. Raises UsageError for what cannot be offered."""
    if isinstance(choices, str) or not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise UsageError("choices are texts", hint='write choices=["yes", "no"]')
    if len(choices) > MAX_CHOICES or any(len(choice) > MAX_CHOICE_CHARS for choice in choices):
        raise UsageError(f"a question has at most {MAX_CHOICES} choices of at most {MAX_CHOICE_CHARS} characters")
    if len({_plain(choice) for choice in choices}) < len(choices):
        raise UsageError("two choices of a question are the same")
    return tuple(choices)


def buttons(choices: Sequence[str], row_id: int, number: int) -> tuple[tuple[ButtonRow, ...], ...]:
    """Return one button for each choice, short ones beside each other; they belong to question `number` of the handler of `row_id`."""
    rows: list[list[ButtonRow]] = []
    width = _ROW_CHARS
    for index, choice in enumerate(choices):
        width += len(choice)
        if width > _ROW_CHARS or len(rows[-1]) >= _IN_A_ROW:
            rows.append([])
            width = len(choice)
        rows[-1].append(ButtonRow(choice, f"{_PREFIX}:{row_id}:{number}:{index}"))
    return tuple(tuple(row) for row in rows)


def button_of(row: InboxRow) -> tuple[int, int, int] | None:
    """Return (row_id, number, index) of a pressed button of a question, None for anything else."""
    prefix, *rest = row.text.split(":")
    if row.kind is not Kind.BUTTON or prefix != _PREFIX or len(rest) != 3 or not all(part.isdecimal() and len(part) < 19 for part in rest):
        return None
    return int(rest[0]), int(rest[1]), int(rest[2])


def chosen(text: str, choices: Sequence[str]) -> str:
    """Return the choice that a contact wrote, as it is or by its number; the text itself without choices, "" for none of them."""
    if not choices:
        return text
    index = index_of(_plain(text), [_plain(choice) for choice in choices])
    return "" if index is None else choices[index]


def _plain(text: str) -> str:
    """Return words without the stop or mark behind them: who is asked answers in a sentence."""
    return folded(text).strip(".!")
