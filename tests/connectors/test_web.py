"""The web connector: the law of connectors, and the words of web.sock over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.connectors.webrig import DEADLINE_S, Peer, WebRig

from processsupervisor.connectors.web import MAX_CONNECTIONS, WebConnector
from processsupervisor.connectors.websession import MAX_EVENTS
from processsupervisor.storage.records import Outgoing, Place
from processsupervisor.testing.connectorlaw import ConnectorLaw
from processsupervisor.testing.lawbot import STATEMENT
from processsupervisor.testing.lawengine import Engine
from processsupervisor.testing.lawrig import Ability


@pytest.fixture
async def engine(tmp_path):
    made = Engine(WebConnector(tmp_path / "run" / "web.sock"), tmp_path / "data")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def connect(engine, tmp_path):
    peers: list[Peer] = []

    async def new() -> Peer:
        peers.append(await Peer(tmp_path / "run" / "web.sock").connect())
        return peers[-1]

    yield new
    for peer in peers:
        await peer.close()


class TestLaw(ConnectorLaw):
    """The law on web.sock."""

    abilities = frozenset({
        Ability.REFUSES, Ability.BYTES, Ability.REPEATS, Ability.ACKNOWLEDGES, Ability.ROOMS, Ability.REOPENS, Ability.PULLS,
        Ability.RESUMES, Ability.KEYS, Ability.DRAFTS, Ability.EDITS, Ability.BUTTONS, Ability.FILES,
    })  # fmt: skip

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[WebRig]:
        rig = WebRig(folder / "run" / "web.sock")
        yield rig
        await rig.close()


async def test_accepted_is_said_only_after_the_commit(engine, connect):
    """At the moment of "accepted" another connection to the database sees the message."""
    peer = await connect()
    for number in range(20):
        peer.send(op="post", id=f"m{number}", text=f"text {number}", conversation="default")
        await peer.op("accepted", id=f"m{number}")
        assert f"text {number}" in engine.stored()


async def test_a_repeated_id_is_accepted_again_and_handled_once(engine, connect):
    """A client that never heard "accepted" may send again."""
    peer = await connect()
    peer.send(op="subscribe", conversation="default", after=None)
    for _ in range(3):
        peer.send(op="post", id="m1", text="once", conversation="default")
    peer.send(op="post", id="m2", text="end", conversation="default")
    await peer.wait(lambda line: line.get("reply_to") == "m2")
    assert [line["id"] for line in peer.lines if line["op"] == "accepted"] == ["m1", "m1", "m1", "m2"]
    assert [line["text"] for line in peer.finals()] == [STATEMENT, "echo once", "echo end"]


async def test_a_reader_resumes_behind_what_it_saw(engine, connect):
    """`after` replays finals in order without a gap or repeat, then goes live."""
    writer = await connect()
    for number in range(250):
        writer.send(op="post", id=f"m{number}", text=str(number), conversation="default")
    await writer.op("accepted", id="m249")
    await engine.service.pump.wait_quiet()
    reader = await connect()
    reader.send(op="subscribe", conversation="default", after=101)
    for number in range(250, 300):
        writer.send(op="post", id=f"m{number}", text=str(number), conversation="default")
    await reader.wait(lambda line: line.get("reply_to") == "m299")
    seqs = [line["seq"] for line in reader.finals()]
    assert seqs == list(range(102, 302))


async def test_readers_that_join_under_load_miss_and_repeat_nothing(engine, connect):
    """Wherever the seam between replay and live falls, every final event comes exactly once and in order."""
    writer = await connect()
    readers = []
    for number in range(400):
        writer.send(op="post", id=f"m{number}", text=str(number), conversation="default")
        if number % 40 == 0:
            readers.append(await connect())
            readers[-1].send(op="subscribe", conversation="default", after=0)
            await asyncio.sleep(0.003)
    for reader in readers:
        await reader.wait(lambda line: line.get("reply_to") == "m399")
        assert [line["seq"] for line in reader.finals()] == list(range(1, 402))


async def test_pieces_carry_the_whole_text_under_one_id_and_no_seq(engine, connect):
    """Drafts grow under the reply's id; the final event has the number."""
    peer = await connect()
    peer.send(op="subscribe", conversation="default", after=None)
    peer.send(op="post", id="m1", text="stream it", conversation="default")
    final = await peer.wait(lambda line: line.get("reply_to") == "m1" and line["final"])
    drafts = [line for line in peer.lines if line["op"] == "event" and not line["final"]]
    assert drafts and all(line["seq"] is None and line["id"] == final["id"] for line in drafts)
    assert all(final["text"].startswith(line["text"]) for line in drafts) and final["seq"] is not None


async def test_events_stay_in_their_conversation(engine, connect):
    """A reader of one conversation sees nothing of another."""
    mine, other = await connect(), await connect()
    mine.send(op="subscribe", conversation="mine", after=None)
    other.send(op="subscribe", conversation="other", after=None)
    mine.send(op="post", id="m1", text="secret", conversation="mine")
    other.send(op="post", id="m1", text="x", conversation="other")
    await mine.wait(lambda line: line.get("text") == "echo secret")
    await other.wait(lambda line: line.get("text") == "echo x")
    assert all("secret" not in line.get("text", "") for line in other.lines)


async def test_history_tells_both_sides(engine, connect):
    """Oldest first, with who said it."""
    peer = await connect()
    peer.send(op="subscribe", conversation="default", after=None)
    peer.send(op="post", id="m1", text="hi", conversation="default")
    await peer.wait(lambda line: line.get("reply_to") == "m1")
    peer.send(op="history", conversation="default", limit=50)
    rows = (await peer.op("history"))["messages"]
    assert [(row["id"], row["from"], row["text"]) for row in rows] == [
        ("m1", "contact", "hi"), ("program-1", "bot", STATEMENT), ("r1", "bot", "echo hi"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "request_line",
    [
        b"not json", b"[1]", b'"x"', b"{}", b'{"op":"fly"}', b'{"op":"post","id":7,"text":"x"}', b'{"op":"post","id":"a","text":null}',
        b'{"op":"subscribe","after":"x"}', b'{"op":"subscribe","after":-1}', b'{"op":"history","limit":0}', b'{"op":"history","limit":true}',
        b"[" * 100_000, b"x" * ((1 << 20) + 2), b"\xff\xfe",
    ],
)  # fmt: skip
async def test_nonsense_closes_its_connection_only(engine, connect, request_line):
    """A peer that does not speak the protocol is told so and closed; others go on."""
    bad, good = await connect(), await connect()
    bad.writer.write(request_line + b"\n")
    assert (await bad.op("error"))["code"] == "protocol"
    await bad.op("closed")
    good.send(op="post", id="m1", text="x", conversation="default")
    await good.op("accepted", id="m1")


@pytest.mark.parametrize(("key", "value"), [("id", ""), ("id", "x" * 201), ("text", " \n"), ("conversation", "")])
async def test_a_message_without_substance_is_refused(engine, connect, key, value):
    """The connection goes on, nothing is stored."""
    peer = await connect()
    peer.send(**{"op": "post", "id": "m1", "text": "x", "conversation": "default", key: value})
    await peer.op("refused")
    assert engine.stored() == []


async def test_a_lone_surrogate_is_stored_with_a_replacement(engine, connect):
    """JSON can carry what UTF-8 cannot."""
    peer = await connect()
    peer.send(op="subscribe", conversation="default", after=None)
    peer.writer.write(b'{"op":"post","id":"m1","text":"a\\ud800b","conversation":"default"}\n')
    await peer.wait(lambda line: line.get("text") == "echo a?b")


async def test_a_reader_that_does_not_read_is_cut_off_and_can_resume(engine, connect, tmp_path):
    """The bot neither waits for it nor keeps everything for it; what it missed is in the outbox."""
    slow = socket.socket(socket.AF_UNIX)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(str(tmp_path / "run" / "web.sock"))
    slow.sendall(b'{"op":"subscribe","conversation":"default","after":null}\n')
    quick = await connect()
    quick.send(op="subscribe", conversation="default", after=None)
    count = 2 * MAX_EVENTS
    for number in range(count):
        quick.send(op="post", id=f"m{number}", text="x" * 4000, conversation="default")
        await quick.writer.drain()
        if number % 64 == 63:  # this reader keeps up: it is never further behind than a connector allows
            await quick.wait(lambda line, last=f"m{number}": line.get("reply_to") == last)
    async with asyncio.timeout(DEADLINE_S):
        while len(engine.connector.sessions) > 1:
            await asyncio.sleep(0.01)
    slow.close()
    again = await connect()
    again.send(op="subscribe", conversation="default", after=0)
    await again.wait(lambda line: line.get("reply_to") == f"m{count - 1}")
    assert len(again.finals()) == count + 1


async def test_at_most_so_many_connections(engine, connect):
    """One more is told and closed."""
    for _ in range(MAX_CONNECTIONS):
        await connect()
    extra = await connect()
    assert (await extra.op("refused"))["code"] == "too-many-connections"
    await extra.op("closed")


async def test_a_stale_socket_is_replaced_and_removed_at_the_end(tmp_path):
    """A file left by a killed bot does not hold up the next; close leaves none, and never removes a successor's."""
    path = tmp_path / "web.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    first = WebConnector(path)
    engine = Engine(first, tmp_path / "data")
    await engine.start()
    assert path.stat().st_mode & 0o777 == 0o600
    second = WebConnector(path)
    await second.open(engine.service.pump)
    await first.close()
    assert path.exists()
    await second.close()
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="paths beyond sun_path are reached through /proc")
async def test_a_very_deep_folder_works(tmp_path):
    """The length of a path is no limit."""
    folder = tmp_path
    for _ in range(12):
        folder /= "a_rather_long_folder_name"
    engine = Engine(WebConnector(folder / "web.sock"), tmp_path / "data")
    await engine.start()
    peer = await Peer(folder / "web.sock").connect()
    peer.send(op="post", id="m1", text="x", conversation="default")
    await peer.op("accepted", id="m1")
    await peer.close()
    await engine.stop()


async def test_a_committed_row_of_another_network_is_not_shown_here(engine, connect):
    """Places are told apart by network; the service asks only the network's connector, and the outbox by both."""
    row = await engine.database.send("x-1", Place("irc", "default"), "elsewhere")
    assert isinstance(row, Outgoing)
    peer = await connect()
    peer.send(op="subscribe", conversation="default", after=0)
    peer.send(op="post", id="m1", text="x", conversation="default")
    await peer.wait(lambda line: line.get("reply_to") == "m1")
    assert all(line["text"] != "elsewhere" for line in peer.finals())
