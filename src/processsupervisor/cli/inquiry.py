"""One question to a server outside, with a deadline, and its answer as JSON: for `psv doctor --online`.

Redirects are not followed, so that no token goes where nobody sent it. No text of an exception is passed on: it may hold the
address, and Telegram's addresses hold the token.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from processsupervisor.version import __version__

_MOST_BYTES = 4 << 20


class Answer(NamedTuple):
    """What came back. `status` 0 = nothing did, and `trouble` says why; `body` is empty when it was no JSON object."""

    status: int
    body: Mapping[str, object]
    trouble: str = ""
    retry_after: str = ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def ask(url: str, headers: Mapping[str, str], timeout_s: float, *, data: bytes | None = None) -> Answer:
    """GET `url`, or POST `data` to it; never raises."""
    deadline = time.monotonic() + timeout_s
    try:
        request = urllib.request.Request(url, data=data, headers={"User-Agent": f"psv/{__version__}", **headers})
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout_s) as response:
            return Answer(response.status, _json(response, deadline))
    except urllib.error.HTTPError as err:
        with err:
            return Answer(err.code, _json(err, deadline), retry_after=str(err.headers.get("Retry-After") or ""))
    except urllib.error.URLError as err:
        return Answer(0, {}, _reason(err.reason, timeout_s))
    except OSError as err:
        return Answer(0, {}, _reason(err, timeout_s))
    except (http.client.HTTPException, ValueError):
        return Answer(0, {}, "it, or the token, is not what can be sent, or what came back is no HTTP")


def host_of(url: str) -> str:
    """Return host and port of an address: what of it may be shown."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or '?'}:{parts.port}" if parts.port else parts.hostname or "?"
    except ValueError:
        return "?"


def _json(response: Any, deadline: float) -> Mapping[str, object]:
    content = b""
    try:
        while len(content) < _MOST_BYTES and time.monotonic() < deadline:
            piece = response.read1(65536)
            if not piece:
                break
            content += piece
        value = json.loads(content)
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return {}
    return value if isinstance(value, dict) else {}


def _reason(reason: object, timeout_s: float) -> str:
    match reason:
        case TimeoutError():
            return f"nothing within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({reason.verify_message})"
        case OSError() if reason.strerror:
            return reason.strerror
    return type(reason).__name__
