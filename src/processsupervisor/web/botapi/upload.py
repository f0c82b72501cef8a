"""The body of a request that is too long to be held: its beginning is, for what the proxy itself has to know; the rest flows through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from processsupervisor.web.botapi.values import Told

MOST_BODY_BYTES = 52 << 20
"""Telegram takes files of 50 MB."""
DRAIN_S = 10.0


class Upload:
    """Passes on `head` and what `rest` brings; `length` as the bot has said it. `failure` is what went wrong on the bot's side."""

    def __init__(self, head: bytes, rest: AsyncIterator[bytes], length: int | None) -> None:
        self._head = head
        self._rest = rest
        self._taken = len(head)
        self.length = length
        self.failure: Told | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the whole body once. Raises Told, which stays as `failure`: the request must not end as if it were whole."""
        yield self._head
        async for piece in self._pieces():
            yield piece

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._rest:
                self._taken += len(piece)
                check_size(self._taken)
                yield piece
        except ClientDisconnect:
            self.failure = Told(400, "Bad Request: the client went away while it sent")
            raise self.failure from None
        except Told as err:
            self.failure = err
            raise

    async def drain(self) -> None:
        """Read what nobody took, within a time: a bot that still sends does not hear an answer."""
        if self.failure is not None:
            return
        with contextlib.suppress(Told, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._pieces():
                    pass


def check_size(size_bytes: int) -> None:
    """Raise Told for more than Telegram takes."""
    if size_bytes > MOST_BODY_BYTES:
        raise Told(413, "Request Entity Too Large")
