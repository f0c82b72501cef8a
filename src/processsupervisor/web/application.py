"""The HTTP application: every route in one list, behind the guard.

    GET  /                       the page            GET  /chat/NAME/events     server-sent events
    GET  /static/FILE            its files           GET  /chat/NAME/history    messages so far
    GET  /api/bots               bots, now           POST /chat/NAME/messages   one message in
    GET  /api/events             bots, live          POST /hook/NAME            what a network posts for a bot
    GET  /chat/NAME/files/FILE   a reply's file      /telegram/…                the local Bot API (botapi/)

Nothing but the two POSTs changes anything; a method of the Bot API does what it says, also by GET, for who knows a bot's stand-in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processsupervisor.kernel.errors import PsvError
from processsupervisor.web.chat import Chat
from processsupervisor.web.fleet import FleetView
from processsupervisor.web.guard import Guard
from processsupervisor.web.page import Page
from processsupervisor.web.problem import answer_error
from processsupervisor.web.sse import Emit, EventStream, Streams, frame


class Api:
    """The bots of the fleet as JSON, once and live."""

    def __init__(self, view: FleetView, streams: Streams) -> None:
        self._view = view
        self._streams = streams

    async def bots(self, _: Request) -> Response:
        """GET bots: the objects of `psv bot list --json`; 503 while psvd is away."""
        return JSONResponse(await self._view.list(), headers={"Cache-Control": "no-store"})

    async def events(self, _: Request) -> EventStream:
        """GET events: the list and its changes; see FleetView.updates."""

        async def produce(emit: Emit) -> None:
            async with aclosing(self._view.updates()) as updates:  # type: ignore[type-var]
                async for update in updates:
                    await emit(frame(update))

        return EventStream(self._streams, None, produce)


def build(api: Api, chat: Chat, page: Page, hosts: frozenset[str], any_address: bool, more: Sequence[Route] = ()) -> Guard:
    """Return the whole application; `hosts` are the names it answers to, see Guard; `more` are routes of other parts."""
    routes = [
        Route("/", page.index, methods=["GET"]),
        Route("/static/{file}", page.static, methods=["GET"]),
        Route("/api/bots", api.bots, methods=["GET"]),
        Route("/api/events", api.events, methods=["GET"]),
        Route("/chat/{name}/messages", chat.post, methods=["POST"]),
        Route("/chat/{name}/events", chat.events, methods=["GET"]),
        Route("/chat/{name}/history", chat.history, methods=["GET"]),
        *more,
    ]
    handlers = {PsvError: answer_error, HTTPException: answer_error, Exception: answer_error}
    starlette = Starlette(routes=routes, exception_handlers=handlers)
    starlette.router.redirect_slashes = False
    return Guard(starlette, hosts, any_address)
