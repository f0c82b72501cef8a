"""Files that came with a message: fetched when they are asked for, whole or not at all, never more than a limit."""

from __future__ import annotations

import os

import pytest

from processsupervisor import Bot, Message, Refused, Reply
from processsupervisor.bot.files import attachment_of
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Attachment
from processsupervisor.testing import Lab

PIECES = [b"ab", b"cd", b"ef"]


def came(size: int | None = 6, fails_behind: int | None = None):
    async def fetch(_record):
        for number, piece in enumerate(PIECES):
            if number == fails_behind:
                raise NetworkError(ErrorKind.TRANSIENT, "test: cut")
            yield piece

    return attachment_of(Attachment("document", "a.txt", "text/plain", size, "ref"), fetch)


async def test_the_content_is_read_whole_or_in_pieces():
    """Again and again, each time from the network."""
    one = came()
    assert await one.read() == b"abcdef" == await one.read(6)
    assert [piece async for piece in one.chunks()] == PIECES


@pytest.mark.parametrize("size", [6, 3, None])
async def test_what_is_larger_than_asked_for_is_refused(tmp_path, size):
    """By what the network said, or by what came when it said nothing, or too little."""
    with pytest.raises(Refused) as caught:
        await came(size).read(5)
    assert caught.value.code == "too-big"
    with pytest.raises(Refused):
        await came(size).save(tmp_path / "a.txt", most="5B")
    assert os.listdir(tmp_path) == []


async def test_a_file_is_saved_whole_or_not_at_all(tmp_path):
    """What was there before stays when the network fails half-way."""
    target = tmp_path / "a.txt"
    assert await came().save(target) == target and target.read_bytes() == b"abcdef"
    target.write_bytes(b"before")
    with pytest.raises(NetworkError):
        await came(fails_behind=2).save(str(target))
    assert target.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.txt"]


def test_a_file_goes_in_and_comes_back():
    """An attachment may be put into a reply as it is; one that cannot be read fails the message."""
    bot = Bot()

    @bot.on_file
    async def back(message: Message):
        [one] = message.attachments
        return Reply(f"{one.name}: {len(await one.read())} bytes", files=[one])

    with Lab(bot) as lab:
        lab.you.sends(b"x" * 3000, "photo.jpg", mime="image/jpeg", kind="photo")
        shown = lab.sees("photo.jpg: 3000 bytes").value
        assert [(file.name, file.mime, len(file.content)) for file in shown.files] == [("photo.jpg", "image/jpeg", 3000)]
        assert shown.extras.files[0].kind == "photo"
