"""JSON lines arrive whole and in order, with their descriptors; a peer that breaks the rules is cut off."""

from __future__ import annotations

import os
import socket

import pytest

from processsupervisor.ipc.lines import MAX_LINE_BYTES, MAX_OUTGOING_BYTES, LineSocket
from processsupervisor.kernel.errors import ProtocolError


def _pair() -> tuple[LineSocket, socket.socket]:
    left, right = socket.socketpair()
    return LineSocket(left), right


def test_lines_split_anywhere_arrive_whole() -> None:
    """The kernel may cut a stream wherever it likes."""
    link, peer = _pair()
    for piece in (b'{"a":1}\n{"b"', b":2", b"}\n"):
        peer.sendall(piece)
        received = link.receive()
        assert received is not None
        last = received
    assert last == [{"b": 2}]
    peer.close()
    assert link.receive() is None


def test_descriptors_come_with_their_line() -> None:
    """A received descriptor is close-on-exec and works."""
    link, peer = _pair()
    reading, writing = os.pipe()
    socket.send_fds(peer, [b'{"op":"x"}\n'], [writing])
    assert link.receive() == [{"op": "x"}]
    (received,) = link.fds
    assert not os.get_inheritable(received)
    os.write(received, b"hi")
    assert os.read(reading, 2) == b"hi"
    link.close()


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"x" * (MAX_LINE_BYTES + 2)])
def test_what_is_no_object_is_a_protocol_error(line: bytes) -> None:
    """Nothing half-understood goes on."""
    link, peer = _pair()
    peer.setblocking(False)
    sent = 0
    with pytest.raises(ProtocolError):
        while True:
            if sent < len(line):
                sent += peer.send(line[sent:])
            link.receive()


def test_a_peer_that_does_not_read_is_noticed_not_waited_for() -> None:
    """The outgoing buffer is bounded."""
    link, peer = _pair()
    accepted = 0
    while link.send({"x": "y" * 100_000}):
        accepted += 1
        assert accepted * 100_000 < MAX_OUTGOING_BYTES * 2
    assert accepted > 10
    peer.close()
