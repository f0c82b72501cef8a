"""Large bodies flow through the proxy: not held, whole or refused, and answered also when Telegram answers before their end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, FormData, web
from tests.web.botapi.conftest import Stand

from processsupervisor.testing.botapi.people import ADA
from processsupervisor.web.botapi import intake, upload
from processsupervisor.web.botapi.backlog import Backlog

MIB = 1 << 20


async def send(stand: Stand, data: Any, **headers: str) -> tuple[int, Any]:
    async with ClientSession() as session, session.post(f"{stand.url}/bot{stand.token}/sendDocument", data=data, headers=headers) as answer:
        return answer.status, await answer.json()


def form(content: bytes) -> FormData:
    found = FormData({"chat_id": str(ADA.id), "caption": "here"})
    found.add_field("document", content, filename="x.bin")
    return found


async def serve(stand: Stand, handle: Any) -> web.AppRunner:
    """Put another server in Telegram's place."""
    app = web.Application(client_max_size=100 * MIB)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await stand.stop()
    stand.settings["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await stand.start()
    return runner


@pytest.mark.parametrize("size", [100, MIB - 1000, 5 * MIB])
async def test_a_file_arrives_as_it_was(stand: Stand, size: int) -> None:
    """Small ones as a whole, large ones in pieces, byte for byte."""
    stand.crowd.says("hi")
    content = os.urandom(size)
    status, answer = await send(stand, form(content))
    assert (status, answer["ok"]) == (200, True)
    shown = stand.crowd.shown[-1].message["document"]
    assert isinstance(shown, dict) and stand.api.known(stand.crowd.token).files.find(shown["file_id"]).content == content


async def test_a_large_body_is_on_its_way_before_it_has_come(stand: Stand) -> None:
    """What the bot has not sent yet cannot be held: Telegram reads while the bot writes; the length is said as the bot said it."""
    read, lengths = asyncio.Event(), []

    async def handle(request: web.Request) -> web.Response:
        lengths.append(request.headers.get("Content-Length"))
        seen = 0
        async for piece in request.content.iter_any():
            seen += len(piece)
            if seen >= 2 * MIB:
                read.set()
        return web.json_response({"ok": True, "result": seen})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * MIB
        async with asyncio.timeout(10):
            await read.wait()
        yield b"x" * MIB

    runner = await serve(stand, handle)
    try:
        assert (await send(stand, pieces()))[1]["result"] == 4 * MIB
        assert (await send(stand, pieces(), **{"Content-Length": str(4 * MIB)}))[1]["result"] == 4 * MIB
    finally:
        await runner.cleanup()
    assert lengths == [None, str(4 * MIB)]


async def test_an_answer_before_the_end_is_heard(stand: Stand) -> None:
    """A server that refuses without reading is no reason for the bot to hear of a cut connection."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)

    runner = await serve(stand, handle)
    try:
        assert await send(stand, b"x" * (20 * MIB)) == (401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("is_said", [True, False])
async def test_more_than_telegram_takes_is_refused_here(stand: Stand, monkeypatch: pytest.MonkeyPatch, is_said: bool) -> None:
    """Before it is read where its length is said, else at the limit; Telegram gets no part of it for the whole."""
    monkeypatch.setattr(upload, "MOST_BODY_BYTES", 3 * MIB)
    whole = []

    async def handle(request: web.Request) -> web.Response:
        whole.append(len(await request.read()))
        return web.json_response({"ok": True, "result": True})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * MIB

    runner = await serve(stand, handle)
    try:
        status, answer = await send(stand, form(b"x" * (4 * MIB)) if is_said else pieces())
        assert (status, answer["description"]) == (413, "Request Entity Too Large")
        assert whole == [] and (await stand.call("getMe"))["ok"]
    finally:
        await runner.cleanup()


async def test_a_bot_that_dies_while_it_sends_leaves_nothing_half(stand: Stand) -> None:
    """Telegram sees a request that ends too soon, and shows no file; the next call goes on."""
    stand.crowd.says("hi")
    body = b"".join([b"POST %s/bot%s/sendDocument HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n" % (
        b"/telegram", stand.token.encode()), b'--b\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n7\r\n--b\r\n'
        b'Content-Disposition: form-data; name="document"; filename="x"\r\n\r\n', b"x" * (3 * MIB)])  # fmt: skip
    host, port = stand.url.removeprefix("http://").partition("/")[0].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(body)
    await writer.drain()
    writer.transport.abort()
    assert (await send(stand, form(b"y" * (2 * MIB))))[1]["ok"]
    assert [shown.text for shown in stand.crowd.shown] == ["here"]


def test_what_is_remembered_has_a_number_too(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy bot's confirmed updates are not kept for two days whatever they are; the numbers go on growing."""
    from processsupervisor.web.botapi import backlog as module

    monkeypatch.setattr(module, "MOST_REMEMBERED", 10)
    found = Backlog(tmp_path / "updates.db")
    for number in range(1, 41):
        found.add([{"update_id": number, "message": {"text": "x" * 5000}}], 1.0)
    full = found.used_bytes()
    found.take(36, 100, 2.0)
    found.expire(0.0, 3.0)
    assert found.waiting() == 5 and found.used_bytes() < full / 2
    assert found.add([{"update_id": 39, "message": {"text": "x" * 5000}}], 3.0) == 0
    assert [one["update_id"] for one in found.take(0, 100, 4.0)] == [36, 37, 38, 39, 40]
    found.close()


async def test_a_client_that_never_confirms_fills_no_disk(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of the file what comes stays with Telegram; when the bot has confirmed, it goes on."""
    monkeypatch.setattr(intake, "MOST_BYTES", 300_000)
    for number in range(150):
        stand.crowd.says(f"{number:04}" + "x" * 4000)
    assert len(await stand.updates(timeout=5)) == 100
    await stand.updates(timeout=0)
    account = stand.api.known(stand.crowd.token)
    async with asyncio.timeout(10):
        while stand.api.known(stand.crowd.token).called["getUpdates"] < 1 or (await stand.call("getWebhookInfo"))["result"]["pending_update_count"] < 150:
            await asyncio.sleep(0.01)
    asked = account.called["getUpdates"]
    await asyncio.sleep(0.2)
    assert account.called["getUpdates"] <= asked + 1 and len(account.updates.waiting) >= 50
    seen: list[int] = []
    async with asyncio.timeout(10):
        while len(seen) < 150:
            updates = await stand.updates(timeout=5, offset=seen[-1] + 1 if seen else 0)
            seen += [update["update_id"] for update in updates]
    assert len(set(seen)) == 150
