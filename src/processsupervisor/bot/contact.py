"""`Contact`: the person on the other side, as the network tells of them with a message."""

from __future__ import annotations

from dataclasses import dataclass

from processsupervisor.storage.records import InboxRow


@dataclass(frozen=True, slots=True)
class Contact:
    """Who sent the message. `id` is the network's; `name` and `locale` ("de") are empty where the network tells none."""

    network: str
    id: str
    name: str = ""
    locale: str = ""


def contact_of(row: InboxRow) -> Contact:
    """Return the sender of an inbox row."""
    return Contact(row.place.network, row.sender, row.envelope.sender_name, row.envelope.locale)
