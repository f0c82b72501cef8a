"""The control socket: each line is answered by one line, and an error says whose fault it was."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from tests.commands.fakefleet import FakeFleet

from processsupervisor.supervisor.control import ControlServer


async def _ask(server: ControlServer, path: Path, *lines: bytes) -> list[dict[str, object]]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    await server.serve(listener)
    reader, writer = await asyncio.open_unix_connection(str(path))
    answers = []
    for line in lines:
        writer.write(line + b"\n")
        answers.append(json.loads(await asyncio.wait_for(reader.readline(), 10)))
    writer.close()
    server.close()
    return answers


async def test_what_is_no_request_is_told_so_and_the_connection_goes_on(tmp_path: Path) -> None:
    """No JSON, JSON that is too deep, no object; the next line is served."""
    server = ControlServer(FakeFleet(str(tmp_path)), set, None)
    lines = (b"hello", b"[" * 100_000, b"[1]", b'{"id": 4, "op": "ping"}')
    *refused, pong = await _ask(server, tmp_path / "s", *lines)
    messages = [answer["error"]["message"] for answer in refused]  # type: ignore[index]
    assert messages == ["the request is not JSON", "the request is not JSON", "a request is a JSON object {id, op, args}"]
    assert (pong["id"], pong["ok"]) == (4, True)


async def test_a_command_that_breaks_inside_is_not_blamed_on_the_request(tmp_path: Path) -> None:
    """A ValueError of ours is ours, and is logged; the answer bears the number of the request."""

    class Broken(FakeFleet):
        async def status(self) -> dict[str, object]:
            raise ValueError("ours")

    server = ControlServer(Broken(str(tmp_path)), set, None)
    (answer,) = await _ask(server, tmp_path / "s", b'{"id": 7, "op": "fleet.status"}')
    assert answer["id"] == 7 and answer["error"]["message"] == "psvd failed inside"  # type: ignore[index]
