"""The webhook: Telegram posts each update to the web process, which hands it to `take`; 200 is said when it is committed.

Whether Telegram still posts here is asked now and then, which is also the proof that the network is there: silence is none.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiogram.methods import GetWebhookInfo, SetWebhook

from processsupervisor.connectors.base import ErrorKind, NetworkError, Port
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.convert import NETWORK, Me, Moved
from processsupervisor.connectors.telegram.polling import NEVER, accept, read_update
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.records import Incoming, Place

WATCH_S = 25.0
_AGAIN_S = 5.0
_log = logging.getLogger("processsupervisor.telegram")


class Webhook:
    """The way in of one bot that is posted to at `url`."""

    def __init__(self, client: Client, port: Port, me: Me, allowed: Sequence[str], url: str, secret: str) -> None:
        self._client = client
        self._port = port
        self._me = me
        self._allowed = list(allowed)
        self._url = url
        self._secret = secret
        self._failure = ""

    async def run(self) -> None:
        """Have Telegram post here and watch that it does, until the bot ends or another takes the token: then the port is told."""
        try:
            while not await self._tried(self._set()):
                await asyncio.sleep(_AGAIN_S)
            while True:
                await asyncio.sleep(WATCH_S)
                await self._tried(self._look())
        except NetworkError as err:
            self._port.end(err)

    async def _tried(self, work: Any) -> bool:
        try:
            await work
        except NetworkError as err:
            if err.kind in (ErrorKind.AUTH, ErrorKind.CONFLICT):
                raise
            self._tell(err.message)
            if err.retry_after_s is not None:
                await asyncio.sleep(err.retry_after_s)
            return False
        self._port.prove(NETWORK)
        return True

    async def _set(self) -> None:
        found = await self._url_now()
        if found and not self.is_own(found):
            self._refuse()
        await self._client.call(
            SetWebhook(url=self._url, secret_token=self._secret, allowed_updates=self._allowed, drop_pending_updates=False), asks_who=True
        )

    async def _look(self) -> None:
        found = await self._url_now()
        if found != self._url:
            self._refuse()

    def _refuse(self) -> None:
        hint = "somebody else receives with this token, or took its webhook away; start the bot when that is settled"
        raise NetworkError(ErrorKind.CONFLICT, "telegram: the token's webhook is not this bot's", hint=hint)

    async def _url_now(self) -> str:
        info = await self._client.call(GetWebhookInfo(), asks_who=True)
        if not isinstance(info, dict):
            return ""
        self._tell(str(info.get("last_error_message") or "") if info.get("pending_update_count") else "")
        return str(info.get("url") or "")

    def is_own(self, url: str) -> bool:
        """Tell whether an address was given to Telegram by a life of this bot, perhaps under another host."""
        return url.rpartition("/hook/")[2] == self._url.rpartition("/hook/")[2]

    def _tell(self, failure: str) -> None:
        if failure and failure != self._failure:
            _log.warning("the webhook fails: %s", failure[:200])
        self._failure = failure

    async def take(self, secret: str, update: Mapping[str, object]) -> None:
        """Commit one posted update. Raises Refused ("forbidden": Telegram did not post it) and StorageError: it is posted again."""
        if not hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret.encode()):
            raise Refused("the update does not show this bot's secret", code="forbidden")
        self._port.prove(NETWORK)
        if not isinstance(update.get("update_id"), int):
            raise Refused("that is no update", code="bad-message")
        match read_update(dict(update), self._me):
            case Incoming() as incoming:
                await self._commit(incoming)
            case Moved(old, new):
                await self._port.moved(Place(NETWORK, old), Place(NETWORK, new))
            case None:
                pass

    async def _commit(self, incoming: Incoming) -> None:
        try:
            await asyncio.shield(accept(self._port, incoming))
        except Refused as err:
            if err.code not in NEVER:
                raise
            _log.warning("a message is left out: %s", err)  # posted again it would be refused again
