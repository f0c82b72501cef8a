"""The web process as a process: its lock, its note, its end, and that it may be killed at any time."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.web.webfleet import DEADLINE_S, Fleet, wait_for

from processsupervisor.kernel.files import is_flocked


def test_note_and_lock(fleet: Fleet) -> None:
    """While it runs it holds run/web.lock, and run/web.json (0600) names its url, pid and port."""
    note = fleet.note()
    assert note == {"url": f"http://127.0.0.1:{note['port']}/", "pid": fleet.web.pid, "port": note["port"]}
    assert is_flocked(fleet.paths.role_lock("web"))
    assert (fleet.paths.run / "web.json").stat().st_mode & 0o777 == 0o600
    fleet.kill_web()
    assert not is_flocked(fleet.paths.role_lock("web"))


def test_second_one_waits_and_gives_up(fleet: Fleet) -> None:
    """A second web process of the fleet does nothing while the first runs: one line, status 75, the note untouched."""
    note = fleet.note()
    second = fleet.spawn_web()
    out, err = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 75
    assert (out + err).startswith(f'web: web.lock is held by {{"pid": {fleet.web.pid}, '.encode())
    assert fleet.note() == note


def test_successor_takes_over_when_the_first_ends(fleet: Fleet) -> None:
    """A successor that was started too early takes the lock as soon as the first is gone, on the same port."""
    url, first = fleet.url, fleet.web
    fleet.web = fleet.spawn_web()
    first.terminate()
    assert first.wait(DEADLINE_S) == 0
    first.stdout.close()
    first.stderr.close()
    wait_for("the successor", lambda: fleet.note().get("pid") == fleet.web.pid)
    assert fleet.url == url
    assert fleet.client.get(url).status_code == 200


def test_taken_port_is_78(tmp_path: Path) -> None:
    """A taken port ends it with one line and status 78, which is not retried."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        fleet = Fleet(tmp_path / "fleet", listen_port=port)
        process = fleet.spawn_web()
        _, err = process.communicate(timeout=DEADLINE_S)
        fleet.close()
    assert process.returncode == 78
    assert err.decode().count("\n") == 1
    assert f"port {port}" in err.decode()


def test_killed_one_comes_back_on_its_port(tmp_path: Path) -> None:
    """With next_free it comes back on the port it had, although the configured one has become free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        fleet = Fleet(tmp_path / "fleet", listen_port=other.getsockname()[1], next_free=True)
        fleet.start_web()
        url = fleet.url
    fleet.kill_web()
    fleet.start_web()
    assert fleet.url == url
    fleet.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_within_a_second_with_open_streams(fleet: Fleet, number: int) -> None:
    """SIGTERM and SIGINT end it within a second with status 0, streams open, one of them stuck, a post unanswered."""
    fleet.start_bot("guide")
    fleet.start_supervisor()
    port = fleet.note()["port"]
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(fleet.events("/chat/guide/events?last_event_id=0"))
        bots = stack.enter_context(fleet.events("/api/events"))
        next(bots)
        stuck = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(b"GET /chat/guide/events?last_event_id=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for message in range(30):
            assert fleet.post("guide", {"id": f"m{message}", "text": "x" * 50000}).status_code == 202
        fleet.bot_processes["guide"].send_signal(signal.SIGSTOP)
        posting = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        body = b'{"id":"m","text":"x"}'
        posting.sendall(
            b"POST /chat/guide/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        began = time.monotonic()
        assert fleet.kill_web(number) == 0
        assert time.monotonic() - began < 1.0
        with contextlib.suppress(Exception):
            list(events)


def test_idle_process_connects_to_nothing(fleet: Fleet) -> None:
    """With nobody looking it has no connection but its listener, and uses no processor time."""
    fleet.start_supervisor()
    fleet.client.get(fleet.url)
    with fleet.events("/api/events") as events:
        next(events)
    fleet.client.close()

    def sockets() -> int:
        folder = Path(f"/proc/{fleet.web.pid}/fd")
        targets = []
        for entry in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed while we look
                targets.append(str(entry.readlink()))
        return sum("socket:" in target for target in targets)

    wait_for("only the listener and asyncio's own pair", lambda: sockets() == 3)
    calls = len(fleet.supervisor.calls)
    ticks = _ticks(fleet.web.pid)
    time.sleep(1.5)  # the law is that nothing happens in this time
    assert len(fleet.supervisor.calls) == calls
    assert _ticks(fleet.web.pid) - ticks <= 1


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_deep_folder(tmp_path: Path) -> None:
    """A folder far deeper than a socket address works, with spaces and letters of other alphabets in it."""
    fleet = Fleet(tmp_path / "ein Ordner mit Läge" / ("d" * 120) / "flotte")
    fleet.start_web()
    fleet.start_bot("guide")
    assert fleet.post("guide", {"id": "m1", "text": "hello"}).status_code == 202
    fleet.close()


@pytest.mark.parametrize("port", ["x", -1, 70000, None])
def test_wrong_port_in_the_configuration(tmp_path: Path, port: object) -> None:
    """A port that is none ends it with 78 and one line, not with a traceback."""
    fleet = Fleet(tmp_path / "fleet", listen_port=port)
    process = fleet.spawn_web()
    _, err = process.communicate(timeout=DEADLINE_S)
    fleet.close()
    assert (process.returncode, err.decode().count("\n")) == (78, 1)


def test_silent_and_broken_clients(fleet: Fleet) -> None:
    """Garbage, half requests and connections that say nothing harm nobody else."""
    port = fleet.note()["port"]
    with contextlib.ExitStack() as stack:
        for start in (
            b"",
            b"\x16\x03\x01\x02",
            b"GET / HTT",
            b"POST /chat/guide/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
        ):
            for _ in range(5):
                raw = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                raw.sendall(start)
        assert fleet.client.get(fleet.url).status_code == 200


def test_too_many_streams(fleet: Fleet) -> None:
    """The 41st stream of one bot and the 257th of all are 503 with Retry-After; a closed one makes room."""
    requests = [f"/chat/{bot}/events" for bot in ("guide", "notes") for _ in range(40)] + ["/api/events"] * 176
    port = fleet.note()["port"]

    def refused(path: str) -> tuple[int, str]:
        answer = fleet.client.get(fleet.url + path)
        assert "retry-after" in answer.headers
        return answer.status_code, answer.json()["code"]

    with contextlib.ExitStack() as stack:
        opened = []
        for path in requests:
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert raw.recv(12) == b"HTTP/1.1 200"
            opened.append(raw)
            if len(opened) == 40:
                assert refused("/chat/guide/events") == (503, "too-many-streams")
        assert refused("/api/events") == (503, "too-many-streams")
        opened[-1].close()

        def opens() -> bool:
            with fleet.client.stream("GET", fleet.url + "/api/events") as answer:
                return answer.status_code == 200

        wait_for("room for one more", opens)
