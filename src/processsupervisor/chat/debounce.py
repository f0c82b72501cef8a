"""Which messages are handled as one, and how long is waited for the next of them: texts become lines, files stand side by side.

The files of an album, which networks bring one by one, in every mode; what one person writes in quick succession with mode debounce,
where a command, a pressed button, an edit and whatever else is no plain message stands alone. Each message is committed by itself
before, and all of one turn end in one commit: what a crash finds open is put together again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from processsupervisor.chat.settings import ChatSettings, Mode
from processsupervisor.storage.records import InboxRow, Kind

MOST_WINDOWS = 5
"""Somebody who never stops writing is answered after so many windows."""
MOST_ROWS = 50
MOST_CHARS = 64 * 1024
ALBUM_S = 1.0
"""The files of an album come within one answer of the network, or a second one."""


def wait_s(row: InboxRow, settings: ChatSettings) -> float:
    """Return how long the next message is waited for that may become one with this, 0.0: it stands alone."""
    debounce_s = settings.debounce_s if settings.mode is Mode.DEBOUNCE and _can_join(row) else 0.0
    return max(debounce_s, ALBUM_S) if _is_of_album(row) else debounce_s


def take_joined(queue: deque[InboxRow], mode: Mode) -> list[InboxRow]:
    """Take the messages off a queue that are one, at least its first."""
    rows = [queue.popleft()]
    chars = len(rows[0].text)
    while queue and len(rows) < MOST_ROWS:
        row = queue[0]
        chars += len(row.text) + 1
        is_one = _are_of_one_album(rows[-1], row) or (mode is Mode.DEBOUNCE and _do_join(rows[0], row))
        if not is_one or chars > MOST_CHARS:
            break
        rows.append(queue.popleft())
    return rows


def join_rows(rows: Sequence[InboxRow]) -> InboxRow:
    """Return one message made of several: the last, with the texts and files of all."""
    last = rows[-1]
    if len(rows) == 1:
        return last
    files = tuple(file for row in rows for file in row.envelope.attachments)
    envelope = last.envelope
    if files:
        envelope = replace(envelope, attachments=files, is_addressed=any(row.envelope.is_addressed for row in rows))
    return replace(last, text="\n".join(row.text for row in rows if row.text), envelope=envelope)


def _can_join(row: InboxRow) -> bool:
    return row.kind is Kind.MESSAGE and not row.text.startswith("/") and not row.attempts


def _do_join(first: InboxRow, row: InboxRow) -> bool:
    same = row.sender == first.sender and row.envelope.is_addressed == first.envelope.is_addressed
    return same and _can_join(first) and _can_join(row)


def _is_of_album(row: InboxRow) -> bool:
    return bool(row.envelope.album) and row.kind is Kind.MESSAGE and not row.attempts


def _are_of_one_album(one: InboxRow, other: InboxRow) -> bool:
    return _is_of_album(one) and _is_of_album(other) and (one.envelope.album, one.sender) == (other.envelope.album, other.sender)
