"""The way to Telegram with the real token: methods, files, and errors that never name the token.

aiohttp is imported when the first proxy opens: a web process without proxies does not have it. The library's own messages are not passed
on, since they show the address, which holds the token.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from processsupervisor.connections.direct import is_of_this_machine
from processsupervisor.web.botapi.upload import Upload
from processsupervisor.web.botapi.values import JSON_TYPE, Answer, Json, Unreachable

if TYPE_CHECKING:
    from aiohttp import ClientSession

CONNECT_S = 10.0
ANSWER_S = 60.0
UPLOAD_S = 300.0
MOST_ANSWER_BYTES = 16 << 20


class Upstream:
    """One token's connection to `url`; belongs to one loop."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._session: ClientSession | None = None

    async def ask(self, method: str, parameters: Json, timeout_s: float = ANSWER_S) -> Answer:
        """Call a method with parameters of our own. Raises Unreachable."""
        return await self.forward("POST", method, "", json.dumps(parameters).encode(), JSON_TYPE, timeout_s)

    async def forward(
        self, verb: str, method: str, query: str, body: bytes | Upload, content_type: str, timeout_s: float = ANSWER_S
    ) -> Answer:  # fmt: skip
        """Pass a request of the bot on as it is. Raises Unreachable, and Told for an upload that the bot broke off."""
        from aiohttp import ClientError, ClientTimeout

        address = f"{self._url}/bot{self._token}/{method}" + (f"?{query}" if query else "")
        headers = {"Content-Type": content_type} if content_type else {}
        data: object = body or None
        if isinstance(body, Upload):
            data, timeout_s = body.pieces(), UPLOAD_S
            if body.length is not None:
                headers["Content-Length"] = str(body.length)
        timeout = ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        try:
            async with self._open().request(
                verb, address, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                content = await answer.content.read(MOST_ANSWER_BYTES + 1)
                while len(content) <= MOST_ANSWER_BYTES and (more := await answer.content.read(MOST_ANSWER_BYTES)):
                    content += more
        except (ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as err:
            if isinstance(body, Upload) and body.failure is not None:
                raise body.failure from None
            raise Unreachable(type(err).__name__) from None
        if len(content) > MOST_ANSWER_BYTES:
            raise Unreachable(f"an answer of more than {MOST_ANSWER_BYTES >> 20} MiB")
        return Answer(answer.status, content, answer.headers.get("Content-Type", JSON_TYPE))

    @asynccontextmanager
    async def download(self, path: str) -> AsyncIterator[tuple[int, str, AsyncIterator[bytes]]]:
        """Give status, content type and content of a file. Raises Unreachable, also while the content is read."""
        from aiohttp import ClientError, ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
        try:
            address = f"{self._url}/file/bot{self._token}/{quote(path, safe='/:')}"
            async with self._open().get(address, timeout=timeout, allow_redirects=False) as answer:
                yield answer.status, answer.headers.get("Content-Type", "application/octet-stream"), answer.content.iter_chunked(65536)
        except (ClientError, TimeoutError, OSError) as err:
            raise Unreachable(type(err).__name__) from None

    def use(self, token: str) -> None:
        """Go on with another token."""
        self._token = token

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar

            self._session = ClientSession(cookie_jar=DummyCookieJar(), trust_env=not is_of_this_machine(self._url))
        return self._session
