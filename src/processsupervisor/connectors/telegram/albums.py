"""Albums in groups: Telegram brings each file as a message, and only the one with the caption says whom it speaks to.

What speaks to the bot there is the album. That its messages are handled as one is the engine's affair (chat/debounce.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processsupervisor.connectors.telegram.convert import Moved
from processsupervisor.storage.records import Incoming

_MOST = 100


class Albums:
    """Remembers which of the last albums spoke to the bot: their other files may come with the next batch."""

    def __init__(self) -> None:
        self._addressed: dict[tuple[str, str], None] = {}

    def address(self, batch: Sequence[Incoming | Moved | None]) -> list[Incoming | Moved | None]:
        """Return a batch in which every file of such an album speaks to the bot."""
        for found in batch:
            if isinstance(found, Incoming) and found.envelope.album and found.envelope.is_addressed:
                self._addressed[_key(found)] = None
        while len(self._addressed) > _MOST:
            del self._addressed[next(iter(self._addressed))]
        return [self._addressed_of(found) if isinstance(found, Incoming) else found for found in batch]

    def _addressed_of(self, found: Incoming) -> Incoming:
        if found.envelope.is_addressed or not found.envelope.album or _key(found) not in self._addressed:
            return found
        return replace(found, envelope=replace(found.envelope, is_addressed=True))


def _key(incoming: Incoming) -> tuple[str, str]:
    return incoming.place.conversation, incoming.envelope.album
