"""What of the past is kept: done messages for a month, open ones for ever."""

from __future__ import annotations

import contextlib
import time

from tests.storage.test_inbox import accept, complete

from processsupervisor.storage.records import Incoming, Place
from processsupervisor.storage.retention import KEEP_DONE_S, trim_done
from processsupervisor.storage.schema import open_database

HERE = Place("web", "default")


def test_only_done_messages_past_their_time_go(tmp_path):
    """An unfinished message is never deleted, however old; a done one is kept for deduplication as long as promised."""
    with contextlib.closing(open_database(tmp_path / "bot.db")) as db:
        rows = [accept(db, Incoming(HERE, f"m{number}", "x", "hi")).row for number in range(3)]
        complete(db, rows[0], "x")
        complete(db, rows[1], "x")
        db.execute("UPDATE inbox SET received_at = ? WHERE id IN (?, ?)", (time.time() - KEEP_DONE_S - 60, rows[0].row_id, rows[2].row_id))
        assert trim_done(db, time.time()) == 1
        assert [network_id for (network_id,) in db.execute("SELECT network_id FROM inbox ORDER BY id")] == ["m1", "m2"]
