"""What networks post: `/hook/BOT`, handed on to the bot, and answered with 200 when the bot has committed it.

Whether the network is who it says is judged by the bot: only the bot knows the secret. Nothing is kept here; what is not answered with
200 is posted again.
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from processsupervisor.web.body import read_body
from processsupervisor.web.link import BotLink
from processsupervisor.web.problem import Problem
from processsupervisor.web.settings import Applied

MAX_BODY_BYTES = 512 * 1024
_SECRETS = {"telegram": "x-telegram-bot-api-secret-token"}
"""Which header a network shows its secret in (core.telegram.org/bots/api#setwebhook)."""


class Hook:
    """The endpoint under /hook/NAME."""

    def __init__(self, applied: Applied, link: BotLink) -> None:
        self._applied = applied
        self._link = link

    async def post(self, request: Request) -> Response:
        """POST an update of a network: 200 once the bot has committed it, 403 without the bot's secret, 503 to have it posted again."""
        bot = self._applied.chat_bot(request.path_params["name"]).name
        shown = [(network, value) for network, header in _SECRETS.items() if (value := request.headers.get(header)) is not None]
        if not shown:
            raise Problem(403, "forbidden", "the request shows no secret of a network")
        try:
            update = json.loads(await read_body(request, MAX_BODY_BYTES))
        except (ValueError, RecursionError) as err:
            raise Problem(400, "bad-json", "the body is not JSON") from err
        if not isinstance(update, dict):
            raise Problem(400, "bad-message", "the body is not a JSON object")
        network, secret = shown[0]
        await self._link.update(bot, network, secret, update)
        return JSONResponse({"ok": True}, headers={"Cache-Control": "no-store"})
