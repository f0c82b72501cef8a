"""Long polling: what comes is committed, then confirmed by the offset of the next call. A poll is under way, or a batch is committed.

The offset is the number behind the last update that Telegram gave, in its order, and not the highest: after a silent week, or at
another server of the Bot API, the numbers begin anew somewhere, and who only counts upwards is given the same updates for ever. What
comes twice is known by the ids of its messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from aiogram.methods import DeleteWebhook, GetMe, GetUpdates, GetWebhookInfo
from aiogram.types import Update

from processsupervisor.connectors.base import ErrorKind, NetworkError, Port, check_incoming
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.convert import NETWORK, Me, Moved, incoming_of, unreadable_of
from processsupervisor.connectors.telegram.former import Former
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.storage.records import Accepted, Incoming, Kind, Place

POLL_S = 25
"""How long Telegram holds a poll open; a bot's networks must prove themselves more often than its `connected` limit."""
_GRACE_S = 10
_LIMIT = 100
_FORGET_AFTER_S = 6 * 24 * 3600.0
"""Update numbers begin anew after a week of silence (core.telegram.org/bots/api#update): before that the offset is let go."""
_CONFLICT_S = 60.0
"""A second conflict within this time is no accident."""
_BACKOFF_S = (1.0, 30.0)
_PAUSE_S = 1.0
"""Behind an answer that came at once and brought nothing new: a server that does not hold polls must not be asked in a circle."""
_HOLD_S = (0.05, 1.0)
_PROVE_S = 20.0
NEVER = frozenset({"empty", "too-long", "bad-message"})
"""Refusals that the same message always gets."""
_log = logging.getLogger("processsupervisor.telegram")


def read_update(raw: dict[str, Any], me: Me) -> Incoming | Moved | None:
    """Return what one update says; one that aiogram cannot read becomes a message of a new kind."""
    try:
        found = incoming_of(Update.model_validate(raw), me)
    except (ValueError, TypeError, LookupError, AttributeError) as err:
        _log.warning("update %s is of a kind that this version does not know (%s)", raw.get("update_id"), type(err).__name__)
        found = unreadable_of(raw)
    return replace(found, id=me.prefix + found.id) if me.prefix and isinstance(found, Incoming) else found


def accept(port: Port, incoming: Incoming) -> asyncio.Future[Accepted]:
    """Hand a message over. Raises Refused, with a code out of NEVER for what no network of ours takes."""
    if incoming.kind in (Kind.MESSAGE, Kind.EDIT) and not incoming.envelope.attachments:
        check_incoming(incoming.place, incoming.id, incoming.text)
    return port.accept(incoming)


class Polling:
    """The way in of one bot. `is_own_webhook` tells an address that an earlier life gave Telegram; `former`, whose offset is kept."""

    def __init__(
        self, client: Client, port: Port, me: Me, allowed: Sequence[str], is_own_webhook: Callable[[str], bool],
        former: Former | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._port = port
        self._me = me
        self._allowed = list(allowed)
        self._is_own_webhook = is_own_webhook
        self._former = former
        self._heard_mono = clock.mono()
        self._conflict_mono: float | None = None
        self._failures = 0

    async def run(self) -> None:
        """Receive until the bot ends, or the token is refused or in use elsewhere: then the port is told."""
        try:
            offset = await self._cursor()
            while True:
                raws = await self._poll(offset)
                if raws:
                    self._heard_mono = clock.mono()
                    before, offset = offset, int(raws[-1]["update_id"]) + 1
                    await self._take(raws, offset)
                    if offset == before:
                        await asyncio.sleep(_PAUSE_S)
                elif clock.mono() - self._heard_mono > _FORGET_AFTER_S:
                    offset = None
        except NetworkError as err:
            self._port.end(err)
        except Refused:
            pass  # the bot ends: what is not committed is not confirmed either

    async def _cursor(self) -> int | None:
        if self._former is not None and self._former.is_other:
            _log.warning("the token is of another bot than before: it is read from the beginning")
            return None
        try:
            return await self._port.cursor(NETWORK)
        except PsvError as err:
            _log.warning("how far Telegram was read is not to be had, what comes twice is known by its ids: %s", err)
            return None

    async def _poll(self, offset: int | None) -> list[dict[str, Any]]:
        """Return the next updates, [] when there are none or the network failed. Raises NetworkError (AUTH, CONFLICT)."""
        method = GetUpdates(offset=offset, limit=_LIMIT, timeout=POLL_S, allowed_updates=self._allowed)
        begun_mono = clock.mono()
        try:
            found = await self._client.call(method, POLL_S + _GRACE_S, asks_who=True)
            if not isinstance(found, list):
                raise NetworkError(ErrorKind.TRANSIENT, "telegram: the answer is not of the Bot API")
        except NetworkError as err:
            await self._failed(err)
            return []
        self._failures = 0
        self._port.prove(NETWORK)
        raws = [raw for raw in found if isinstance(raw, dict) and isinstance(raw.get("update_id"), int)]
        if not raws and clock.mono() - begun_mono < _PAUSE_S:
            await asyncio.sleep(_PAUSE_S)
        return raws

    async def _failed(self, err: NetworkError) -> None:
        match err.kind:
            case ErrorKind.AUTH:
                raise err
            case ErrorKind.CONFLICT:
                await self._look_into(err)
                await asyncio.sleep(_BACKOFF_S[0])
            case ErrorKind.RATE:
                await asyncio.sleep(err.retry_after_s or _BACKOFF_S[0])
            case _:
                if not self._failures:
                    _log.warning("%s; trying again", err)
                self._failures += 1
                most_s = min(_BACKOFF_S[0] * 2 ** min(self._failures, 10), _BACKOFF_S[1])
                await asyncio.sleep(random.uniform(most_s / 2, most_s))

    async def _look_into(self, conflict: NetworkError) -> None:
        """Return when polling may go on: the webhook was our own, or it is the first conflict for long. Raises it otherwise."""
        url = await self._webhook()
        if url and self._is_own_webhook(url):
            _log.info("the webhook of this bot is taken away: it polls now")
            with contextlib.suppress(NetworkError):  # then the next poll finds it again
                await self._client.call(DeleteWebhook(drop_pending_updates=False))
            return
        if url:
            hint = 'set mode to "webhook", or take it away by the Bot API\'s deleteWebhook, then start the bot'
            raise NetworkError(ErrorKind.CONFLICT, "telegram: the token has a webhook that is not this bot's", hint=hint)
        now, before = clock.mono(), self._conflict_mono
        if before is not None and now - before < _CONFLICT_S:
            raise conflict
        self._conflict_mono = now
        _log.warning("%s; the next such answer ends the bot", conflict.message)

    async def _webhook(self) -> str:
        try:
            info = await self._client.call(GetWebhookInfo())
        except NetworkError as err:
            if err.kind == ErrorKind.AUTH:
                raise
            return ""
        return str(info.get("url") or "") if isinstance(info, dict) else ""

    # --- committing --------------------------------------------------------------------------------------------------

    async def _take(self, raws: list[dict[str, Any]], offset: int) -> None:
        """Commit a batch; returns when all of it is. Raises Refused when the bot ends.

        The cursor goes in with the last message, which is handed over when those before it are on disk: it never stands behind one
        that is not.
        """
        batch: list[Incoming] = []
        for raw in raws:
            match read_update(raw, self._me):
                case Incoming() as incoming:
                    batch.append(incoming)
                case Moved(old, new):
                    await self._commit_all(batch)
                    batch = []
                    await self._move(old, new)
                case None:
                    pass
        if batch:
            await self._commit_all(batch[:-1])
            await self._commit(replace(batch[-1], cursor=offset))
            if self._former is not None:
                self._former.settled()

    async def _commit_all(self, batch: Sequence[Incoming]) -> None:
        futures = []
        for incoming in batch:
            try:
                futures.append(accept(self._port, incoming))
            except PsvError:
                break  # this and all behind it one by one, in their order
        for incoming, future in zip(batch, futures, strict=False):
            try:
                await asyncio.shield(future)
            except PsvError:
                await self._commit(incoming)
        for incoming in batch[len(futures) :]:
            await self._commit(incoming)

    async def _commit(self, incoming: Incoming) -> None:
        """Return when a message is committed, or when it can never be. Raises Refused when the bot ends."""
        held = _Hold(self._prove_alive)
        while True:
            try:
                await asyncio.shield(accept(self._port, incoming))
                return
            except Refused as err:
                if err.code == "stopping":
                    raise
                if err.code in NEVER:
                    _log.warning("a message is left out: %s", err)
                    return
            except PsvError as err:
                held.tell("messages wait at Telegram until they can be stored: %s", err)
            await held.wait()

    async def _move(self, old: str, new: str) -> None:
        held = _Hold(self._prove_alive)
        while True:
            try:
                await self._port.moved(Place(NETWORK, old), Place(NETWORK, new))
                return
            except PsvError as err:
                held.tell("a group that has moved waits for the database: %s", err)
                await held.wait()

    async def _prove_alive(self) -> None:
        """Ask Telegram anything: while messages are held back there no poll proves that the way to it is open."""
        try:
            await self._client.call(GetMe(), asks_who=True)
        except NetworkError as err:
            if err.kind == ErrorKind.AUTH:
                raise
        else:
            self._port.prove(NETWORK)


class _Hold:
    """Waits, ever longer, for a bot that takes nothing now (paused, busy, its database failing), and proves the network meanwhile."""

    def __init__(self, prove: Callable[[], Any]) -> None:
        self._prove = prove
        self._wait_s = _HOLD_S[0]
        self._proved_mono = clock.mono()
        self._is_told = False

    def tell(self, words: str, err: PsvError) -> None:
        """Log once."""
        if not self._is_told:
            _log.error(words, err)
        self._is_told = True

    async def wait(self) -> None:
        """Wait for the next try."""
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(self._wait_s * 2, _HOLD_S[1])
        if clock.mono() - self._proved_mono > _PROVE_S:
            self._proved_mono = clock.mono()
            await self._prove()
