"""`Http`: a handler's requests to the web, each with a deadline and a limit on what comes back.

By aiohttp where it is installed, which keeps connections open; else by the standard library in a thread. An error names method and host
alone: addresses, headers and bodies hold tokens.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json as jsonlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from processsupervisor.bot.written import bytes_of, seconds_of
from processsupervisor.kernel.errors import PsvError, UsageError
from processsupervisor.kernel.units import format_bytes

TIMEOUT = "30s"
MOST = "10MB"


class HttpError(PsvError):
    """A request was not answered, or with an error; `status` is 0 when there was no answer."""

    code = "http"
    retryable = True

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered; the whole body is here. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: str
    """Method and host, for errors."""

    @property
    def is_ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as text, by the charset of its content type, else UTF-8."""
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        try:
            return self.body.decode(charset.split(";")[0].strip("\"' ") or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON. Raises HttpError when it is none."""
        try:
            return jsonlib.loads(self.body)
        except ValueError as err:
            raise HttpError(f"{self.asked}: the answer is no JSON", status=self.status) from err

    def checked(self) -> HttpAnswer:
        """Return this answer. Raises HttpError when the status is 400 or above."""
        if not self.is_ok:
            raise HttpError(f"{self.asked}: status {self.status}", status=self.status)
        return self


class _Asked(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    most_bytes: int

    @property
    def shown(self) -> str:
        return f"{self.method} {urlsplit(self.url).hostname}"

    def too_big(self) -> HttpError:
        return HttpError(f"{self.shown}: the answer is larger than {format_bytes(self.most_bytes)}", hint="ask with a larger `most`")


class Http:
    """Requests to the web. One for the whole bot; its connections are closed at its end."""

    def __init__(self) -> None:
        self._session: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._aiohttp: Any = None

    async def get(self, url: str, **how: Any) -> HttpAnswer:
        """Ask by GET; see request."""
        return await self.request("GET", url, **how)

    async def post(self, url: str, **how: Any) -> HttpAnswer:
        """Ask by POST; see request."""
        return await self.request("POST", url, **how)

    async def request(
        self, method: str, url: str, *, params: Mapping[str, str | int | float] | None = None, headers: Mapping[str, str] | None = None,
        json: Any = None, body: bytes | None = None, timeout: float | str = TIMEOUT, most: int | str = MOST,
    ) -> HttpAnswer:  # fmt: skip
        """Return the answer, whatever its status; `timeout` holds for all of it, `most` for its body.

        Raises HttpError when there is none, UsageError for an address that is not http or https.
        """
        asked = _asked(method, url, params, headers, json, body, bytes_of(most))
        try:
            async with asyncio.timeout(seconds := seconds_of(timeout)):
                return await self._ask(asked, seconds)
        except TimeoutError as err:
            raise HttpError(f"{asked.shown}: no answer within {timeout}") from err

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, asked: _Asked, timeout_s: float) -> HttpAnswer:
        aiohttp = self._library()
        if aiohttp is None:
            return await asyncio.to_thread(_ask_in_thread, asked, timeout_s)
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._session, self._loop = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)), loop
        try:
            async with self._session.request(asked.method, asked.url, headers=asked.headers, data=asked.body) as answer:
                found = bytearray()
                async for piece in answer.content.iter_chunked(65536):
                    found += piece
                    if len(found) > asked.most_bytes:
                        raise asked.too_big()
                return HttpAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, bytes(found), asked.shown)
        except (aiohttp.ClientError, OSError, ValueError) as err:
            raise HttpError(f"{asked.shown}: {type(err).__name__}") from None  # the chain tells the address

    def _library(self) -> Any:
        if self._aiohttp is None:
            try:
                self._aiohttp = importlib.import_module("aiohttp")
            except ImportError:
                self._aiohttp = False
        return self._aiohttp or None


def _asked(
    method: str, url: str, params: Mapping[str, str | int | float] | None, headers: Mapping[str, str] | None, json: Any, body: bytes | None,
    most_bytes: int,
) -> _Asked:  # fmt: skip
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("an address begins with http:// or https:// and names a host")
    if json is not None and body is not None:
        raise UsageError("a request has json or a body, not both")
    written = dict(headers or {})
    if json is not None:
        body = jsonlib.dumps(json).encode()
        written.setdefault("Content-Type", "application/json")
    if params:
        url = parts._replace(query="&".join(filter(None, (parts.query, urlencode(dict(params)))))).geturl()
    return _Asked(method.upper(), url, written, body, most_bytes)


def _ask_in_thread(asked: _Asked, timeout_s: float) -> HttpAnswer:
    request = urllib.request.Request(asked.url, data=asked.body, headers=asked.headers, method=asked.method)
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=timeout_s)
        except urllib.error.HTTPError as err:
            answer = err
        with answer:
            found = answer.read(asked.most_bytes + 1)
            if len(found) > asked.most_bytes:
                raise asked.too_big()
            return HttpAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, found, asked.shown)
    except (OSError, ValueError, http.client.HTTPException) as err:
        raise HttpError(f"{asked.shown}: {type(err).__name__}") from None
