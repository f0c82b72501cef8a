"""Version 1: inbox, outbox, drafts, reminders, values and conversations. Files of it carry no mark but `PRAGMA user_version=1`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_AT: TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_NUMBER: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables of version 1."""
    op.create_table(
        "inbox", sa.Column("id", _NUMBER, primary_key=True), _text("network"), _text("network_id"), _text("conversation"), _text("sender"),
        _text("text"), sa.Column("received_at", _AT, nullable=False),
        sa.Column("state", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.UniqueConstraint("network", "conversation", "network_id"), sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("inbox_open", "inbox", ["id"], sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0"))
    op.create_index("inbox_place", "inbox", ["conversation", "network", "id"])
    op.create_table(
        "outbox", sa.Column("seq", _NUMBER, primary_key=True), sa.Column("id", sa.Text, nullable=False), sa.Column("reply_to", sa.Text),
        _text("network"), _text("conversation"), _text("text"), sa.Column("created_at", _AT, nullable=False),
        sa.Column("state", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("final", sa.Integer, nullable=False, server_default=sa.text("1")), sa.UniqueConstraint("id"), sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("outbox_place", "outbox", ["conversation", "network", "seq"])
    op.create_table(
        "drafts", sa.Column("id", sa.Text, primary_key=True), sa.Column("inbox_id", _NUMBER, nullable=False),
        sa.Column("created_at", _AT, nullable=False), sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "reminders", sa.Column("id", _NUMBER, primary_key=True), _text("network"), _text("conversation"),
        sa.Column("due_at", _AT, nullable=False), _text("text"), sa.Column("created_at", _AT, nullable=False),
        sa.Column("state", sa.Integer, nullable=False, server_default=sa.text("0")), sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("reminders_open", "reminders", ["due_at"], sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0"))
    op.create_table("kv", _text("scope"), _text("key"), _text("value"), sa.PrimaryKeyConstraint("scope", "key"), sqlite_with_rowid=False)
    op.create_table(
        "conversations", _text("network"), _text("conversation"), sa.Column("first_at", _AT, nullable=False), sa.Column("consent", sa.Text),
        sa.PrimaryKeyConstraint("network", "conversation"), sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Leave nothing."""
    for table in ("conversations", "kv", "reminders", "drafts", "outbox", "inbox"):
        op.drop_table(table)
