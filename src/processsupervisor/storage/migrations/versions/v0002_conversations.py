"""Version 2: contacts, claims, messages of other kinds, sends that must be made, timers, dialogs, dead letters.

Going back keeps messages, replies, reminders, values and what holds of consent. What version 1 has no place for is lost: contacts,
timers, dialogs, dead letters, the past of consent; what is unread by version 1 (buttons, schedules) is ended, not handled.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AT: TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_NUMBER: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("attachments", "cursors", "dead_letters", "dialogs", "timers", "consents", "identities", "contacts")
_ADDED = {
    "conversations": ("room", "title", "is_reachable", "disclosed_at", "moved_to", "fence", "lease_owner", "lease_until"),
    "inbox": ("kind", "envelope"),
    "outbox": ("extras", "attempts", "not_before", "uncertain", "network_id", "reason"),
}
_VIEW = (
    "CREATE VIEW messages AS SELECT network, conversation, 'contact' AS side, network_id AS id, sender, kind, text, received_at AS at, "
    "state FROM inbox UNION ALL SELECT network, conversation, 'bot', id, '', 'reply', text, created_at, state FROM outbox"
)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=None if default is None else sa.text(f"'{default}'"))


def _count(name: str, default: int) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text(str(default)))


def upgrade() -> None:
    """Add columns and tables, then fill them from what is there."""
    for column in (
        _text("room", "private"), _text("title", ""), _count("is_reachable", 1), sa.Column("disclosed_at", _AT),
        sa.Column("moved_to", sa.Text),
        sa.Column("fence", _NUMBER, nullable=False, server_default=sa.text("0")), sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", _AT, nullable=False, server_default=sa.text("0")),
    ):  # fmt: skip
        op.add_column("conversations", column)
    for column in (_text("kind", "message"), sa.Column("envelope", sa.Text)):
        op.add_column("inbox", column)
    for column in (
        sa.Column("extras", sa.Text), _count("attempts", 0), sa.Column("not_before", _AT, nullable=False, server_default=sa.text("0")),
        _count("uncertain", 0), sa.Column("network_id", sa.Text), _text("reason", ""),
    ):  # fmt: skip
        op.add_column("outbox", column)
    to_send = sa.text("state IN (0, 2)")
    op.create_index("outbox_open", "outbox", ["network", "conversation", "seq"], sqlite_where=to_send, postgresql_where=to_send)
    _make_tables()
    op.execute(_VIEW)
    _fill()


def _make_tables() -> None:
    op.create_table(
        "contacts", sa.Column("id", _NUMBER, primary_key=True), _text("name", ""), _text("locale", ""),
        sa.Column("first_at", _AT, nullable=False), sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_table(
        "identities", _text("network"), _text("identity"), sa.Column("contact_id", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("network", "identity"), sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "consents", sa.Column("id", _NUMBER, primary_key=True), _text("network"), _text("conversation"), _text("said"),
        sa.Column("said_at", _AT, nullable=False), sa.Column("inbox_id", _NUMBER), sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_table(
        "timers", _text("network"), _text("conversation"), _text("name"), _text("handler"), sa.Column("due_at", _AT, nullable=False),
        _text("payload"), _text("rule", ""), sa.PrimaryKeyConstraint("network", "conversation", "name"), sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("timers_due", "timers", ["due_at"])
    op.create_table(
        "dialogs", _text("network"), _text("conversation"), _text("handler"), sa.Column("row_id", _NUMBER, nullable=False),
        _text("journal"), sa.Column("deadline_at", _AT), sa.Column("updated_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("network", "conversation"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("dialogs_deadline", "dialogs", ["deadline_at"])
    op.create_table(
        "dead_letters", sa.Column("inbox_id", _NUMBER, primary_key=True, autoincrement=False), sa.Column("died_at", _AT, nullable=False),
        _text("reason"), _text("detail"), _count("attempts", 0),
    )  # fmt: skip
    op.create_table(
        "cursors", _text("network"), sa.Column("position", _NUMBER, nullable=False), sa.PrimaryKeyConstraint("network"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "attachments", _text("path"), _text("network"), _text("identity"), sa.Column("size_bytes", _NUMBER, nullable=False),
        sa.Column("created_at", _AT, nullable=False), sa.Column("out_id", sa.Text), sa.PrimaryKeyConstraint("path"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("attachments_identity", "attachments", ["network", "identity"])


def _fill() -> None:
    """Every conversation of version 1 had its disclosure; its senders are the contacts; when consent was given is not known."""
    op.execute("UPDATE conversations SET disclosed_at = first_at")
    op.execute(
        "INSERT INTO consents (network, conversation, said, said_at) "
        "SELECT network, conversation, consent, first_at FROM conversations WHERE consent IS NOT NULL"
    )
    connection = op.get_bind()
    people = connection.execute(
        sa.text("SELECT network, sender, min(received_at) FROM inbox WHERE sender <> '' GROUP BY network, sender ORDER BY min(id)")
    ).all()
    for number, (network, identity, first_at) in enumerate(people, 1):
        connection.execute(sa.text("INSERT INTO contacts (id, first_at) VALUES (:id, :at)"), {"id": number, "at": first_at})
        connection.execute(
            sa.text("INSERT INTO identities (network, identity, contact_id) VALUES (:network, :identity, :id)"),
            {"network": network, "identity": identity, "id": number},
        )
    if connection.dialect.name == "postgresql" and people:
        op.execute(f"SELECT setval(pg_get_serial_sequence('contacts', 'id'), {len(people)})")


def downgrade() -> None:
    """Take columns and tables away; what is left is what version 1 can work with."""
    op.execute("DROP VIEW messages")
    op.execute("UPDATE inbox SET state = 1 WHERE state > 1 OR (state = 0 AND kind <> 'message')")
    op.execute("UPDATE outbox SET state = 1 WHERE state <> 0")
    op.execute("DELETE FROM conversations WHERE disclosed_at IS NULL")  # version 1 takes a row for one
    op.drop_index("outbox_open", "outbox")
    op.drop_index("outbox_sent", "outbox", if_exists=True)  # files that were made while this version was young have it
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column)
    for table in _TABLES:
        op.drop_table(table)
