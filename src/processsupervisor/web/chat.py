"""The chat of one bot over HTTP: post a message, follow the conversation, read its history.

Messages are only passed on: 202 is said after the bot has committed one. What a person writes appears in no log, no error
and no address.
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from processsupervisor.web.body import read_body
from processsupervisor.web.link import BotLink, ChatEvent, Line
from processsupervisor.web.markdown import render
from processsupervisor.web.problem import Problem
from processsupervisor.web.relay import Relay
from processsupervisor.web.settings import Applied
from processsupervisor.web.sse import Emit, EventStream, Streams, frame

MAX_BODY_BYTES = 65_536
MAX_NAME_CHARACTERS = 128
DEFAULT_CONVERSATION = "default"
MAX_HISTORY = 100
_KEYS = ("id", "text", "conversation", "press")
_SHAPE = 'send {"id": "a name of your own for this message", "text": "...", "conversation": "default"}'


class Chat:
    """The three endpoints under /chat/NAME."""

    def __init__(self, applied: Applied, link: BotLink, streams: Streams) -> None:
        self._applied = applied
        self._link = link
        self._streams = streams

    async def post(self, request: Request) -> Response:
        """POST messages: 202 `{"id"}` once the bot has committed it."""
        bot = self._applied.chat_bot(request.path_params["name"]).name
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "not-json", "the message must be sent as application/json", hint=_SHAPE)
        message_id, text, conversation, press = _parse_message(await read_body(request, MAX_BODY_BYTES))
        await self._link.post(bot, message_id, text, conversation, press)
        return JSONResponse({"id": message_id}, 202, {"Cache-Control": "no-store"})

    async def events(self, request: Request) -> EventStream:
        """GET events: the conversation as server-sent events, resumable by Last-Event-ID."""
        bot = self._applied.chat_bot(request.path_params["name"]).name
        query = request.query_params
        conversation = _check_name(query.get("conversation", DEFAULT_CONVERSATION), "conversation")
        after = _parse_position(request.headers.get("last-event-id") or query.get("last_event_id"))
        is_page = query.get("render") == "1"
        relay = Relay(self._link, bot, conversation, after)

        async def produce(emit: Emit) -> None:
            async def on_event(event: ChatEvent) -> None:
                data: dict[str, object] = {"id": event.id, "reply_to": event.reply_to, "text": event.text, "final": event.final}
                data |= event.more
                if is_page:
                    data["html"] = render(event.text)
                await emit(frame(data, id=event.seq if event.final else None))

            async def on_presence(is_present: bool) -> None:
                # Only for the page: every other client is promised nothing but messages.
                if is_page:
                    await emit(frame({"present": is_present}, event="presence"))

            def is_known() -> bool:
                known = self._applied.bots().get(bot)
                return known is not None and known.has_chat

            await relay.run(on_event, on_presence, is_known)

        return EventStream(self._streams, bot, produce)

    async def history(self, request: Request) -> Response:
        """GET history: `{"messages": [{"id", "from", "text", "at", "seq"}]}`, oldest first."""
        bot = self._applied.chat_bot(request.path_params["name"]).name
        query = request.query_params
        conversation = _check_name(query.get("conversation", DEFAULT_CONVERSATION), "conversation")
        messages = await self._link.history(bot, conversation, _parse_limit(query.get("limit", "50")))
        if query.get("render") == "1":
            messages = [m | {"html": render(str(m.get("text", "")))} if m.get("from") == "bot" else m for m in messages]
        return JSONResponse({"messages": messages}, headers={"Cache-Control": "no-store"})


def _parse_message(body: bytes) -> tuple[str, str, str, Line | None]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise Problem(400, "bad-json", "the body is not JSON", hint=_SHAPE) from err
    if not isinstance(value, dict):
        raise Problem(400, "bad-message", "the body is not a JSON object", hint=_SHAPE)
    unknown = sorted(set(value) - set(_KEYS))
    if unknown:
        raise Problem(400, "bad-message", f"unknown key {unknown[0][:40]!r}; known are {', '.join(_KEYS)}", hint=_SHAPE)
    for key in ("id", "text"):
        if key not in value:
            raise Problem(400, "bad-message", f'"{key}" is missing', hint=_SHAPE)
    text = value["text"]
    if not isinstance(text, str) or not text.strip():
        raise Problem(400, "bad-message", '"text" must be a string that is not empty', hint=_SHAPE)
    if not _is_unicode(text):
        raise Problem(400, "bad-message", '"text" holds half of a surrogate pair, which is no character', hint="send UTF-8")
    conversation = value.get("conversation")
    named = DEFAULT_CONVERSATION if conversation is None else conversation
    return _check_name(value["id"], "id"), text, _check_name(named, "conversation"), _check_press(value.get("press"))


def _check_press(press: object) -> Line | None:
    """Return the button that a message presses, {"message", "data"} as an event named them; None for a message that presses none."""
    if press is None:
        return None
    if not isinstance(press, dict) or press.keys() != {"message", "data"}:
        raise Problem(400, "bad-message", '"press" must be {"message": "id of the bot\'s message", "data": "of its button"}', hint=_SHAPE)
    return {key: _check_name(value, f"press.{key}") for key, value in press.items()}


def _check_name(value: object, key: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS or not value.isprintable() or not _is_unicode(value):
        raise Problem(400, "bad-message", f'"{key}" must be a string of 1 to {MAX_NAME_CHARACTERS} printable characters', hint=_SHAPE)
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_position(value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise Problem(400, "bad-position", "Last-Event-ID must be the id of an event of this stream", hint="leave it out to start from now")
    return int(value)


def _parse_limit(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 6 or not 1 <= int(value) <= MAX_HISTORY:
        raise Problem(400, "bad-limit", f"limit must be a number from 1 to {MAX_HISTORY}")
    return int(value)
