"""Who may ask: names of the server, pages of other sites, and the headers that every answer has."""

from __future__ import annotations

import socket

import pytest
from tests.web.webfleet import Fleet

from processsupervisor.web.guard import Guard

JSON = {"Content-Type": "application/json"}


async def _no_app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("not asked here")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8450", "127.9.9.9", "[::1]:8450", "bots.example:80"])
def test_own_names(host: str) -> None:
    """Loopback in every spelling and the configured name are ours."""
    assert Guard(_no_app, frozenset({"localhost", "bots.example"}), any_address=False).is_allowed_host(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5", "", ":80", "a b", "localhost:x", "localhost/x",
     "user@localhost", "[::1", "localhost:99999", "0.0.0.0"],
)  # fmt: skip
def test_foreign_names(host: str) -> None:
    """A name that somebody else's name server may point here is refused, and so is what is no name."""
    assert not Guard(_no_app, frozenset({"localhost"}), any_address=False).is_allowed_host(host)


def test_wildcard_takes_literal_addresses_only() -> None:
    """Listening on every address, each literal address is ours; foreign names still are not."""
    guard = Guard(_no_app, frozenset({"localhost"}), any_address=True)
    assert guard.is_allowed_host("192.168.1.5:8450")
    assert guard.is_allowed_host("[fe80::1]")
    assert not guard.is_allowed_host("evil.example")


def test_rebound_name_is_refused_everywhere(fleet: Fleet) -> None:
    """A request by a foreign name is refused before anything else, on every path, also when there are two names."""
    for path in ("/", "/static/page.js", "/api/bots", "/chat/guide/history", "/nowhere"):
        answer = fleet.client.get(fleet.url + path, headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (421, "host-refused")
    with socket.create_connection(("127.0.0.1", fleet.note()["port"]), 10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert raw.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 421")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1", "file://", ""])
def test_foreign_origin_may_not_post(fleet: Fleet, origin: str) -> None:
    """A page of another origin, another port included, cannot make the browser post."""
    fleet.start_bot("guide")
    answer = fleet.post("guide", {"id": "m", "text": "x"}, Origin=origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")


def test_own_origin_may_post(fleet: Fleet) -> None:
    """The page's own origin may, and so may a program that sends none."""
    fleet.start_bot("guide")
    assert fleet.post("guide", {"id": "m", "text": "x"}, Origin=fleet.url).status_code == 202
    assert fleet.post("guide", {"id": "m", "text": "x"}).status_code == 202


def test_other_sites_may_not_read(fleet: Fleet) -> None:
    """A browser says when another site asks: only opening the page is allowed then."""
    for site in ("cross-site", "same-site"):
        assert fleet.client.get(f"{fleet.url}/chat/guide/events", headers={"Sec-Fetch-Site": site}).status_code == 403
        assert fleet.client.get(fleet.url, headers={"Sec-Fetch-Site": site}).status_code == 200


def test_headers_of_every_answer(fleet: Fleet) -> None:
    """Policy and nosniff are on answers and refusals; no inline script is allowed and the page holds none."""
    for address, headers in (("/", {}), ("/nowhere", {}), ("/", {"Host": "evil.example"}), ("/api/bots", {})):
        answer = fleet.client.get(fleet.url + address, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    page = fleet.client.get(fleet.url).text
    assert "<script>" not in page
    assert " style=" not in page
    assert " on" not in page.split("<body>")[0]


def test_only_the_post_changes_anything(fleet: Fleet) -> None:
    """No address takes a GET for a message, and no other method is known anywhere."""
    fleet.start_bot("guide")
    assert fleet.client.get(f"{fleet.url}/chat/guide/messages?id=m&text=x").status_code == 405
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/", "/api/bots", "/api/events", "/chat/guide/events", "/chat/guide/history"):
            assert fleet.client.request(method, fleet.url + path, json={}).status_code == 405
