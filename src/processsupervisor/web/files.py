"""The files of a bot's replies over HTTP: what a reply on the page links to, as long as the bot keeps it.

A file is known by a name that nobody can guess, is given away as bytes to be saved, and is never shown in the page: it is as foreign as
whoever made it. The bot may run as another user and change its folder at any time: a file is opened once, and what was opened is what is
looked at and given away.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from processsupervisor.kernel.files import open_folder, open_plain, opened
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.problem import Problem
from processsupervisor.web.settings import Applied

_FOLDER = "files"
_PIECE_BYTES = 64 * 1024
_KEPT = re.compile(r"[0-9a-f]{24}(\.[a-z0-9]{1,10})?")


class BotFiles:
    """GET /chat/NAME/files/FILE."""

    def __init__(self, applied: Applied, paths: FleetPaths) -> None:
        self._applied = applied
        self._paths = paths

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(f"/chat/{{name}}/{_FOLDER}/{{file}}", self.get, methods=["GET"])]

    async def get(self, request: Request) -> Response:
        """Return a file whole; 404 when it is not kept any more."""
        bot = self._applied.chat_bot(request.path_params["name"]).name
        file = request.path_params["file"]
        gone = Problem(404, "no-file", "this file is not kept any more", hint="ask the bot for it again")
        if not _KEPT.fullmatch(file):
            raise gone
        try:
            with opened(open_folder(self._paths.bot_data(bot))) as data, opened(open_folder(_FOLDER, within=data)) as folder:
                descriptor = open_plain(file, within=folder, is_only_name=True)
        except PermissionError as err:
            hint = "the bot runs as another user"
            raise Problem(403, "no-access", f"the web process may not read the files of {bot}", hint=hint) from err
        except OSError as err:
            raise gone from err
        return _OpenFile(descriptor)


class _OpenFile(StreamingResponse):
    """The bytes of an open file, as many as it has now; it is closed at the end, whatever became of the answer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._bytes = os.fstat(descriptor).st_size
        headers = {"Content-Disposition": "attachment", "Cache-Control": "no-store", "Content-Length": str(self._bytes)}
        super().__init__(self._pieces(), headers=headers, media_type="application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and, unless only that was asked for, the bytes."""
        try:
            if scope["method"] == "HEAD":
                await Response(headers=self.headers)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)

    async def _pieces(self) -> AsyncIterator[bytes]:
        sent = 0
        while sent < self._bytes:
            piece = await run_in_threadpool(os.pread, self._descriptor, min(_PIECE_BYTES, self._bytes - sent), sent)
            if not piece:
                return  # it was cut meanwhile; the server breaks off the answer, which is shorter than was said
            sent += len(piece)
            yield piece
