"""The FIFOs that the keeper holds: what it drops while nobody reads is counted, also when it is killed before it could say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.fifos import PIPE_BYTES, Fifos


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[FleetPaths]:
    """A fleet with the run folder of one bot."""
    found = FleetPaths(tmp_path)
    found.bot_run("shop").mkdir(parents=True)
    yield found


def _fill(paths: FleetPaths) -> None:
    writer = os.open(paths.bot_run("shop") / "out-3", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 1024)
    except BlockingIOError:
        pass
    finally:
        os.close(writer)


def test_the_next_keeper_knows_what_the_last_one_dropped(paths: FleetPaths) -> None:
    """Counted per stream, added up, told once; nothing is left of it when the pair is closed."""
    first = Fifos(paths)
    first.create("shop", 3, {})
    dropped = 0
    for _ in range(2):
        _fill(paths)
        dropped += first.drop_from_full()
    assert dropped == PIPE_BYTES
    second = Fifos(paths)  # the first is as good as killed: it writes nothing more
    second.find()
    pair = second.pairs["shop", 3]
    assert pair.open_message(paths.run)["dropped"] == {"out": dropped, "err": 0}
    second.forget_dropped(pair)
    third = Fifos(paths)
    third.find()
    assert third.pairs["shop", 3].dropped == {"out": 0, "err": 0}
    _fill(paths)
    third.drop_from_full()
    third.close_all()
    assert list(paths.bot_run("shop").iterdir()) == []


def test_a_count_that_somebody_broke_is_none(paths: FleetPaths) -> None:
    """Cut or replaced by a folder: output goes on."""
    (paths.bot_run("shop") / "dropped-3").write_bytes(b"abc")
    fifos = Fifos(paths)
    assert fifos.create("shop", 3, {}).dropped == {"out": 0, "err": 0}
    (paths.bot_run("shop") / "dropped-3").unlink()
    (paths.bot_run("shop") / "dropped-3").mkdir()
    _fill(paths)
    assert fifos.drop_from_full() == PIPE_BYTES // 2
    fifos.forget_dropped(fifos.pairs["shop", 3])
    fifos.close_all()
