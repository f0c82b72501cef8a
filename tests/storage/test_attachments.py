"""Files that replies carry: whole or not there, within their limits, gone after they were sent."""

from __future__ import annotations

import os
import time

import pytest

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import Refused, StorageError, UsageError
from processsupervisor.storage.attachments import GRACE_S, SHOWN_S, Attachments, Limits
from processsupervisor.storage.records import Changes, Extras, FileOut, Incoming, Place, Reply, SendState

HERE = Place("net", "ada")


@pytest.fixture
def attachments(database):
    return Attachments(database, Limits(max_file_bytes=1000, max_contact_bytes=2500, max_total_bytes=4000))


def left(attachments) -> list[str]:
    return sorted(file.name for file in attachments.folder.iterdir()) if attachments.folder.exists() else []


async def pieces(*parts: bytes):
    for part in parts:
        yield part


async def test_a_file_is_kept_whole_from_bytes_a_path_or_pieces(attachments, database, tmp_path):
    """Under a name of ours, with the suffix of theirs, readable by the bot alone."""
    (tmp_path / "a.txt").write_bytes(b"path")
    for content, expected in ((b"bytes", b"bytes"), (tmp_path / "a.txt", b"path"), (pieces(b"pie", b"ces"), b"pieces")):
        path = await attachments.keep("net", "ada", "../evil/Report.PDF", content)
        kept = database.path.parent / path
        assert kept.read_bytes() == expected and kept.suffix == ".pdf" and kept.parent == attachments.folder
        assert kept.stat().st_mode & 0o077 == 0
    assert len(left(attachments)) == 3


async def test_a_file_that_is_too_big_leaves_nothing(attachments):
    """Also when that is seen in the middle of it; the way out names the key."""
    for content in (b"x" * 1001, pieces(b"x" * 600, b"x" * 600)):
        with pytest.raises(Refused) as caught:
            await attachments.keep("net", "ada", "a", content)
        assert caught.value.code == "too-big" and "max_file" in caught.value.hint
    assert left(attachments) == []


async def test_quotas_hold_for_a_contact_and_for_the_bot(attachments):
    """One contact cannot take the room of others; together they cannot take more than the bot's; what was dropped makes room."""
    first = await attachments.keep("net", "ada", "a", b"x" * 1000)
    await attachments.keep("net", "ada", "a", b"x" * 1000)
    with pytest.raises(Refused, match="kept") as caught:
        await attachments.keep("net", "ada", "a", b"x" * 600)
    assert caught.value.code == "quota"
    await attachments.keep("net", "bob", "a", b"x" * 1000)
    await attachments.keep("net", "bob", "a", b"x" * 1000)
    with pytest.raises(Refused, match="bot's files"):
        await attachments.keep("net", "eve", "a", b"x")
    await attachments.drop(first)
    await attachments.keep("net", "eve", "a", b"x")
    assert len(left(attachments)) == 4


async def test_what_was_sent_does_not_count_against_its_contact(attachments, database):
    """Its file is there for a while; that is the bot's room."""
    for number in range(3):
        path = await attachments.keep("net", "ada", "a", b"x" * 1000)
        row = (await database.accept(Incoming(HERE, f"m{number}", "ada", "hi"), None)).row
        (out,) = await database.complete(row, [Reply("file", Extras(files=(FileOut(path, "a", "text/plain"),)))], Changes(), state=SendState.WAITING)
        await database.sent(out.id, f"n{number}")
    await attachments.keep("net", "ada", "a", b"x" * 1000)
    assert len(left(attachments)) == 4
    with pytest.raises(Refused, match="bot's files"):
        await attachments.keep("net", "ada", "a", b"x" * 1000)


async def test_what_cannot_be_read_is_said_and_leaves_nothing(attachments, tmp_path):
    """A path without a file; a source that fails on the way."""
    with pytest.raises(UsageError, match="is no file"):
        await attachments.keep("net", "ada", "a", tmp_path)

    async def failing():
        yield b"x"
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        await attachments.keep("net", "ada", "a", failing())
    assert left(attachments) == []


async def test_a_folder_that_cannot_be_written_is_a_storage_error(attachments):
    """A file stands where the folder has to be."""
    attachments.folder.parent.mkdir(parents=True)
    attachments.folder.write_bytes(b"")
    with pytest.raises(StorageError, match="files"):
        await attachments.keep("net", "ada", "a", b"x")


async def test_a_sweep_leaves_what_is_still_to_be_sent(attachments, database, monkeypatch):
    """Sent ones, those of a run that was thrown away and what a kill left half go an hour later; a fresh one does not."""
    row = (await database.accept(Incoming(HERE, "m1", "ada", "hi"), None)).row
    paths = [await attachments.keep("net", "ada", "a", b"x") for _ in range(3)]
    files = [Extras(files=(FileOut(path, "a", "text/plain"),)) for path in paths]
    await database.complete(row, [Reply("", files[0]), Reply("", files[1])], Changes(), state=SendState.WAITING)
    await database.sending(["r1"])
    await database.sent("r1", "77")
    (attachments.folder / ".half.tmp").write_bytes(b"x")
    assert await attachments.sweep() == 0
    later = time.time() + GRACE_S + 60
    monkeypatch.setattr(clock, "wall", lambda: later)
    fresh = await attachments.keep("net", "ada", "a", b"x")
    os.utime(database.path.parent / fresh, (later, later))
    assert await attachments.sweep() == 3
    assert left(attachments) == sorted(path.partition("/")[2] for path in (paths[1], fresh))


async def test_what_readers_fetch_by_themselves_is_kept_for_a_day(attachments, database, monkeypatch):
    """Nobody says when they have; it does not fill the quota for ever."""
    row = (await database.accept(Incoming(HERE, "m1", "ada", "hi"), None)).row
    path = await attachments.keep("net", "ada", "a", b"x")
    await database.complete(row, [Reply("", Extras(files=(FileOut(path, "a", "text/plain"),)))], Changes())
    began = time.time()
    monkeypatch.setattr(clock, "wall", lambda: began + SHOWN_S - 60)
    assert await attachments.sweep() == 0
    monkeypatch.setattr(clock, "wall", lambda: began + SHOWN_S + 60)
    assert await attachments.sweep() == 1 and left(attachments) == []
