"""The page and its files, read once from the package and served with an entity tag.

Nothing outside the list below can be asked for. The page holds no script of its own: the content policy forbids inline ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    tag: str


class Page:
    """Serves the files of web/static."""

    def __init__(self) -> None:
        self._files = {path.name: _load(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}

    async def index(self, request: Request) -> Response:
        """GET /: the page."""
        return self._answer(request, "index.html")

    async def static(self, request: Request) -> Response:
        """GET /static/NAME: its style, script and signs."""
        return self._answer(request, request.path_params["file"])

    def _answer(self, request: Request, name: str) -> Response:
        file = self._files.get(name)
        if file is None:
            raise HTTPException(404)
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.media_type)


def _load(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
