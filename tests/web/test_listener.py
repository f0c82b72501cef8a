"""The one port: taken, next free, kept over a kill, and what run/web.json says."""

from __future__ import annotations

import socket

import pytest

from processsupervisor.kernel.errors import ConfigError
from processsupervisor.web.listener import allowed_hosts, open_listener, url_of
from processsupervisor.web.settings import Listen


@pytest.fixture
def taken() -> object:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_taken_port_is_one_line_with_a_way_out(taken: int) -> None:
    """A taken port is an error that names it and says what to change."""
    with pytest.raises(ConfigError) as caught:
        open_listener(Listen("127.0.0.1", taken, next_free=False), None)
    assert str(taken) in str(caught.value)
    assert "next_free" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_next_free_port(taken: int) -> None:
    """With next_free the next port that can be had is taken."""
    with open_listener(Listen("127.0.0.1", taken, next_free=True), None) as listener:
        assert taken < listener.getsockname()[1] <= taken + 50


def test_port_of_the_predecessor_comes_first(taken: int) -> None:
    """The port it had before comes first while it is still allowed, so that open pages find it again."""
    with open_listener(Listen("127.0.0.1", taken, next_free=True), taken + 7) as listener:
        assert listener.getsockname()[1] == taken + 7
    with open_listener(Listen("127.0.0.1", taken, next_free=True), taken + 51) as listener:
        assert listener.getsockname()[1] != taken + 51


def test_two_servers_never_share_a_port() -> None:
    """A second listener on the same port is refused although both allow reuse."""
    with open_listener(Listen("127.0.0.1", 0, next_free=False), None) as first:
        with pytest.raises(ConfigError):
            open_listener(Listen("127.0.0.1", first.getsockname()[1], next_free=False), None)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid", "not a host"])
def test_address_of_another_machine(host: str) -> None:
    """A host that is not of this machine is a configuration error, named."""
    with pytest.raises(ConfigError) as caught:
        open_listener(Listen(host, 8450, next_free=True), None)
    assert host in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8450/"),
        ("0.0.0.0", "http://127.0.0.1:8450/"),
        ("::1", "http://[::1]:8450/"),
        ("::", "http://[::1]:8450/"),
    ],
)
def test_url_can_be_opened(host: str, url: str) -> None:
    """The address shown to people is one that a browser on this machine can open."""
    assert url_of(Listen(host, 8450, next_free=False), 8450) == url


def test_hosts_of_a_wildcard() -> None:
    """A wildcard is no name of the server; the machine's name is."""
    assert allowed_hosts(Listen("0.0.0.0", 1, next_free=False)) == {"localhost", socket.gethostname().lower()}
    assert allowed_hosts(Listen("Bots.Example", 1, next_free=False)) == {"localhost", "bots.example"}
