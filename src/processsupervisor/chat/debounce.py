"""Which messages debounce makes one, and how: texts of one person, one line behind the other, with all their files.

A command, a pressed button, an edit and whatever else is no plain message stands alone, and nothing is waited for then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from processsupervisor.storage.records import InboxRow, Kind

MOST_WINDOWS = 5
"""Somebody who never stops writing is answered after so many windows."""
MOST_ROWS = 50
MOST_CHARS = 64 * 1024


def can_join(row: InboxRow) -> bool:
    """Tell whether a message may become one with others."""
    return row.kind is Kind.MESSAGE and not row.text.startswith("/") and not row.attempts


def take_joined(queue: deque[InboxRow]) -> list[InboxRow]:
    """Take the messages off a queue that are one, at least its first."""
    rows = [queue.popleft()]
    first, chars = rows[0], len(rows[0].text)
    while queue and can_join(first) and len(rows) < MOST_ROWS:
        row = queue[0]
        chars += len(row.text) + 1
        same = row.sender == first.sender and row.envelope.is_addressed == first.envelope.is_addressed
        if not same or not can_join(row) or chars > MOST_CHARS:
            break
        rows.append(queue.popleft())
    return rows


def join_rows(rows: Sequence[InboxRow]) -> InboxRow:
    """Return one message made of several: the last, with the texts and files of all."""
    last = rows[-1]
    if len(rows) == 1:
        return last
    files = tuple(file for row in rows for file in row.envelope.attachments)
    envelope = replace(last.envelope, attachments=files) if files else last.envelope
    return replace(last, text="\n".join(row.text for row in rows if row.text), envelope=envelope)
