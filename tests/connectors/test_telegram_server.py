"""Who is asked, by which way, and how much is read of what it says: another server, a proxy, an answer without end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.connectors.telegramrig import TOKEN

from processsupervisor.connections.direct import is_of_this_machine, shown_url
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram import client as module
from processsupervisor.connectors.telegram import errors, make
from processsupervisor.testing.botapi.server import BotApi

ME = {"ok": True, "result": {"id": 123456, "is_bot": True, "first_name": "Bot", "username": "n123456_bot"}}
NOT_FOUND = {"ok": False, "error_code": 404, "description": "Not Found"}


@contextlib.asynccontextmanager
async def serving(answer: web.Response, heard: list[str] | None = None) -> AsyncIterator[str]:
    """A server that gives everybody one answer; `heard` gets what was asked for, as it stood in the request."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if heard is not None:
            heard.append(request.raw_path)
        return web.Response(body=answer.body, status=answer.status, content_type=answer.content_type)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def identified(tmp_path, base_url: str) -> NetworkError | None:
    """Ask who the bot is and return the error that says it cannot be."""
    connector = make({"token": TOKEN, "base_url": base_url}, "anna", tmp_path)
    try:
        await connector.identify()
    except NetworkError as err:
        assert TOKEN.partition(":")[2] not in f"{err}{err.hint}{err.__cause__}"
        return err
    finally:
        await connector.close()
    return None


async def test_a_wrong_path_is_not_told_as_a_refused_token(tmp_path) -> None:
    """Telegram says 401 of a token; its 404 speaks of the path, so the server is named and both are asked for."""
    async with serving(web.json_response(NOT_FOUND, status=404)) as url:
        err = await identified(tmp_path, f"{url}/wrong")
    assert err is not None and err.kind == ErrorKind.AUTH
    assert err.message == f"telegram: {url}/wrong knows no such token or path (404)" and "base_url" in err.hint


async def test_telegrams_own_404_is_of_the_token() -> None:
    """Where base_url is not set it is not at fault."""
    from aiogram.exceptions import TelegramNotFound

    err = errors.network_error(TelegramNotFound(method=None, message="Not Found"), asks_who=True)  # type: ignore[arg-type]
    assert (err.kind, err.message) == (ErrorKind.AUTH, "telegram: the token is refused")


async def test_a_token_that_is_refused_there_is_told_as_that(api: BotApi, tmp_path) -> None:
    """401 is of the token, whoever the server is."""
    api.revoke(TOKEN)
    err = await identified(tmp_path, api.url)
    assert err is not None and (err.kind, err.message) == (ErrorKind.AUTH, "telegram: the token is refused")


@pytest.mark.parametrize("answer", [
    web.Response(text="<html>nginx</html>", status=404, content_type="text/html"), web.json_response({"detail": "Not Found"}, status=404),
    web.json_response({"ok": False}, status=500), web.Response(body=b"\xff\xfe\x00", status=200), web.Response(text="[" * 100_000)],
    ids=["page", "other json", "nothing said", "no text", "deep"])  # fmt: skip
async def test_a_server_that_is_none_of_the_bot_api_is_named(tmp_path, answer: web.Response) -> None:
    """The bot is not ended for it: it may be a gateway that comes back; user and password in the address are not told."""
    async with serving(answer) as url:
        err = await identified(tmp_path, url.replace("//", "//user:hidden@"))
    assert err is not None and err.kind == ErrorKind.TRANSIENT
    assert f"the answer of {url} is not of the Bot API (status {answer.status})" in err.message
    assert "base_url" in err.hint and "hidden" not in f"{err.message}{err.hint}"


async def test_a_server_that_is_not_there_is_named(tmp_path) -> None:
    """The first thing to look at is where the bot asks."""
    async with serving(web.json_response(ME)) as url:
        pass
    err = await identified(tmp_path, url)
    assert err is not None and f"{url} cannot be reached" in err.message


async def test_an_answer_without_end_is_not_read_to_its_end(tmp_path, monkeypatch) -> None:
    """What is longer than any answer of the Bot API is none of it, and takes no more memory than that."""
    monkeypatch.setattr(module, "MOST_ANSWER_BYTES", 100_000)
    sent = 0

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"[" * 50_000)
            sent += 1

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        err = await identified(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert err is not None and "is not of the Bot API" in err.message and err.is_uncertain
    assert sent < 1000


async def test_the_proxy_of_the_environment_is_used(tmp_path, monkeypatch) -> None:
    """HTTP_PROXY leads to it, NO_PROXY around it."""
    heard: list[str] = []
    async with serving(web.json_response(ME), heard) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await identified(tmp_path, "http://telegram.invalid") is None
        assert heard == [f"http://telegram.invalid/bot{TOKEN}/getMe"]
        monkeypatch.setenv("no_proxy", "telegram.invalid")
        err = await identified(tmp_path, "http://telegram.invalid")
    assert err is not None and "http://telegram.invalid cannot be reached" in err.message and len(heard) == 1


async def test_a_proxy_that_lets_nobody_through_is_told(tmp_path, monkeypatch) -> None:
    """The refused tunnel is not taken for a call that may have been carried out."""
    async with serving(web.Response(status=407)) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        err = await identified(tmp_path, "https://telegram.invalid")
    assert err is not None and not err.is_uncertain and "the proxy refused the way to https://telegram.invalid (407)" in err.message


async def test_no_proxy_is_asked_for_a_server_of_this_machine(api: BotApi, tmp_path, monkeypatch) -> None:
    """It could not reach it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert await identified(tmp_path, api.url) is None


@pytest.mark.parametrize(("url", "is_here"), [
    ("http://127.0.0.1:8081", True), ("http://127.8.0.1", True), ("http://[::1]:80/x", True), ("http://localhost:8081", True),
    ("http://api.localhost", True), ("https://api.telegram.org", False), ("http://10.0.0.1", False), ("http://localhost.example.org", False)])
def test_which_servers_are_of_this_machine(url: str, is_here: bool) -> None:
    """By the name alone."""
    assert is_of_this_machine(url) is is_here


def test_an_address_is_shown_without_its_secrets() -> None:
    """User, password and query stay out of errors."""
    assert shown_url("https://u:p@host:8443/path?key=1") == "https://host:8443/path"
    assert shown_url("http://[::1]:80/x") == "http://[::1]:80/x" and shown_url("http://[") == "its address"
