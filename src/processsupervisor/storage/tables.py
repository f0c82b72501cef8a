"""The tables of a bot's database: the one source of what stands where.

From here come the SQL text that makes a new file (ddl.py, compared by a test), what the migrations must arrive at, and what tools
read by. Bots never import this: SQLAlchemy would cost each of them several MB. Times are wall clock, epoch seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

METADATA = MetaData()

_AT: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
_NUMBER: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=None if default is None else text(f"'{default}'"))


def _flag(name: str, default: int) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text(str(default)))


def _at(name: str) -> Column[float]:
    return Column(name, _AT, nullable=False)


def _place() -> tuple[Column[str], Column[str]]:
    return _text("network"), _text("conversation")


CONTACTS = Table(
    "contacts",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    _text("name", ""),
    _text("locale", ""),
    _at("first_at"),
    sqlite_autoincrement=True,
)
"""A person. Who it is on each network stands in identities."""

IDENTITIES = Table(
    "identities",
    METADATA,
    _text("network"),
    _text("identity"),
    Column("contact_id", _NUMBER, nullable=False),
    PrimaryKeyConstraint("network", "identity"),
    sqlite_with_rowid=False,
)

CONVERSATIONS = Table(
    "conversations",
    METADATA,
    *_place(),
    _at("first_at"),
    Column("consent", Text),
    _text("room", "private"),
    _text("title", ""),
    _flag("is_reachable", 1),
    Column("disclosed_at", _AT),
    Column("moved_to", Text),
    Column("fence", _NUMBER, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_until", _AT, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("network", "conversation"),
    sqlite_with_rowid=False,
)
"""`moved_to`: the conversation's id now, after the network gave it another one. `fence`: the number of the newest claim."""

INBOX = Table(
    "inbox",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    _text("network"),
    _text("network_id"),
    _text("conversation"),
    _text("sender"),
    _text("text"),
    _at("received_at"),
    _flag("state", 0),
    _flag("attempts", 0),
    _text("kind", "message"),
    Column("envelope", Text),
    UniqueConstraint("network", "conversation", "network_id"),
    sqlite_autoincrement=True,
)
"""`state`: 0 open, 1 done, 2 expired, 3 ignored, 4 dead. `envelope`: JSON, NULL for the plain one."""
Index("inbox_open", INBOX.c.id, sqlite_where=text("state = 0"), postgresql_where=text("state = 0"))
Index("inbox_place", INBOX.c.conversation, INBOX.c.network, INBOX.c.id)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("seq", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False),
    Column("reply_to", Text),
    *_place(),
    _text("text"),
    _at("created_at"),
    _flag("state", 1),
    _flag("final", 1),
    Column("extras", Text),
    _flag("attempts", 0),
    Column("not_before", _AT, nullable=False, server_default=text("0")),
    _flag("uncertain", 0),
    Column("network_id", Text),
    _text("reason", ""),
    UniqueConstraint("id"),
    sqlite_autoincrement=True,
)
"""`state` is a SendState. `uncertain` stays 1 once a send's outcome was unknown. `extras`: JSON, NULL for none."""
Index("outbox_place", OUTBOX.c.conversation, OUTBOX.c.network, OUTBOX.c.seq)
_TO_SEND = text("state IN (0, 2)")
Index("outbox_open", OUTBOX.c.network, OUTBOX.c.conversation, OUTBOX.c.seq, sqlite_where=_TO_SEND, postgresql_where=_TO_SEND)

DRAFTS = Table(
    "drafts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("inbox_id", _NUMBER, nullable=False),
    _at("created_at"),
    sqlite_with_rowid=False,
)

REMINDERS = Table(
    "reminders",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    *_place(),
    _at("due_at"),
    _text("text"),
    _at("created_at"),
    _flag("state", 0),
    sqlite_autoincrement=True,
)
Index("reminders_open", REMINDERS.c.due_at, sqlite_where=text("state = 0"), postgresql_where=text("state = 0"))

KV = Table("kv", METADATA, _text("scope"), _text("key"), _text("value"), PrimaryKeyConstraint("scope", "key"), sqlite_with_rowid=False)

CONSENTS = Table(
    "consents",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    *_place(),
    _text("said"),
    _at("said_at"),
    Column("inbox_id", _NUMBER),
    sqlite_autoincrement=True,
)
"""What was said about messages sent first, and when: append only. What holds stands in conversations."""

TIMERS = Table(
    "timers",
    METADATA,
    *_place(),
    _text("name"),
    _text("handler"),
    _at("due_at"),
    _text("payload"),
    _text("rule", ""),
    PrimaryKeyConstraint("network", "conversation", "name"),
    sqlite_with_rowid=False,
)
Index("timers_due", TIMERS.c.due_at)

DIALOGS = Table(
    "dialogs",
    METADATA,
    *_place(),
    _text("handler"),
    Column("row_id", _NUMBER, nullable=False),
    _text("journal"),
    Column("deadline_at", _AT),
    _at("updated_at"),
    PrimaryKeyConstraint("network", "conversation"),
    sqlite_with_rowid=False,
)
Index("dialogs_deadline", DIALOGS.c.deadline_at)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("inbox_id", _NUMBER, primary_key=True, autoincrement=False),
    _at("died_at"),
    _text("reason"),
    _text("detail"),
    _flag("attempts", 0),
)

CURSORS = Table(
    "cursors",
    METADATA,
    _text("network"),
    Column("position", _NUMBER, nullable=False),
    PrimaryKeyConstraint("network"),
    sqlite_with_rowid=False,
)

ATTACHMENTS = Table(
    "attachments",
    METADATA,
    _text("path"),
    _text("network"),
    _text("identity"),
    Column("size_bytes", _NUMBER, nullable=False),
    _at("created_at"),
    Column("out_id", Text),
    PrimaryKeyConstraint("path"),
    sqlite_with_rowid=False,
)
"""Files below data/, and who caused them: what the limits count. `out_id` is the newest outbox row that carries one."""
Index("attachments_identity", ATTACHMENTS.c.network, ATTACHMENTS.c.identity)

MESSAGES_VIEW = (
    "CREATE VIEW messages AS SELECT network, conversation, 'contact' AS side, network_id AS id, sender, kind, text, received_at AS at, "
    "state FROM inbox UNION ALL SELECT network, conversation, 'bot', id, '', 'reply', text, created_at, state FROM outbox"
)
"""Both sides of every conversation; the text itself stands once, in inbox or outbox."""
