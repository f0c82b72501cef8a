"""Requests to the web: deadline, limit, errors without a word of the address; by aiohttp and by the standard library alike."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from processsupervisor import Bot, Http, HttpError
from processsupervisor.kernel.errors import UsageError
from processsupervisor.testing import Lab


@pytest.fixture
async def server():
    """A web server of the test's own; returns its address."""
    over = asyncio.Event()

    async def echo(request: web.Request) -> web.Response:
        found = {"method": request.method, "query": dict(request.query), "body": (await request.read()).decode(),
                 "type": request.headers.get("Content-Type", ""), "mine": request.headers.get("X-Mine", "")}  # fmt: skip
        return web.json_response(found, status=int(request.query.get("status", "200")), headers={"X-Theirs": "yes"})

    async def slow(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async def text(_request: web.Request) -> web.Response:
        return web.Response(body="grün".encode("latin-1"), headers={"Content-Type": 'text/plain; charset="latin-1"'})

    async def big(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 5000)

    app = web.Application()
    app.add_routes([web.route("*", "/echo", echo), web.get("/slow", slow), web.get("/text", text), web.get("/big", big)])

    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    over.set()
    await runner.cleanup()


@pytest.fixture(params=["aiohttp", "the standard library"])
async def http(request, monkeypatch):
    made = Http()
    if request.param != "aiohttp":
        made._aiohttp = False  # as where it is not installed
    yield made
    await made.close()


async def test_an_answer_has_status_headers_text_and_json(http, server):
    """Parameters are added to those in the address; JSON says its type."""
    found = await http.post(f"{server}/echo?a=1", params={"b": "two words"}, headers={"X-Mine": "me"}, json={"n": 1})
    assert found.is_ok and found.status == 200 and found.headers["x-theirs"] == "yes"
    assert found.json() == {"method": "POST", "query": {"a": "1", "b": "two words"}, "body": '{"n": 1}', "type": "application/json", "mine": "me"}
    assert (await http.get(f"{server}/text")).text == "grün"
    assert (await http.request("put", f"{server}/echo", body=b"raw")).json()["method"] == "PUT"


async def test_an_error_is_an_answer_until_it_is_checked(http, server):
    """Then it names the status."""
    found = await http.get(f"{server}/echo", params={"status": 503})
    assert not found.is_ok and found.json()["method"] == "GET"
    with pytest.raises(HttpError) as caught:
        found.checked()
    assert caught.value.status == 503 and (await http.get(f"{server}/echo")).checked().is_ok


async def test_no_error_says_more_than_method_and_host(http, server):
    """Tokens stand in addresses, and in what was sent."""
    secret = "s3cr3t"
    port = server.rpartition(":")[2]
    asked = [
        http.get(f"http://127.0.0.1:1/{secret}?token={secret}"),
        http.get(f"http://me:{secret}@127.0.0.1:1/"),
        http.get(f"{server}/slow?{secret}", timeout=0.05),
        http.get(f"{server}/big?{secret}", most="1KB"),
        http.get(f"http://127.0.0.1:{port}/\r\n{secret}: x", headers={secret: "a\nb"}),
        http.get(f"{server}/echo", headers={"X-Mine": f"a\r\n{secret}: x"}),
    ]
    for one in asked:
        with pytest.raises((HttpError, UsageError)) as caught:
            await one
        shown = f"{caught.value} {caught.value.__cause__}"
        assert secret not in shown and ("GET 127.0.0.1" in shown or isinstance(caught.value, UsageError)), shown
        assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, TimeoutError)


async def test_what_is_no_json_is_an_error(http, server):
    """Of ours, with the status."""
    with pytest.raises(HttpError, match="no JSON"):
        (await http.get(f"{server}/text")).json()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org", "example.org", "http://"])
async def test_only_the_web_is_asked(http, url):
    """No files of the machine."""
    with pytest.raises(UsageError, match="http"):
        await http.get(url)


async def test_a_body_is_said_once(http):
    """JSON or bytes."""
    with pytest.raises(UsageError, match="not both"):
        await http.post("http://127.0.0.1:1", json={}, body=b"")


async def test_connections_are_closed_with_the_bot_and_opened_anew(http, server):
    """A later life, on another loop, has its own."""
    assert (await http.get(f"{server}/echo")).is_ok
    await http.close()
    await http.close()
    assert (await http.get(f"{server}/echo")).is_ok


def test_a_bot_closes_its_connections_at_its_end():
    """However often it lives."""
    bot = Bot()
    closed = []

    async def close():
        closed.append(1)

    bot.http.close = close  # type: ignore[method-assign]
    bot.http._session = object()

    @bot.on_message
    async def handler(message):
        return "hi"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.restart()
        lab.say("hi")
    assert len(closed) == 2
