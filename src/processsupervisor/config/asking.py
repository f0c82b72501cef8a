"""The two questions that supervisord and pm2 answer about their programs, over the socket that their own command line tools use.

Everything has one deadline and a most; an answer is data, of which nothing is run. Standard library only.
"""

from __future__ import annotations

import base64
import json
import socket
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

ASK_S = 2.0
_SILENT_S = 30.0
"""One that hangs is not asked again for so long: psvd asks on its own loop, for each bot that is started."""
_MOST_BYTES = 16 << 20
_PIECE = 1 << 16


_silent_until: dict[str, float] = {}


class NoAnswerError(Exception):
    """It did not say; the text is why."""


def ask_supervisord(url: str, method: str, user: str = "", password: str = "") -> Any:
    """Call an XML-RPC method without arguments at `unix://PATH` or `http://HOST:PORT`; raises NoAnswerError."""
    key = base64.b64encode(f"{user}:{password}".encode()).decode()
    body = xmlrpc.client.dumps((), f"supervisor.{method}").encode()
    head = ["POST /RPC2 HTTP/1.0", "Content-Type: text/xml", f"Content-Length: {len(body)}"]
    if user:
        head.append(f"Authorization: Basic {key}")
    answer = _exchange(url, "\r\n".join([*head, "", ""]).encode() + body, lambda _: False)
    first, _, content = answer.partition(b"\r\n\r\n")
    words = first.split(b"\r\n", 1)[0].split(None, 2)
    if len(words) < 2 or words[1] != b"200":
        raise NoAnswerError("it wants another user and password" if words[1:2] == [b"401"] else "it does not speak XML-RPC there")
    try:
        [value], _ = xmlrpc.client.loads(content)
    except Exception as err:  # a fault, or no XML-RPC: the parser raises its own, expat's and ValueError
        raise NoAnswerError(f"its answer to {method} is none ({type(err).__name__})") from err
    return value


def ask_pm2(home: str) -> Any:
    """Return what `pm2 jlist` prints, asked of the daemon of a PM2_HOME as pm2 asks it; raises NoAnswerError."""
    call = b"j:" + json.dumps({"type": "call", "method": "getMonitorData", "args": [{}]}).encode()
    parts = [call, b"s:psv:0"]
    message = bytes([1 << 4 | len(parts)]) + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    answer = _exchange(f"unix://{Path(home) / 'rpc.sock'}", message, lambda got: _first_part(got) is not None)
    part = _first_part(answer)
    try:
        return json.loads((part or b"")[2:])["args"][0]
    except (ValueError, LookupError, TypeError) as err:
        raise NoAnswerError("its answer is not that of a pm2 that psv knows") from err


def _first_part(got: bytes) -> bytes | None:
    """Return the first part of an AMP message (a byte, then each part behind its length in 4 bytes), None while it is not whole."""
    length = int.from_bytes(got[1:5], "big")
    return got[5 : 5 + length] if len(got) >= 5 + length > 5 else None


def _exchange(url: str, request: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
    now = time.monotonic()
    if now < _silent_until.get(url, now):
        raise NoAnswerError(f"it did not answer within {ASK_S:.0f} s when it was asked last")
    until = now + ASK_S
    scheme, _, address = url.partition("://")
    try:
        with socket.socket(socket.AF_UNIX if scheme == "unix" else socket.AF_INET, socket.SOCK_STREAM) as link:
            link.settimeout(ASK_S)
            host, _, port = address.rpartition(":")
            link.connect(address if scheme == "unix" else (host, int(port)))
            link.sendall(request)
            answer = bytearray()
            while len(answer) < _MOST_BYTES and not is_whole(bytes(answer)):
                link.settimeout(max(until - time.monotonic(), 0.001))
                piece = link.recv(_PIECE)
                if not piece:
                    break
                answer += piece
    except TimeoutError as err:
        _silent_until[url] = time.monotonic() + _SILENT_S
        raise NoAnswerError(f"it does not answer within {ASK_S:.0f} s") from err
    except (OSError, ValueError) as err:
        raise NoAnswerError(f"{address}: {getattr(err, 'strerror', None) or 'no address of a socket'}") from err
    return bytes(answer)
