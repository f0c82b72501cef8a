"""supervisor.store on a real psv.db: what a disk that is full does not change."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processsupervisor.kernel.reasons import Reason
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.store import EXITS_PER_BOT, Store


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the size of `path`, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _end(store: Store, generation: int, bot: str = "a") -> int:
    row = store.add_exit(bot, ExitRecord(Reason.CODE, 1, None, 1.0, generation), is_counted=True)
    store.flush()
    return row


def test_a_full_disk_does_not_open_the_restart_windows(tmp_path: Path) -> None:
    """Exits that cannot be written count all the same, each once, also when there is room again; a bounded number is kept."""
    store = Store(tmp_path / "psv.db")
    _end(store, 1)
    with no_room(tmp_path / "psv.db-wal"):
        _end(store, 2)
        assert store.problem and store.exit_of("a", 2) is None
        assert len(store.counted_exits("a", 600.0)) == 2
        _end(store, 3)
        assert len(store.counted_exits("a", 600.0)) == 3
    _end(store, 4)
    assert not store.problem and store.exit_of("a", 4) is not None
    assert len(store.counted_exits("a", 600.0)) == 4
    assert store.counted_exits("a", 0.0) == []
    with no_room(tmp_path / "psv.db-wal"):
        for generation in range(EXITS_PER_BOT + 50):
            _end(store, 100 + generation)
        assert len(store.counted_exits("a", 600.0)) <= EXITS_PER_BOT + 4
    store.close()


def test_a_tail_is_added_to_its_own_exit_only(tmp_path: Path) -> None:
    """The disk refused the exit of one bot, and the next one that it took, of another bot, has the same row."""
    store = Store(tmp_path / "psv.db")
    _end(store, 1)
    with no_room(tmp_path / "psv.db-wal"):
        lost = _end(store, 2)
    assert _end(store, 2, "b") == lost
    store.update_exit("a", lost, ExitRecord(Reason.CODE, 9, None, 1.0, 2))
    found = store.exit_of("b", 2)
    assert found is not None and found.exit_code == 1
    store.close()
