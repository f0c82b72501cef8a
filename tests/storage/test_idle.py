"""A database that nobody uses gives back the pages it keeps, and stays open."""

from __future__ import annotations

import _sqlite3
import contextlib
import ctypes

import pytest

from processsupervisor.storage.idle import give_back
from processsupervisor.storage.schema import open_database
from processsupervisor.storage.values import read_value, write_value


def test_pages_are_given_back(tmp_path):
    """SQLite itself says that it has less; what was prepared and written is there as before."""
    try:
        used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    except AttributeError:
        pytest.skip("needs an SQLite whose functions can be called beside the module")
    used.restype = ctypes.c_int64
    with contextlib.closing(open_database(tmp_path / "bot.db")) as db:
        for number in range(100):
            write_value(db, "s", f"k{number}", "x" * 2000)
        full = used()
        give_back(db)
        assert used() < full - 100_000
        assert read_value(db, "s", "k99") == "x" * 2000
