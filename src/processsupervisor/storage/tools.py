"""What people ask of a bot's database from outside, through SQLAlchemy: how much is in it and what waits.

Reads only, also while the bot runs; a bot itself never imports this. Written against tables.py alone, so that every engine answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage import tables
from processsupervisor.storage.records import SendState
from processsupervisor.storage.schema import VERSION

_INBOX, _OUTBOX = tables.INBOX.c, tables.OUTBOX.c
_COUNTED: dict[str, sa.Select[Any]] = {
    "contacts": sa.select(sa.func.count()).select_from(tables.CONTACTS),
    "conversations": sa.select(sa.func.count()).select_from(tables.CONVERSATIONS).where(tables.CONVERSATIONS.c.moved_to.is_(None)),
    "messages": sa.select(sa.func.count()).select_from(tables.INBOX),
    "unanswered": sa.select(sa.func.count()).select_from(tables.INBOX).where(_INBOX.state == 0),
    "dead_letters": sa.select(sa.func.count()).select_from(tables.DEAD_LETTERS),
    "replies": sa.select(sa.func.count()).select_from(tables.OUTBOX),
    "unsent": sa.select(sa.func.count()).select_from(tables.OUTBOX).where(_OUTBOX.state.in_((SendState.WAITING, SendState.SENDING))),
    "uncertain": sa.select(sa.func.count()).select_from(tables.OUTBOX).where(_OUTBOX.uncertain == 1),
    "refused": sa.select(sa.func.count()).select_from(tables.OUTBOX).where(_OUTBOX.state == SendState.FAILED),
    "reminders": sa.select(sa.func.count()).select_from(tables.REMINDERS).where(tables.REMINDERS.c.state == 0),
    "timers": sa.select(sa.func.count()).select_from(tables.TIMERS),
    "dialogs": sa.select(sa.func.count()).select_from(tables.DIALOGS),
    "values": sa.select(sa.func.count()).select_from(tables.KV),
    "file_bytes": sa.select(sa.func.coalesce(sa.func.sum(tables.ATTACHMENTS.c.size_bytes), 0)),
}


def count_all(connection: sa.Connection) -> dict[str, int]:
    """Return how many there are of everything that a person has a word for, on any engine."""
    return {name: int(connection.execute(query).scalar_one()) for name, query in _COUNTED.items()}


def count_in_file(path: Path) -> dict[str, int]:
    """Return count_all of a bot's file, of one moment. Raises StorageError; a file of another schema has to be migrated first."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=f"file:{path}", query={"mode": "rw", "uri": "true"}), poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version != VERSION:
                raise StorageError(f"{path} has schema {version}, this psv reads {VERSION}", hint="its bot migrates it at its next start")
            return count_all(connection)
    except sa.exc.DBAPIError as err:
        raise StorageError(f"cannot read {path}: {err.orig}", hint="check the file; psv bot restore puts a backup in its place") from err
    finally:
        engine.dispose()
