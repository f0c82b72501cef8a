"""What networks have in common whose readers pull: nobody is asked who the bot is, nothing is sent, nothing is fetched.

A connector of this kind shows rows by `publish` and `Port.after` alone; the engine never calls its `send`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError, Receipt
from processsupervisor.storage.records import Attachment, Outgoing, Place

SHOWN_BY_KEY = Capabilities(takes_key=True, max_text_chars=300_000, edits=True, buttons=True, files=True, drafts=True)
"""A row is shown under its id, and a draft of the same id before it. Every reply of ours fits one line of the protocol.

Rows carry their buttons, files and edits as they are; a reader without any of these says them in words (words.py)."""
MAX_FINALS = 256
"""So many ids are kept of what was shown: the engine shows a row twice only when it looks again after a commit that was in doubt."""


class Pulled:
    """The part of a connector that a network without sending leaves empty."""

    has_network = False
    is_pulled = True
    capabilities = SHOWN_BY_KEY

    def __init__(self) -> None:
        self._finals: dict[str, None] = {}
        """The ids of the last rows that were shown, oldest first."""

    def is_news(self, out: Outgoing) -> bool:
        """Tell whether a row or a piece is to be shown: its whole was not shown yet. One that is whole counts as shown from now on."""
        if out.id in self._finals:
            return False
        if out.final:
            self._finals[out.id] = None
            if len(self._finals) > MAX_FINALS:
                del self._finals[next(iter(self._finals))]
        return True

    async def identify(self) -> Identity | None:
        """Return None: there is nobody to ask."""
        return None

    async def send(self, out: Outgoing) -> Receipt:
        """Refuse. Raises NetworkError: readers take rows by themselves."""
        raise NetworkError(ErrorKind.PERMANENT, "readers of this network take messages by themselves, nothing is sent")

    def unanswered(self, place: Place, message_id: str) -> None:
        """Do nothing: only who waits for an answer needs to hear that there is none. A connector may leave this out."""

    async def typing(self, place: Place) -> None:
        """Do nothing: a draft is shown as soon as there is one."""

    async def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Refuse. Raises NetworkError: no file ever comes in here."""
        raise NetworkError(ErrorKind.PERMANENT, "files do not come in on this network")
        yield b""  # makes this the iterator of bytes that it is elsewhere
