"""A message as JSON, as the journal of a dialog keeps it: what a handler may look at, without what the network needs only once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from processsupervisor.storage.records import Attachment, Envelope, InboxRow, Kind, Place, RoomKind

_ROW = ("row_id", "id", "sender", "text", "received_at")
_ENVELOPE = ("title", "sender_name", "locale", "is_addressed", "about", "sent_at")


def noted_row(row: InboxRow) -> dict[str, Any]:
    """Return the message as JSON can hold it."""
    envelope = row.envelope
    return {
        **{name: getattr(row, name) for name in _ROW},
        "place": list(row.place),
        "kind": row.kind.value,
        "envelope": {
            **{name: getattr(envelope, name) for name in _ENVELOPE},
            "room": envelope.room.value,
            "attachments": [asdict(file) for file in envelope.attachments],
        },
    }


def row_noted(noted: dict[str, Any]) -> InboxRow:
    """Return the message again. Raises KeyError, ValueError or TypeError for something else."""
    kept = noted["envelope"]
    envelope = Envelope(
        room=RoomKind(kept["room"]),
        attachments=tuple(Attachment(**file) for file in kept["attachments"]),
        **{name: kept[name] for name in _ENVELOPE},
    )
    network, conversation = noted["place"]
    return InboxRow(place=Place(network, conversation), kind=Kind(noted["kind"]), envelope=envelope, **{name: noted[name] for name in _ROW})
