"""The real token has one owner, and what is wrong with it is said without it."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.web.botapi.conftest import BOT, TOKEN, Stand

from processsupervisor.kernel.errors import PsvError, StorageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.botapi import proxy_variables
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.locks import hold_token, token_holder
from processsupervisor.web.botapi.owner import Owner


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "fleet").mkdir()
    return Owner(FleetPaths(tmp_path / "fleet"), {"name": BOT, "env_files": []})


@pytest.mark.parametrize("content", ["123456:AA\nBB", '"123456:AAtoken"', "AAtoken", "123456:", "", "123456:AA token"])
def test_what_is_no_token_is_refused_without_being_shown(owner: Owner, tmp_path: Path, content: str) -> None:
    """A line end, quotes, a missing half, nothing: the error says what was expected and shows nothing of it."""
    (tmp_path / "fleet" / "token.txt").write_text(content)
    with pytest.raises(PsvError) as caught:
        owner.take("file:token.txt")
    assert "@BotFather" in str(caught.value) and "telegram_proxy.token of anna" in str(caught.value)
    assert not content.strip() or content.strip() not in str(caught.value)


def test_a_reference_that_leads_nowhere_is_named(owner: Owner) -> None:
    """With its place in the configuration."""
    with pytest.raises(LaunchFailed, match=r"telegram_proxy\.token: file:nowhere"):
        owner.take("file:nowhere")


def test_a_token_has_one_owner(owner: Owner, tmp_path: Path) -> None:
    """Held by another bot of this user, in whichever fleet, it is not used a second time; the error names the holder, not the token."""
    descriptor = hold_token(FleetPaths(tmp_path / "other"), "bob", TOKEN)
    with pytest.raises(LaunchFailed, match="bot bob of the fleet in") as caught:
        owner.take(TOKEN)
    assert TOKEN not in str(caught.value)
    os.close(descriptor)
    assert owner.take(TOKEN) == TOKEN


async def test_a_bot_without_its_proxy_does_not_start_and_says_why(stand: Stand) -> None:
    """Whose token is in use gets the reason from its note; with a proxy it gets its two variables."""
    spec: dict[str, Any] = {"name": BOT, "folder": str(stand.paths.folder), "telegram_proxy": stand.settings}
    assert await asyncio.to_thread(proxy_variables, spec) == {"BOT_TOKEN": stand.token, "TELEGRAM_API_URL": stand.url}
    await stand.stop()
    descriptor = hold_token(FleetPaths(stand.paths.folder.parent / "other"), "bob", TOKEN)
    await stand.start()
    with pytest.raises(LaunchFailed, match="is in use by bot bob"):
        await asyncio.to_thread(proxy_variables, spec)
    os.close(descriptor)
    assert proxy_variables({"name": BOT, "folder": str(stand.paths.folder)}) == {}


def test_a_lock_without_room_for_its_note_is_not_kept(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the try fails, and the next one does not find the lock held by this very process."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match="No space left"):
            owner.take(TOKEN)
    assert owner.take(TOKEN) == TOKEN


async def test_what_is_wrong_with_the_file_passes_and_holds_nothing(stand: Stand) -> None:
    """A bot that starts meanwhile is told a reason that is tried again; when the file is mended the proxy opens by itself."""
    await stand.stop()
    file = stand.paths.bot_data(BOT) / "updates.db"
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE facts")
    with pytest.raises(LaunchFailed, match=r"updates\.db") as caught:
        await stand.start()
        await asyncio.to_thread(proxy_variables, {"name": BOT, "folder": str(stand.paths.folder), "telegram_proxy": stand.settings})
    assert caught.value.reason is Reason.START_FAILED and token_holder(TOKEN) is None
    for part in file.parent.glob("updates.db*"):
        part.unlink()
    async with asyncio.timeout(10):
        while "token" not in await stand.note():
            await asyncio.sleep(0.05)
