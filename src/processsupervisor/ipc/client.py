"""The synchronous client of psvd's control socket, for the command line and scripts.

Standard library only and quick to import: `psv bot list` spends its time in the interpreter's start, not here.
One request at a time a connection; nothing is retried.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import AnswerLost, NoSupervisor, ProtocolError, PsvError, from_wire
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.paths import FleetPaths, short_socket_path

_LOOK_FIRST = "what was asked may have been done all the same: see psv ls and psv events before you ask again"


def connect_unix(path: str | os.PathLike[str], timeout_s: float | None) -> socket.socket:
    """Connect to a unix stream socket however long its path is. Raises OSError as connect does."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    folder = -1
    try:
        if hasattr(os, "O_PATH"):
            folder = os.open(Path(path).parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        client.connect(short_socket_path(path, folder if folder >= 0 else None))
    except OSError:
        client.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return client


def _absence(paths: FleetPaths) -> NoSupervisor:
    """Return the error for a fleet whose psvd cannot be reached; bots that live on without one are told of."""
    command = f"psv -C {shlex.quote(str(paths.folder))} up"
    living = living_bots(paths)
    if not living:
        return NoSupervisor(f"no supervisor runs for {paths.folder}", hint=f"start it with: {command}")
    bots = "1 bot runs" if living == 1 else f"{living} bots run"
    return NoSupervisor(f"no supervisor runs for {paths.folder}; {bots} on without one", hint=f"take over with: {command}")


def living_bots(paths: FleetPaths) -> int:
    """Return how many bots hold their lock, whoever looks after them."""
    try:
        return sum(_is_held(lock) for lock in paths.run.glob("bots/*/lock"))
    except OSError:  # psv up empties the folder in this moment: what it held is void
        return 0


def _is_held(lock: Path) -> bool:
    try:
        return is_flocked(lock)
    except OSError:
        return False


class ControlClient:
    """One connection to the psvd of a fleet; use as a context manager or call close().

    Raises NoSupervisor on construction when nothing answers at the socket, AnswerLost when psvd ends while it is asked.
    """

    def __init__(self, paths: FleetPaths, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._next_id = 0
        try:
            self._socket = connect_unix(paths.socket("psv"), timeout_s)
        except PermissionError as err:
            raise NoSupervisor(f"may not connect to the supervisor of {paths.folder}", hint="it belongs to another user") from err
        except OSError as err:
            raise _absence(paths) from err
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a running stream ends."""
        self._file.close()
        self._socket.close()

    def call(self, op: str, args: dict[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        """Return the result of one operation; raises the PsvError that the other side answered with."""
        stream = self.stream(op, args, timeout_s)
        while True:
            try:
                next(stream)
            except StopIteration as end:
                return end.value

    def stream(
        self, op: str, args: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> Generator[dict[str, Any], None, Any]:
        """Yield the events of an operation and return its result.

        `timeout_s` bounds the silence between two lines, None means the client's own, 0 means none.
        """
        self._next_id += 1
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        self._socket.settimeout(wait_s or None)
        request = {"id": self._next_id, "op": op, "args": args or {}}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as err:
            raise NoSupervisor("the supervisor closed the connection", hint="try again; see psv status") from err
        while True:
            answer = self._read(wait_s)
            if "event" in answer:
                yield answer["event"]
            elif answer.get("ok"):
                return answer.get("result")
            else:
                raise from_wire(answer.get("error") or {})

    def _read(self, wait_s: float) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except TimeoutError as err:
            message = f"no answer from the supervisor within {wait_s:g} s"
            raise PsvError(message, hint="see psv status and psv doctor", code="timeout") from err
        except OSError as err:
            raise AnswerLost("the connection to the supervisor broke", hint=_LOOK_FIRST) from err
        if not line.endswith(b"\n"):
            raise AnswerLost("the supervisor ended before it answered", hint=_LOOK_FIRST)
        try:
            answer = json.loads(line)
        except ValueError as err:
            raise ProtocolError("the supervisor answered with something that is not JSON") from err
        if not isinstance(answer, dict):
            raise ProtocolError("the supervisor answered with something that is not an object")
        return answer
