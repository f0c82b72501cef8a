"""One token's calls of the Bot API: aiogram's Bot and methods over a session of ours, with raw results and errors as NetworkError.

aiogram checks each result against its types, and takes one that does not fit for a failed call. What was sent must not be sent again
because Telegram answered with a field that aiogram does not know yet, so results are not checked here. What a session needs that has
no secret in it is made once, in the zygote if there is one (warm.py), and shared by all bots.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache
from typing import Any, cast

import certifi
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, ClientDecodeError, TelegramNetworkError
from aiogram.methods import GetFile, TelegramMethod
from aiogram.methods.base import Response
from aiogram.types import InputFile
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, FormData, TCPConnector

from processsupervisor.connections.direct import is_of_this_machine, shown_url
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram.errors import network_error
from processsupervisor.connectors.telegram.settings import TelegramSettings

CALL_S = 30
"""Deadline of a call; one that carries files has `FILE_S`."""
FILE_S = 300
MOST_ANSWER_BYTES = 16 << 20
"""A hundred updates are well below 1 MiB; what is longer is no answer of the Bot API. Files come by `stream_content`."""
_CONNECTIONS = 40
_CONNECT_S = 15.0
_CHUNK_BYTES = 64 * 1024
_RAW = Response[Any]
"""pydantic keeps such a class only as long as somebody else does, and makes it anew each time otherwise."""


@cache
def tls_context() -> ssl.SSLContext:
    """Return what connections are encrypted with: it holds the known authorities and is a megabyte."""
    return ssl.create_default_context(cafile=certifi.where())


class Session(BaseSession):
    """HTTP for aiogram's Bot, on one pool of connections."""

    _session: ClientSession | None = None

    def check_response(self, bot: Bot, method: TelegramMethod[Any], status_code: int, content: str) -> Response[Any]:
        """Return the answer with its result as it came; raises what aiogram raises for a refusal."""
        try:
            answer = _RAW.model_validate(self.json_loads(content))
            if not answer.ok and not isinstance(answer.description, str):
                raise ValueError("an error of the Bot API says what it is")
        except (ValueError, RecursionError) as err:  # pydantic's and json's are ValueErrors
            raise ClientDecodeError("not an answer of the Bot API", err, status_code) from err
        if answer.ok and status_code < 300:
            return answer
        return super().check_response(bot, method, status_code, content)

    def form_of(self, bot: Bot, method: TelegramMethod[Any]) -> FormData:
        """Return the arguments of a method as they are posted; files are read while they are sent."""
        form = FormData(quote_fields=False)
        files: dict[str, InputFile] = {}
        for name, value in method.model_dump(warnings=False).items():
            if prepared := self.prepare_value(value, bot=bot, files=files):
                form.add_field(name, prepared)
        for name, file in files.items():
            form.add_field(name, file.read(bot), filename=file.filename or name)
        return form

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        """Make one call. Raises what aiogram raises; TelegramNetworkError has what happened as its cause."""
        url = self.api.api_url(token=bot.token, method=method.__api_method__)
        limit = ClientTimeout(total=timeout or CALL_S, connect=_CONNECT_S)
        try:
            async with self._http().post(url, data=self.form_of(bot, method), timeout=limit) as answer:
                content = await _read(answer)
        except (ClientError, OSError) as err:  # a timeout is one; none of their texts is passed on, an address has the token in it
            raise TelegramNetworkError(method=method, message=type(err).__name__) from err
        return self.check_response(bot, method, answer.status, content).result

    async def stream_content(
        self, url: str, headers: dict[str, Any] | None = None, timeout: int = FILE_S, chunk_size: int = _CHUNK_BYTES,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """Yield the body behind an address. Raises what aiohttp raises."""
        limit = ClientTimeout(total=timeout, connect=_CONNECT_S)
        async with self._http().get(url, headers=headers, timeout=limit, raise_for_status=raise_for_status) as answer:
            async for piece in answer.content.iter_chunked(chunk_size):
                yield piece

    def _http(self) -> ClientSession:
        if self._session is None:
            is_secure = self.api.base.startswith("https:")
            connector = TCPConnector(ssl=tls_context() if is_secure else False, limit=_CONNECTIONS, ttl_dns_cache=3600)
            trusts_env = not is_of_this_machine(self.api.base)  # HTTPS_PROXY, HTTP_PROXY, NO_PROXY
            self._session = ClientSession(connector=connector, raise_for_status=False, trust_env=trusts_env)
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


async def _read(answer: ClientResponse) -> str:
    """Return an answer's text. Raises ClientDecodeError for one that is longer than any of the Bot API's."""
    content = bytearray()
    async for piece in answer.content.iter_chunked(_CHUNK_BYTES):
        content += piece
        if len(content) > MOST_ANSWER_BYTES:
            answer.close()
            raise ClientDecodeError("not an answer of the Bot API", ValueError("too long"), answer.status)
    return content.decode("utf-8", "replace")


class Client:
    """Calls of one bot."""

    def __init__(self, settings: TelegramSettings) -> None:
        session = Session(api=TelegramAPIServer.from_base(settings.base_url))
        self._bot = Bot(settings.token, session=session)
        self._session = session
        self.server = shown_url(settings.base_url)
        """Who is asked, for errors."""
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
            raise network_error(err, self.server, asks_who=asks_who) from None

    async def download(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield the content of a file. Raises NetworkError; the address of a file has the token in it and is in no error."""
        found = cast(dict[str, Any], await self.call(GetFile(file_id=file_id)))
        path = found.get("file_path")
        if not isinstance(path, str):
            raise NetworkError(ErrorKind.PERMANENT, "telegram: the file is not to be had")
        stream = self._session.stream_content(self._session.api.file_url(self._bot.token, path), timeout=FILE_S)
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
