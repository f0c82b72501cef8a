"""The contacts' statements: a person is written down at the first message, under the identity that its network gives."""

from __future__ import annotations

import sqlite3

from processsupervisor.kernel import clock
from processsupervisor.storage.known import ContactRow

_FIND = (
    "SELECT c.id, i.network, i.identity, c.name, c.locale, c.first_at FROM identities i JOIN contacts c ON c.id = i.contact_id "
    "WHERE i.network = ? AND i.identity = ?"
)


def meet(connection: sqlite3.Connection, network: str, identity: str, name: str, locale: str) -> None:
    """Keep a person at first sight; later only the name and locale that are news. An empty one says nothing."""
    found = connection.execute(_FIND, (network, identity)).fetchone()
    if found is None:
        given = (name, locale, clock.wall())
        (contact_id,) = connection.execute("INSERT INTO contacts (name, locale, first_at) VALUES (?,?,?) RETURNING id", given).fetchone()
        connection.execute("INSERT INTO identities (network, identity, contact_id) VALUES (?,?,?)", (network, identity, contact_id))
        return
    contact = ContactRow(*found)
    told = (name or contact.name, locale or contact.locale)
    if told != (contact.name, contact.locale):
        connection.execute("UPDATE contacts SET name = ?, locale = ? WHERE id = ?", (*told, contact.contact_id))


def find(connection: sqlite3.Connection, network: str, identity: str) -> ContactRow | None:
    """Return the person behind an identity."""
    found = connection.execute(_FIND, (network, identity)).fetchone()
    return None if found is None else ContactRow(*found)
