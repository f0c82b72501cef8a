"""The proxy of one bot: its backlog, its way to Telegram, and what becomes of each method.

getUpdates is answered from the backlog; what concerns webhooks is passed on and noted; everything else is passed on as it is, at a
pace that Telegram allows. The bot's own errors are Telegram's, word for word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping

from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.errors import PsvError, StorageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.botapi.backlog import Backlog
from processsupervisor.web.botapi.intake import Intake
from processsupervisor.web.botapi.owner import Owner
from processsupervisor.web.botapi.pace import Pace
from processsupervisor.web.botapi.polls import Polls
from processsupervisor.web.botapi.request import BotRequest
from processsupervisor.web.botapi.upstream import Upstream
from processsupervisor.web.botapi.values import Answer, Json, Told

AT_ONCE = 64
"""Calls of one bot that are under way; the others wait their turn."""
UPLOADS_AT_ONCE = 4
"""Of one bot: each has a connection of its own, and the beginning of its body in memory."""
_REREAD_S = 10.0
_ANSWERED = (200, 400, 403)
"""Said of a send that will not be made again: it arrived, or it never can."""
_log = logging.getLogger(__name__)


class Proxy:
    """Stands between one bot and Telegram from `open` on. `stand_in` is the token that the bot has."""

    def __init__(self, paths: FleetPaths, bot: Mapping[str, object], settings: Mapping[str, object]) -> None:
        self.name = str(bot["name"])
        self.stand_in = ""
        self._settings = settings
        self._path = paths.bot_data(self.name) / "updates.db"
        self._owner = Owner(paths, bot)
        self._pace = Pace()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)
        """Held by each large body from its beginning to its answer."""
        self._reread_at = 0.0
        self._token = ""
        self._upstream: Upstream
        self._intake: Intake
        self._polls: Polls
        self._backlog: Backlog

    @property
    def secret(self) -> str:
        """Return the half of the stand-in that has to be known."""
        return self.stand_in.partition(":")[2]

    async def open(self) -> None:
        """Read the token, take its lock and go on reading updates. Raises PsvError; then nothing is held."""
        self._token = await asyncio.to_thread(self._owner.take, str(self._settings["token"]))
        try:
            await self._begin()
        except BaseException:
            self._owner.release()
            raise

    async def _begin(self) -> None:
        again_s, keep_s = float(str(self._settings.get("again_s") or 0)), float(str(self._settings["keep_s"]))
        self._backlog = await asyncio.to_thread(Backlog, self._path, again_s)
        number = self._token.partition(":")[0]
        try:
            await asyncio.to_thread(self._backlog.belong_to, number)
            self.stand_in = f"{number}:{await asyncio.to_thread(self._backlog.stand_in)}"
            self._upstream = Upstream(str(self._settings["url"]), self._token)
            self._polls = Polls(self._take, lambda: self._intake.problem)
            self._intake = Intake(self.name, self._backlog, self._upstream, keep_s, self._polls.wake)
            await self._intake.resume()
        except BaseException:
            self._backlog.close()
            raise

    async def close(self) -> None:
        """End the poll, the connections and the lock; the backlog keeps what it has."""
        await self._intake.stop()
        await self._upstream.close()
        await self._intake.call(self._backlog.close)
        self._owner.release()

    async def answer(self, request: BotRequest) -> Answer:
        """Carry a method out. Raises Told with what the bot is to hear."""
        try:
            match request.method.lower():
                case "getupdates":
                    return await self._get_updates(request)
                case "setwebhook" | "deletewebhook":
                    return await self._change_webhook(request)
                case "getwebhookinfo":
                    return await self._webhook_info(request)
                case _:
                    return await self._forward(request)
        except StorageError as err:
            raise Told(500, f"Internal Server Error: {err.message}") from err

    @contextlib.asynccontextmanager
    async def download(self, path: str) -> AsyncIterator[tuple[int, str, AsyncIterator[bytes]]]:
        """Give status, content type and content of a file. Raises Told."""
        async with self._upstream.download(path.replace(self.stand_in, self._token)) as found:
            yield found

    async def _get_updates(self, request: BotRequest) -> Answer:
        if (problem := self._intake.problem) is not None and problem.status == 401:
            await self._reread()
        await self._intake.want(request.parameter("allowed_updates"))
        updates = await self._polls.get_updates(
            request.number("offset", 0), request.number("limit", 100), max(request.number("timeout", 0), 0)
        )
        return _result(updates)

    async def _take(self, offset: int, limit: int, begins: bool) -> list[Json]:
        updates = await self._intake.call(self._backlog.take, offset, limit, wall(), begins)
        self._intake.hasten()
        return updates

    async def _change_webhook(self, request: BotRequest) -> Answer:
        answer = await self._forward(request)
        if not answer.is_ok:
            return answer
        if request.flag("drop_pending_updates"):
            await self._intake.call(self._backlog.drop)
        if request.method.lower() == "setwebhook" and request.parameter("url"):
            await self._intake.give_up()
        self._intake.forgive()
        return answer

    async def _webhook_info(self, request: BotRequest) -> Answer:
        answer = await self._forward(request)
        content = answer.json
        info = content.get("result")
        if not isinstance(info, dict):
            return answer
        waiting = await self._intake.call(self._backlog.waiting)
        return _result(info | {"pending_update_count": int(info.get("pending_update_count", 0)) + waiting})

    async def _forward(self, request: BotRequest) -> Answer:
        chat = await self._pace.enter(request)
        async with self._turns:
            answer = await self._upstream.forward(
                request.verb, request.method, request.query, request.upload or request.body, request.content_type
            )  # fmt: skip
        self._pace.heed(chat, answer)
        if chat and answer.status in _ANSWERED:
            await self._intake.call(self._backlog.answered, chat)
        if answer.status == 401:
            await self._reread()
        return Answer(answer.status, answer.body.replace(self._token.encode(), self.stand_in.encode()), answer.content_type)

    async def _reread(self) -> None:
        """Look whether there is another token by now: a refused one may have been replaced in the secret store."""
        if mono() < self._reread_at:
            return
        self._reread_at = mono() + _REREAD_S
        try:
            token = await asyncio.to_thread(self._owner.take, str(self._settings["token"]), self._token.partition(":")[0])
        except PsvError as err:
            _log.warning("%s: the token is refused, and there is no other: %s", self.name, err)
            return
        self._token = token
        self._upstream.use(token)
        self._intake.forgive()


def _result(result: object) -> Answer:
    return Answer(200, json.dumps({"ok": True, "result": result}, ensure_ascii=False).encode())
