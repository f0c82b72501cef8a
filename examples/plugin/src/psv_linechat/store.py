"""A store: values of a bot in a JSON file that people can read and edit.

    prices = bot.use_store("jsonfile", file="prices.json")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def make(settings: Mapping[str, Any], name: str, folder: Path) -> JsonFile:
    """Return the store of the bot `name`; a relative path lies below its data folder."""
    return JsonFile(folder / str(settings.get("file", "values.json")))


class JsonFile:
    """One file. Each write replaces it whole, so that a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}

    async def open(self) -> None:
        """Read the file, if there is one."""
        if self._path.exists():
            self._values = json.loads(self._path.read_text())

    async def read(self, key: str) -> str | None:
        """Return the JSON text under a key."""
        return json.dumps(self._values[key]) if key in self._values else None

    async def write(self, key: str, text: str | None) -> None:
        """Keep a JSON text, or forget the key."""
        if text is None:
            self._values.pop(key, None)
        else:
            self._values[key] = json.loads(text)
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.write_text(json.dumps(self._values, indent=2, ensure_ascii=False))
        fresh.replace(self._path)

    async def keys(self) -> Iterable[str]:
        """Return all keys."""
        return list(self._values)

    async def close(self) -> None:
        """Nothing is left to do: each write is in the file."""
