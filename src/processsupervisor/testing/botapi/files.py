"""The files of one bot: what people and the bot itself sent, by file_id, and the paths under which they are fetched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from processsupervisor.testing.botapi.values import Json, Upload, bad_request

MAX_DOWNLOAD_BYTES = 20 * 1024 * 1024
_FOLDERS = {"photo": "photos", "document": "documents", "voice": "voice", "audio": "music", "video": "videos", "sticker": "stickers"}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `size_bytes` may be more than there is: for a test of a limit nobody needs the bytes."""

    id: str
    unique_id: str
    path: str
    name: str
    mime: str
    content: bytes
    size_bytes: int

    @property
    def json(self) -> Json:
        """Return what every object of a file has."""
        return {"file_id": self.id, "file_unique_id": self.unique_id, "file_size": self.size_bytes}


class Files:
    """All files of one bot; a file_id is worth nothing to another."""

    def __init__(self) -> None:
        self._by_id: dict[str, StoredFile] = {}
        self._by_path: dict[str, StoredFile] = {}

    def add(self, kind: str, upload: Upload, size_bytes: int | None = None) -> StoredFile:
        """Keep a file of a kind (photo, document, …) and return it."""
        number = len(self._by_id) + 1
        unique = hashlib.sha256(upload.content + upload.name.encode()).hexdigest()[:16]
        suffix = upload.name.rpartition(".")[2] if "." in upload.name else "bin"
        path = f"{_FOLDERS.get(kind, 'documents')}/file_{number}.{suffix}"
        size = len(upload.content) if size_bytes is None else size_bytes
        stored = StoredFile(f"{kind}-{number}-{unique}", unique, path, upload.name, upload.mime, upload.content, size)
        self._by_id[stored.id] = self._by_path[path] = stored
        return stored

    def find(self, file_id: str) -> StoredFile:
        """Return the file of an id. Raises Rejected as Telegram does for one that it does not know."""
        try:
            return self._by_id[file_id]
        except KeyError:
            raise bad_request("wrong file identifier/HTTP URL specified") from None

    def downloadable(self, file_id: str) -> Json:
        """Return the answer to getFile. Raises Rejected for a file that a bot may not fetch."""
        if file_id not in self._by_id:
            raise bad_request("invalid file_id")
        stored = self._by_id[file_id]
        if stored.size_bytes > MAX_DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        return stored.json | {"file_path": stored.path}

    def at(self, path: str) -> StoredFile | None:
        """Return the file behind a file_path."""
        return self._by_path.get(path)
