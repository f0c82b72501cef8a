"""The files of a bot's replies over HTTP: what a reply on the page links to, as long as the bot keeps it.

A file is known by a name that nobody can guess, is given away as bytes to be saved, and is never shown in the page: it is as foreign as
whoever made it.
"""

from __future__ import annotations

import os
import re

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.problem import Problem
from processsupervisor.web.settings import Applied

_FOLDER = "files"
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
        path = self._paths.bot_data(bot) / _FOLDER / file
        if not _KEPT.fullmatch(file) or path.is_symlink() or not path.is_file():
            raise Problem(404, "no-file", "this file is not kept any more", hint="ask the bot for it again")
        if not os.access(path, os.R_OK):
            raise Problem(403, "no-access", f"the web process may not read the files of {bot}", hint="the bot runs as another user")
        headers = {"Content-Disposition": "attachment", "Cache-Control": "no-store"}
        return FileResponse(path, headers=headers, media_type="application/octet-stream")
