"""The Bot API on the one port: `/telegram/bot<stand-in>/<method>` and `/telegram/file/bot<stand-in>/<path>`, for this machine only.

Who knows the stand-in of a bot is that bot. Errors have the shape of Telegram's, since libraries read them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from processsupervisor.web.botapi.proxies import Proxies
from processsupervisor.web.botapi.proxy import Proxy
from processsupervisor.web.botapi.request import BotRequest
from processsupervisor.web.botapi.upload import Upload, check_size
from processsupervisor.web.botapi.values import JSON_TYPE, Told

LARGE_BODY_BYTES = 1 << 20
"""More than this is not held in memory."""
_METHOD = re.compile(r"[A-Za-z]{1,64}")
"""Anything else could lead elsewhere: `getUpdates?offset=9`, once decoded, is Telegram's own getUpdates."""


class BotApiRoutes:
    """The endpoints of all proxies."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def routes(self) -> list[Route]:
        """Return what the application has to serve."""
        return [
            Route("/telegram/bot{token}/{method}", self.method, methods=["GET", "POST"]),
            Route("/telegram/file/bot{token}/{path:path}", self.file, methods=["GET"]),
        ]

    async def method(self, request: Request) -> Response:
        """Answer a method."""
        name = request.path_params["method"]
        try:
            _check_peer(request)
            proxy = self._proxies.find(request.path_params["token"])
            if _METHOD.fullmatch(name) is None:
                raise Told(404, "Not Found: method not found")
            async with contextlib.AsyncExitStack() as turn:
                body, upload = await _read(request, proxy, turn)
                call = BotRequest(request.method, name, request.url.query, body, request.headers.get("content-type", ""), upload)
                try:
                    answer = await proxy.answer(call)
                finally:
                    if upload is not None:
                        await upload.drain()
        except Told as err:
            return _told(err)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def file(self, request: Request) -> Response:
        """Pass a file on, piece by piece."""
        stack = contextlib.AsyncExitStack()
        try:
            _check_peer(request)
            proxy = self._proxies.find(request.path_params["token"])
            if {".", ".."} & set(request.path_params["path"].split("/")):
                raise Told(404, "Not Found")
            status, kind, content = await stack.enter_async_context(proxy.download(request.path_params["path"]))
        except Told as err:
            await stack.aclose()
            return _told(err)
        return StreamingResponse(_closing(stack, content), status, media_type=kind)


async def _closing(stack: contextlib.AsyncExitStack, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with stack:
        async for piece in content:
            yield piece


async def _read(request: Request, proxy: Proxy, turn: contextlib.AsyncExitStack) -> tuple[bytes, Upload | None]:
    """Return the body, or the beginning of one that is large, which has to wait for its turn; that lasts until `turn` ends."""
    said = request.headers.get("content-length", "")
    length = int(said) if said.isdecimal() and len(said) < 20 else None
    check_size(length or 0)
    head = bytearray()
    rest = aiter(request.stream())
    try:
        async for chunk in rest:
            head += chunk
            if len(head) > LARGE_BODY_BYTES:
                await turn.enter_async_context(proxy.uploads)
                return bytes(head), Upload(bytes(head), rest, length)
    except ClientDisconnect as err:
        raise Told(400, "Bad Request: the client went away while it sent") from err
    return bytes(head), None


def _check_peer(request: Request) -> None:
    """Refuse who is not on this machine, also where the page is open to others."""
    peer = request.client.host if request.client is not None else ""
    server = request.scope.get("server")
    try:
        is_local = ipaddress.ip_address(peer).is_loopback
    except ValueError:
        is_local = False
    if not is_local and (not server or peer != server[0]):
        raise Told(403, "Forbidden: this Bot API is for bots on its own machine")


def _told(error: Told) -> Response:
    return Response(error.body, error.status, media_type=JSON_TYPE)
