"""Telegram as a Connector: one token, received by polling or by a webhook.

Nothing is asked before `identify`; what it asks for is answered by polling.py or webhook.py on the way in, sending.py on the way out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from aiogram.methods import GetMe

from processsupervisor.connections.buckets import Buckets, Limits
from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError, Port, Receipt
from processsupervisor.connectors.telegram import BOT_FILE, DRAFTS_FILE
from processsupervisor.connectors.telegram.addresses import Addresses
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.convert import NETWORK, Me
from processsupervisor.connectors.telegram.drafts import Drafts
from processsupervisor.connectors.telegram.errors import no_answer
from processsupervisor.connectors.telegram.former import Former
from processsupervisor.connectors.telegram.polling import Polling
from processsupervisor.connectors.telegram.sending import Sending
from processsupervisor.connectors.telegram.settings import TelegramSettings
from processsupervisor.connectors.telegram.webhook import Webhook
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.storage.records import Attachment, Outgoing, Place

_AGAIN_S = 5.0
_log = logging.getLogger("processsupervisor.telegram")
CAPABILITIES = Capabilities(max_text_chars=4096, markup=True, edits=True, buttons=True, files=True, typing=True, drafts=True)


class TelegramConnector:
    """Serves bot `name` with the token of `settings`; files to be sent lie below `folder`. `limits` are Telegram's if none are given."""

    network = NETWORK
    has_network = True
    is_pulled = False
    capabilities = CAPABILITIES

    def __init__(self, settings: TelegramSettings, name: str, folder: Path, limits: Limits | None = None) -> None:
        self._settings = settings
        self._folder = folder
        self._url = f"{settings.url}/hook/{quote(name)}"
        self._client: Client | None = None
        self._buckets = Buckets(limits)
        self._me: Me | None = None
        self._port: Port | None = None
        self._sending: Sending | None = None
        self._drafts: Drafts | None = None
        self._webhook: Webhook | None = None
        self._receiving: asyncio.Task[None] | None = None

    async def identify(self) -> Identity:
        """Ask Telegram who the token is of. Raises NetworkError: AUTH when it is refused or of another bot than expected."""
        found = await self._calls().call(GetMe(), asks_who=True)
        if not isinstance(found, dict) or not isinstance(found.get("id"), int):
            raise no_answer(self._calls().server)
        me = Me(found["id"], str(found.get("username") or ""))
        expect = self._settings.expect
        if expect and expect != str(me.id) and expect.lower() != f"@{me.username.lower()}":
            hint = "put the token of the right bot where networks.telegram.token points, or change expect"
            raise NetworkError(ErrorKind.AUTH, f"telegram: the token is of @{me.username} ({me.id}), not of {expect}", hint=hint)
        self._me = me
        return Identity(str(me.id), me.username)

    async def open(self, port: Port) -> None:
        """Begin to receive. Raises NetworkError when nobody has been identified yet and cannot be."""
        if self._me is None:
            await self.identify()
        assert self._me is not None
        self._port = port
        port.prove(NETWORK)  # it has just said who the bot is
        client, settings = self._calls(), self._settings
        former = Former(self._folder / BOT_FILE, self._me.id, await _has_past(port))
        self._me = self._me._replace(prefix=former.prefix)
        self._sending = Sending(client, self._buckets, self._folder, port.network_id)
        self._drafts = Drafts(client, self._buckets, self._folder / DRAFTS_FILE, port)
        own = Addresses(self._folder / "telegram-hooks.json", self._url)
        webhook = Webhook(client, port, self._me, settings.allowed_updates, self._url, settings.secret, own)
        if settings.mode == "webhook":
            self._webhook = webhook
            receive = webhook.run
        else:
            receive = Polling(client, port, self._me, settings.allowed_updates, own.has, former).run
        self._receiving = asyncio.get_running_loop().create_task(_keep(receive))

    def _calls(self) -> Client:
        if self._client is None:
            self._client = Client(self._settings)
        return self._client

    async def take(self, secret: str, update: Mapping[str, object]) -> None:
        """Commit an update that the web process was posted. Raises Refused and StorageError; the sender tries again."""
        if self._webhook is None:
            raise Refused("this bot is not received by a webhook", hint='mode = "webhook" in networks.telegram', code="forbidden")
        await self._webhook.take(secret, update)

    def publish(self, out: Outgoing) -> None:
        """Show a piece of a reply that grows; final texts are sent."""
        if not out.final and self._drafts is not None:
            self._drafts.show(out)

    async def send(self, out: Outgoing) -> Receipt:
        """Send a committed row. Raises NetworkError."""
        if self._port is None or self._sending is None or self._drafts is None:
            raise NetworkError(ErrorKind.TRANSIENT, "telegram: the connector is not open")
        receipt = await self._sending.send(out, await self._drafts.settle(out))
        self._drafts.done(out)
        self._port.prove(NETWORK)
        return receipt

    async def typing(self, place: Place) -> None:
        """Show that an answer is being made. Whatever goes wrong is not told."""
        if self._sending is not None:
            await self._sending.typing(place.conversation)

    async def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Yield the content of a file that came in. Raises NetworkError."""
        async for piece in self._calls().download(attachment.ref):
            yield piece

    async def close(self) -> None:
        """End receiving and sending; what was not confirmed to Telegram comes again at the next start."""
        receiving, self._receiving = self._receiving, None
        self._port = self._webhook = None
        if receiving is not None:
            receiving.cancel()
            await asyncio.wait((receiving,))
        if self._drafts is not None:
            self._drafts.close()
        if self._client is not None:
            await self._client.close()


async def _has_past(port: Port) -> bool:
    """Tell whether the bot's database knows how far Telegram was read; what cannot be read has a past."""
    try:
        return await port.cursor(NETWORK) is not None
    except PsvError:
        return True


async def _keep(receive: Callable[[], Awaitable[None]]) -> None:
    """Receive until that ends by itself; a fault of ours must not leave the bot deaf for ever."""
    while True:
        try:
            await receive()
            return
        except Exception:  # noqa: BLE001 - the outermost loop of this task
            _log.exception("receiving failed; it begins again in %g s", _AGAIN_S)
            await asyncio.sleep(_AGAIN_S)
