"""Files of replies over HTTP: what is given away is what was looked at, however the bot changes its folder meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.files import BotFiles
from processsupervisor.web.problem import Problem

NAME = "a" * 24 + ".txt"
SECRET = b"what only the web process may read"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = FleetPaths(tmp_path / "fleet").bot_data("echo") / "files"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    applied = SimpleNamespace(chat_bot=lambda name: SimpleNamespace(name=name))
    routes = BotFiles(cast(Any, applied), FleetPaths(tmp_path / "fleet")).routes()

    async def refuse(_: object, problem: Exception) -> Response:
        return Response(status_code=cast(Problem, problem).status)

    with TestClient(Starlette(routes=routes, exception_handlers={Problem: refuse})) as client:
        yield client


def get(client: TestClient, method: str = "GET") -> httpx.Response:
    return cast(httpx.Response, client.request(method, f"/chat/echo/files/{NAME}"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [0, 5, 200_000])
def test_a_kept_file_comes_whole(client: TestClient, folder: Path, size: int) -> None:
    """GET gives its bytes, HEAD their number; no descriptor stays open."""
    content = os.urandom(size)
    (folder / NAME).write_bytes(content)
    get(client)
    before = descriptors()
    whole, head = get(client), get(client, "HEAD")
    assert (whole.status_code, whole.content) == (200, content)
    assert (head.status_code, head.content) == (200, b"")
    for answer in (whole, head):
        assert answer.headers["content-length"] == str(size) and answer.headers["content-disposition"] == "attachment"
        assert answer.headers["content-type"] == "application/octet-stream" and answer.headers["cache-control"] == "no-store"
    assert descriptors() == before


@pytest.mark.parametrize("put", [os.symlink, os.link, lambda _, file: os.mkfifo(file), lambda _, file: file.mkdir(), lambda _, file: None],
                         ids=["symlink", "hard link", "fifo", "folder", "nothing"])  # fmt: skip
def test_what_is_no_plain_file_of_the_bots_is_not_kept(client: TestClient, folder: Path, secret: Path, put: Callable[[Path, Path], None]) -> None:
    """A link leads to another's file, a FIFO would hold up the web process."""
    put(secret, folder / NAME)
    get(client)
    before = descriptors()
    answer = get(client)
    assert (answer.status_code, answer.content) == (404, b"") and descriptors() == before


@pytest.mark.parametrize("part", ["files", "echo"])
def test_a_link_as_folder_is_not_followed(client: TestClient, folder: Path, tmp_path: Path, part: str) -> None:
    """Neither in the place of files/ nor in the place of the bot's folder."""
    link = folder if part == "files" else folder.parent
    link.rename(tmp_path / "moved")
    link.symlink_to(tmp_path / "moved")
    (folder / NAME).write_bytes(SECRET)
    assert get(client).status_code == 404


def test_a_file_that_changes_its_kind_all_the_time_never_leads_elsewhere(client: TestClient, folder: Path, secret: Path) -> None:
    """Own file and link in turn, as fast as can be: an answer is the own file or a 404."""
    stop, fresh = threading.Event(), folder / "fresh"

    def flip() -> None:
        while not stop.is_set():
            fresh.write_bytes(b"mine")
            fresh.replace(folder / NAME)
            fresh.symlink_to(secret)
            fresh.replace(folder / NAME)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        answers = [(answer.status_code, answer.content) for answer in (get(client) for _ in range(300))]
    finally:
        stop.set()
        thread.join()
    assert set(answers) <= {(200, b"mine"), (404, b"")}


def test_what_is_opened_is_what_is_given(client: TestClient, folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to another's file from right after it was opened; the answer is the file that was there."""
    (folder / NAME).write_bytes(b"mine")
    to_the_system = os.open

    def turned(path: Any, *rest: Any, **more: Any) -> int:
        descriptor = to_the_system(path, *rest, **more)
        if path == NAME:
            (folder / NAME).rename(folder / "moved")
            (folder / NAME).symlink_to(secret)
        return descriptor

    monkeypatch.setattr(os, "open", turned)
    answer = get(client)
    assert (answer.status_code, answer.content) == (200, b"mine") and (folder / NAME).is_symlink()
