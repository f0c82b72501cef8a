"""psv.db beside somebody else who writes it: psvd waits little and forgets nothing of what it keeps."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest
from tests.supervisor.test_chronicle import Life

from processsupervisor.kernel.states import Wanted
from processsupervisor.supervisor import store as store_module
from processsupervisor.supervisor.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "psv.db"


def test_a_file_that_somebody_else_holds_costs_psvd_one_short_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person with a tool and an open transaction: nothing waits for it statement by statement, and all is written when it is over."""
    life = Life(path)
    now = [1000.0]
    monkeypatch.setattr(store_module, "mono", lambda: now[0])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for n in range(20):
            life.events.tell("alert", n=n)
        life.store.set_wanted("x", Wanted.DOWN)
        began = time.monotonic()
        for _ in range(10):
            life.store.flush()
        assert time.monotonic() - began < 5.0, "200 statements and more, each of which might wait"
        assert "locked" in life.store.problem and life.store.is_behind
    now[0] += store_module.SAVE_AGAIN_S
    life.store.flush()
    assert not life.store.is_behind and life.store.problem == ""
    assert life.store.rows("SELECT count(*) FROM events") == [(20,)] and life.store.wanted() == {"x": Wanted.DOWN}


def test_an_end_in_order_tries_once_more(path: Path) -> None:
    """Whoever held the file has let go since: nothing is lost for want of the five seconds."""
    life = Life(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        life.events.tell("alert", n=1)
        life.store.flush()
    life.store.close()
    assert Store(path).rows("SELECT count(*) FROM events") == [(1,)]
