"""The addresses that lives of this bot have given to Telegram for its webhook: what is none of them belongs to somebody else.

An address is kept before Telegram is told it, so that the life after a kill knows it for its own, also under a changed `url`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from processsupervisor.kernel.files import read_json, write_json

_MOST = 5


class Addresses:
    """A small file beside the database; `current` is what the settings say now."""

    def __init__(self, path: Path, current: str) -> None:
        self._path = path
        self._current = current

    def has(self, url: str) -> bool:
        """Tell whether an address is this bot's, to the last letter: another fleet's bot may have the same name."""
        return url == self._current or url in self._kept()

    def note(self) -> None:
        """Keep the current one; called before Telegram is told it."""
        kept = self._kept()
        if self._current in kept[-1:]:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            former = [url for url in kept if url != self._current]
            write_json(self._path, [*former[1 - _MOST :], self._current])
        except OSError:
            pass  # a full disk: under another `url` the next life would ask for the webhook to be taken away

    def _kept(self) -> list[str]:
        content = read_json(self._path)
        return [url for url in content if isinstance(url, str)] if isinstance(content, list) else []


def host_of(url: str) -> str:
    """Return the host of an address, for an error."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "another address"
    except ValueError:
        return "another address"
