"""The writer: group commit, order, a fault that stays alone, a failing file that is waited out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage import writer as writer_module
from processsupervisor.storage.schema import open_database
from processsupervisor.storage.values import read_value, write_value
from processsupervisor.storage.writer import Writer


@pytest.fixture
async def writer(tmp_path):
    made = Writer(tmp_path / "bot.db")
    yield made
    await made.close()


def put(key, value):
    return lambda db: write_value(db, "s", key, value)


async def test_jobs_submitted_together_share_commits(writer):
    """A thousand awaiting writers need a few transactions, not a thousand."""
    await writer.submit(put("warm", "1"))
    before = writer.commits
    await asyncio.gather(*(writer.submit(put(f"k{n}", "1")) for n in range(1000)))
    assert writer.commits - before <= 20


async def test_nothing_is_answered_before_its_commit(writer, tmp_path):
    """When a job is answered, another connection sees what it wrote."""
    for number in range(20):
        await writer.submit(put("n", str(number)))
        with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as other:
            assert read_value(other, "s", "n") == str(number)


async def test_jobs_run_in_the_order_of_submission(writer):
    """A later job sees what an earlier one wrote, and answers come in the same order."""
    answers = []
    futures = [writer.submit(lambda db, n=n: (write_value(db, "s", "n", str(n)), read_value(db, "s", "n"))[1]) for n in range(100)]
    for future in futures:
        future.add_done_callback(lambda done: answers.append(done.result()))
    await asyncio.gather(*futures)
    await asyncio.sleep(0)
    assert answers == [str(n) for n in range(100)]


async def test_a_failing_job_fails_alone(writer):
    """Jobs beside one that raises are committed; it gets its own exception and leaves nothing behind."""

    def fail(db):
        write_value(db, "s", "bad", "1")
        raise KeyError("mine")

    good = [writer.submit(put("a", "1"))]
    bad = writer.submit(fail)
    good.append(writer.submit(put("b", "1")))
    await asyncio.gather(*good)
    with pytest.raises(KeyError):
        await bad
    assert await writer.submit(lambda db: [read_value(db, "s", key) for key in ("a", "bad", "b")]) == ["1", None, "1"]


async def test_a_damaged_file_is_a_storage_error_with_a_way_out(tmp_path):
    """Bytes that are no database end in a StorageError that names the file; the file is left as it is."""
    path = tmp_path / "bot.db"
    path.write_bytes(b"not a database, by no means" * 100)
    writer = Writer(path)
    with pytest.raises(StorageError) as caught:
        await writer.submit(put("a", "1"))
    assert str(path) in caught.value.message and "backup" in caught.value.hint
    assert path.read_bytes().startswith(b"not a database")
    await writer.close()


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_file_is_a_storage_error_with_a_way_out(tmp_path):
    """A database that may only be read refuses what is written, names the permissions, and works again with them."""
    path = tmp_path / "bot.db"
    open_database(path).close()
    path.chmod(0o400)
    writer = Writer(path)
    with pytest.raises(StorageError) as caught:
        await writer.submit(put("a", "1"))
    assert "permissions" in caught.value.hint
    path.chmod(0o600)
    await writer.submit(put("a", "1"))
    await writer.close()


async def test_sticky_jobs_wait_for_a_failing_file_and_keep_their_order(tmp_path, monkeypatch):
    """While the file fails ordinary jobs are refused; sticky ones are committed in order when it works again."""
    monkeypatch.setattr(writer_module, "_RETRY_LAST_S", 0.1)
    path = tmp_path / "bot.db"
    path.write_bytes(b"not a database, by no means" * 100)
    writer = Writer(path)
    first = writer.submit(put("n", "first"), sticky=True)
    with pytest.raises(StorageError):
        await writer.submit(put("n", "refused"))
    second = writer.submit(put("n", "second"), sticky=True)
    path.unlink()
    async with asyncio.timeout(10):
        await asyncio.gather(first, second)
    assert await writer.submit(lambda db: read_value(db, "s", "n")) == "second"
    await writer.close()


async def test_a_deep_queue_is_refused_but_not_for_sticky_jobs(writer, monkeypatch):
    """Beyond the bound a job is refused as busy at once; what finishes work that was begun still goes in."""
    monkeypatch.setattr(writer_module, "MAX_WAITING", 2)
    futures = [writer.submit(lambda _: time.sleep(0.05)), writer.submit(put("a", "1"))]
    with pytest.raises(StorageError) as caught:
        writer.submit(put("b", "1"))
    assert caught.value.code == "busy"
    await asyncio.gather(*futures, writer.submit(put("c", "1"), sticky=True))


async def test_close_commits_what_was_submitted(tmp_path):
    """Work handed in before close is on disk after it; later work is refused."""
    writer = Writer(tmp_path / "bot.db")
    futures = [writer.submit(put(f"k{n}", "1"), sticky=True) for n in range(50)]
    await writer.close()
    assert all(future.done() for future in futures)
    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as other:
        assert other.execute("SELECT count(*) FROM kv").fetchone() == (50,)
    with pytest.raises(StorageError):
        writer.submit(put("late", "1"))


async def test_no_thread_and_no_file_before_the_first_job(tmp_path):
    """An idle bot pays for neither a thread nor a file."""
    writer = Writer(tmp_path / "bot.db")
    assert not writer.is_started
    await writer.close()
    assert not (tmp_path / "bot.db").exists()


async def test_close_waits_for_no_thread_of_the_loop(tmp_path):
    """An author's blocking calls may hold them all: what was submitted is committed, and the bot ends."""
    made = Writer(tmp_path / "bot.db")
    done = made.submit(put("k", "1"))
    gate = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    busy = asyncio.ensure_future(asyncio.to_thread(gate.wait, 10))
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(5):
            await made.close()
        assert done.done()
    finally:
        gate.set()
        await busy


async def test_nothing_overtakes_a_job_that_failed_with_the_file(writer):
    """What was submitted before anybody could hear of the failure fails with it; so whoever tries all again keeps their order."""
    await writer.submit(put("warm", "1"))
    began, gate = threading.Event(), threading.Event()

    def fail(_db):
        began.set()
        gate.wait(10)
        raise sqlite3.OperationalError("disk I/O error")

    first = writer.submit(fail)
    began.wait(10)
    second, kept = writer.submit(put("k", "second")), writer.submit(put("sticky", "1"), sticky=True)
    gate.set()
    for failed in (first, second):
        with pytest.raises(StorageError, match="disk I/O"):
            await failed
    await kept
    await writer.submit(put("k", "first"))
    assert await writer.submit(lambda db: read_value(db, "s", "k")) == "first" and writer.waiting == 0


async def test_a_writer_that_waits_gives_memory_back_once_and_goes_on(writer, monkeypatch):
    """Not before its first job; after one, once; the next job finds the file as it was."""
    loop, given = asyncio.get_running_loop(), asyncio.Queue()
    monkeypatch.setattr(writer_module, "IDLE_S", 0.01)
    monkeypatch.setattr(writer_module, "give_back", lambda connection: loop.call_soon_threadsafe(given.put_nowait, connection))
    for number in ("1", "2"):
        await writer.submit(put("n", number))
        await asyncio.wait_for(given.get(), 30)
    assert given.empty()
    assert await writer.submit(lambda db: read_value(db, "s", "n")) == "2"
