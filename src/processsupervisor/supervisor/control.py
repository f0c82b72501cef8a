"""psv.sock: people's commands. Checks who the peer is, then hands each request to the registry of commands.

0600 and SO_PEERCRED; a peer that stands in the tree of a bot is refused, so that no bot can command the fleet. `ping` is
answered here, whatever else is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from processsupervisor.commands.ports import Caller, FleetPort
from processsupervisor.commands.registry import dispatch
from processsupervisor.ipc.lines import MAX_LINE_BYTES
from processsupervisor.kernel.errors import PsvError, Refused, UsageError, to_wire
from processsupervisor.kernel.identity import read_stat
from processsupervisor.version import PROTOCOL, __version__

_log = logging.getLogger("psv.control")
MAX_CONNECTIONS = 256
_UCRED = struct.Struct("3i")
_MAX_ANCESTORS = 64


class ControlServer:
    """The server of psv.sock; `bot_pids` gives the first processes of all bots, members of `group` are served too."""

    def __init__(self, port: FleetPort, bot_pids: Callable[[], set[int]], group: str | None) -> None:
        self._port = port
        self._group = group
        self._bot_pids = bot_pids
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def serve(self, listener: socket.socket) -> None:
        """Accept on a socket that is already listening."""
        self._server = await asyncio.start_unix_server(self._talk, sock=listener, limit=MAX_LINE_BYTES)

    def close(self) -> None:
        """Stop accepting."""
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        running: set[asyncio.Task[None]] = set()
        try:
            caller = self._identify(writer)
            while line := await reader.readline():
                task = asyncio.get_running_loop().create_task(self._serve(line, caller, writer))
                running.add(task)
                task.add_done_callback(running.discard)
                if len(running) > 32:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            self._connections -= 1
            for task in running:
                task.cancel()
            with contextlib.suppress(OSError):
                writer.close()

    def _identify(self, writer: asyncio.StreamWriter) -> Caller | PsvError:
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if self._connections > MAX_CONNECTIONS:
            return Refused(f"{MAX_CONNECTIONS} connections are open already", hint="try again in a moment")
        if uid not in (0, os.getuid()) and not (self._group and _is_member(uid, gid, self._group)):
            return Refused("the control socket serves its owner only", hint="[control] group in fleet.toml lets others in")
        bots = self._bot_pids()
        for _ in range(_MAX_ANCESTORS):
            facts = read_stat(pid)
            if pid in bots or (facts is not None and facts[2] in bots):
                return Refused("a bot may not command the fleet it runs in", hint="run psv outside of the bot")
            if facts is None or facts[1] == 0:
                break
            pid = facts[1]
        return Caller(uid, _user_name(uid), "control")

    async def _serve(self, line: bytes, caller: Caller | PsvError, writer: asyncio.StreamWriter) -> None:
        """Answer one request with exactly one answer line; events come before it."""
        request: dict[str, Any] = {}
        try:
            request = _request_in(line)
            answer = {"ok": True, "result": await self._perform(request, caller, writer)}
        except PsvError as err:
            answer = {"ok": False, "error": to_wire(err)}
        except Exception:  # noqa: BLE001 - outermost: one broken command must not take psvd along
            _log.exception("a command failed", extra={"op": str(request.get("op"))})
            answer = {"ok": False, "error": to_wire(PsvError("psvd failed inside", hint="see .psv/logs/psv/psvd.log"))}
        await _send(writer, {"id": request.get("id"), **answer})

    async def _perform(self, request: dict[str, Any], caller: Caller | PsvError, writer: asyncio.StreamWriter) -> object:
        if request.get("op") == "ping":
            return {"version": __version__, "protocol": PROTOCOL, "pid": os.getpid()}
        if isinstance(caller, PsvError):
            raise caller

        async def emit(event: dict[str, object]) -> None:
            await _send(writer, {"id": request.get("id"), "event": event})

        arguments = request.get("args") or {}
        if not isinstance(arguments, dict):
            raise UsageError("args is a JSON object")
        return await dispatch(self._port, str(request.get("op")), arguments, caller, emit)


def _request_in(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as err:
        raise UsageError("the request is not JSON") from err
    if not isinstance(request, dict):
        raise UsageError("a request is a JSON object {id, op, args}")
    return request


def _is_member(uid: int, gid: int, group: str) -> bool:
    import grp

    try:
        entry = grp.getgrnam(group)
    except KeyError:
        return False
    return gid == entry.gr_gid or _user_name(uid) in entry.gr_mem


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


async def _send(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")
    await writer.drain()
