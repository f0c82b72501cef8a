"""One token's calls of the Bot API: aiogram's Bot and session, with raw results and with errors as NetworkError.

aiogram checks each result against its types, and takes one that does not fit for a failed call. What was sent must not be sent again
because Telegram answered with a field that aiogram does not know yet, so results are not checked here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, ClientDecodeError
from aiogram.methods import GetFile, TelegramMethod
from aiogram.methods.base import Response
from aiohttp import ClientError

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram.errors import network_error
from processsupervisor.connectors.telegram.settings import TelegramSettings

CALL_S = 30
"""Deadline of a call; one that carries files has `FILE_S`."""
FILE_S = 300
_CONNECTIONS = 40
_CHUNK_BYTES = 64 * 1024


class _Session(AiohttpSession):
    """aiogram's session without its types for results, and without its pause of 0.25 s at the end."""

    def check_response(self, bot: Bot, method: TelegramMethod[Any], status_code: int, content: str) -> Response[Any]:
        """Return the answer with its result as it came; raises what aiogram raises for a refusal."""
        try:
            answer = Response[Any].model_validate(self.json_loads(content))
        except ValueError as err:  # pydantic's and json's are ValueErrors
            raise ClientDecodeError("not an answer of the Bot API", err, "") from err
        if answer.ok and status_code < 300:
            return answer
        return super().check_response(bot, method, status_code, content)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None and not self._session.closed:
            await self._session.close()


class Client:
    """Calls of one bot."""

    def __init__(self, settings: TelegramSettings) -> None:
        session = _Session(api=TelegramAPIServer.from_base(settings.base_url), limit=_CONNECTIONS)
        self._bot = Bot(settings.token, session=session)
        self._session = session
        self._is_closed = False

    async def try_call(self, method: TelegramMethod[Any], timeout_s: int = CALL_S) -> Any:
        """Return the raw result. Raises what aiogram raises, for callers that look at the words of a refusal."""
        if self._is_closed:
            raise NetworkError(ErrorKind.TRANSIENT, "telegram: the connector is closed")
        return await self._bot(method, request_timeout=timeout_s)

    async def call(self, method: TelegramMethod[Any], timeout_s: int = CALL_S, *, asks_who: bool = False) -> Any:
        """Return the raw result. Raises NetworkError."""
        try:
            return await self.try_call(method, timeout_s)
        except (AiogramError, OSError, RuntimeError) as err:
            raise network_error(err, asks_who=asks_who) from None

    async def download(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield the content of a file. Raises NetworkError; the address of a file has the token in it and is in no error."""
        found = cast(dict[str, Any], await self.call(GetFile(file_id=file_id)))
        path = found.get("file_path")
        if not isinstance(path, str):
            raise NetworkError(ErrorKind.PERMANENT, "telegram: the file is not to be had")
        stream = self._session.stream_content(self._session.api.file_url(self._bot.token, path), timeout=FILE_S, chunk_size=_CHUNK_BYTES)
        try:
            async for piece in stream:
                yield piece
        except (ClientError, OSError, RuntimeError) as err:
            kind = ErrorKind.PERMANENT if getattr(err, "status", 0) in (400, 403, 404) else ErrorKind.TRANSIENT
            raise NetworkError(kind, f"telegram: a file could not be fetched ({type(err).__name__})") from None

    async def close(self) -> None:
        """End every call under way, and all connections."""
        self._is_closed = True
        await self._session.close()
