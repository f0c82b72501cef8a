"""One connection to a bot's web.sock: posts in, acknowledgements and events out (the protocol's words are in the docs).

Posts of one connection are pipelined: many wait for the same commit, answers come in their order. Bounds: 256 posts not
yet answered (then reading stops), 256 events not yet taken by the reader (then it is cut off and can resume by `after`).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, cast

from processsupervisor.connectors.base import MAX_HISTORY, Port, Posted, check_incoming, clean_text
from processsupervisor.connectors.lacking import worded
from processsupervisor.connectors.pulled import SHOWN_BY_KEY
from processsupervisor.kernel.errors import ProtocolError, PsvError, Refused
from processsupervisor.storage.records import Accepted, ButtonRow, Envelope, Extras, Incoming, Kind, Outgoing, Place

NETWORK = "web"
MAX_LINE_BYTES = 1 << 20
MAX_EVENTS = 256
MAX_POSTS = 256
MAX_SUBSCRIPTIONS = 16
_PAGE = 100


class Hub(Protocol):
    """What a session needs of the connector that made it."""

    @property
    def posted(self) -> Mapping[str, Posted]: ...

    def admit(self, session: WebSession) -> bool: ...
    def subscribe(self, session: WebSession, conversation: str) -> None: ...
    def forget(self, session: WebSession) -> None: ...


class _Subscription:
    """One conversation read by a session. While `replaying`, committed rows come from the database, not from publish."""

    __slots__ = ("missed", "replaying", "seq")

    def __init__(self, seq: int | None) -> None:
        self.seq = seq or 0
        self.replaying = seq is not None
        self.missed = False


class WebSession(asyncio.Protocol):
    """Speaks the web.sock protocol on one connection."""

    def __init__(self, hub: Hub, port: Port) -> None:
        self._hub = hub
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._posts = 0
        self._is_reading = True
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._queue: deque[bytes] = deque()
        self.conversations: dict[str, _Subscription] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports derive from none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)
        if not self._hub.admit(self):
            self._send({"op": "refused", "id": None, "code": "too-many-connections", "message": "this bot serves 64 connections already"})
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._can_write.set()
        self._queue.clear()
        for task in self._tasks:
            task.cancel()
        self._hub.forget(self)

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()
        while self._queue and self._can_write.is_set() and self._transport is not None:
            self._transport.write(self._queue.popleft())

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._buffer + data).split(b"\n") if self._buffer else data.split(b"\n")
        self._buffer = rest
        for line in lines:
            if line and self._transport is not None:
                self._line(line)
        if len(self._buffer) > MAX_LINE_BYTES:
            self._fail("a line is longer than 1 MiB")

    def close(self) -> None:
        """Write what is queued as far as the peer takes it, then close."""
        if self._transport is not None:
            self._transport.writelines(self._queue)
            self._queue.clear()
            self._transport.close()

    def _fail(self, message: str) -> None:
        self._send({"op": "error", "code": "protocol", "message": message})
        self.close()

    def _send(self, value: dict[str, object]) -> None:
        if self._transport is None:
            return
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        if self._queue or not self._can_write.is_set():
            self._queue.append(data)
            if len(self._queue) > MAX_EVENTS + MAX_POSTS:
                self._transport.abort()
        else:
            self._transport.write(data)

    # --- requests ----------------------------------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            self._fail("a line is not JSON")
            return
        handle = self._requests.get(request.get("op")) if isinstance(request, dict) else None
        if handle is None:
            self._fail("a request needs an op out of post, subscribe, history, update")
            return
        try:
            handle(self, request)
        except ProtocolError as err:
            self._fail(err.message)

    def _place(self, request: dict[str, Any]) -> Place:
        return Place(NETWORK, clean_text(_text(request, "conversation", "default")))

    def _post(self, request: dict[str, Any]) -> None:
        message_id, text, place = clean_text(_text(request, "id")), clean_text(_text(request, "text")), self._place(request)
        try:
            check_incoming(place, message_id, text)
            future = self._port.accept(_incoming(request, place, message_id, text))
        except PsvError as err:
            self._refuse(message_id, err)
            return
        self._begin_post()
        future.add_done_callback(lambda done: self._answer_post(message_id, done))

    def _begin_post(self) -> None:
        self._posts += 1
        if self._posts >= MAX_POSTS and self._is_reading and self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()

    def _end_post(self) -> None:
        self._posts -= 1
        if not self._is_reading and self._posts < MAX_POSTS // 2 and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()

    def _answer_post(self, message_id: str, done: asyncio.Future[Accepted]) -> None:
        self._end_post()
        error = None if done.cancelled() else done.exception()
        if error is None and not done.cancelled():
            self._send({"op": "accepted", "id": message_id})
        else:
            self._refuse(message_id, error if isinstance(error, PsvError) else Refused("the bot is ending", code="stopping"))

    def _refuse(self, message_id: str, err: PsvError) -> None:
        self._send({"op": "refused", "id": message_id, "code": err.code, "message": str(err)})

    def _update(self, request: dict[str, Any]) -> None:
        update_id, network, secret = _text(request, "id"), _text(request, "network"), _text(request, "secret")
        update = request.get("update")
        if not isinstance(update, dict):
            raise ProtocolError("update must be an object")
        posted = self._hub.posted.get(network)
        if posted is None:
            self._refuse(update_id, Refused(f"this bot is not posted to by {network[:40]!r}", code="forbidden"))
            return
        self._begin_post()
        self._start(self._hand_on(posted, update_id, secret, update))

    async def _hand_on(self, posted: Posted, update_id: str, secret: str, update: dict[str, Any]) -> None:
        try:
            await posted.take(secret, update)
        except PsvError as err:
            self._refuse(update_id, err)
        else:
            self._send({"op": "accepted", "id": update_id})
        finally:
            self._end_post()

    def _history(self, request: dict[str, Any]) -> None:
        limit = request.get("limit", 50)
        if type(limit) is not int or limit < 1:
            raise ProtocolError("limit must be a whole number of 1 or more")
        self._start(self._answer_history(self._place(request), min(limit, MAX_HISTORY)))

    async def _answer_history(self, place: Place, limit: int) -> None:
        entries = await self._port.history(place, limit)
        rows = [{"id": e.id, "from": e.sender, "text": e.text, "at": e.at, "seq": e.seq, **_more(e.extras)} for e in entries]
        self._send({"op": "history", "messages": rows})

    def _subscribe(self, request: dict[str, Any]) -> None:
        after, place = request.get("after"), self._place(request)
        if after is not None and (type(after) is not int or after < 0):
            raise ProtocolError("after must be null or the seq of an event")
        if len(self.conversations) >= MAX_SUBSCRIPTIONS:
            raise ProtocolError(f"one connection reads at most {MAX_SUBSCRIPTIONS} conversations")
        if place.conversation in self.conversations:
            raise ProtocolError("this connection reads that conversation already")
        subscription = self.conversations[place.conversation] = _Subscription(after)
        self._hub.subscribe(self, place.conversation)
        if subscription.replaying:
            self._start(self._replay(place, subscription))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PsvError as err:
            self._send({"op": "error", "code": err.code, "message": str(err)})
            self.close()

    # --- events ------------------------------------------------------------------------------------------------------

    async def _replay(self, place: Place, subscription: _Subscription) -> None:
        """Send committed rows until none is left.

        A row committed after a page was read is published while this task may not have run yet; publish then only
        notes `missed`, and one more page is read. Without a missed row nothing lies between the last page and live.
        """
        while True:
            subscription.missed = False
            page = await self._port.after(place, subscription.seq, _PAGE)
            for out in page:
                await self._can_write.wait()
                subscription.seq = out.seq or 0
                self._send(_event(out))
            if not page and not subscription.missed:
                subscription.replaying = False
                return

    def publish(self, out: Outgoing) -> None:
        """Show a row or draft; cuts the connection off when 256 events wait for its reader."""
        subscription = self.conversations.get(out.place.conversation)
        if subscription is None or self._transport is None:
            return
        if subscription.replaying:
            subscription.missed = subscription.missed or out.seq is not None
            return
        if out.seq is not None:
            subscription.seq = out.seq
        if len(self._queue) >= MAX_EVENTS:
            self._transport.abort()
            return
        self._send(_event(out))

    def unanswered(self, message_id: str) -> None:
        """Say that a message was handled and has no reply; nobody is told again who was away."""
        if len(self._queue) < MAX_EVENTS:
            self._send({"op": "unanswered", "id": message_id})

    _requests: dict[object, Callable[[WebSession, dict[str, Any]], None]] = {  # noqa: RUF012 - a constant table
        "post": _post,
        "subscribe": _subscribe,
        "history": _history,
        "update": _update,
    }


def _text(request: dict[str, Any], key: str, default: str | None = None) -> str:
    value = request.get(key, default)
    if not isinstance(value, str):
        raise ProtocolError(f"{key} must be a text")
    return value


def _incoming(request: dict[str, Any], place: Place, message_id: str, text: str) -> Incoming:
    """Return what was posted: a message, or the press of the button that its text is the label of."""
    press = request.get("press")
    if press is None:
        return Incoming(place, message_id, place.conversation, text)
    if not isinstance(press, dict):
        raise ProtocolError("press must be an object")
    data, about = clean_text(_text(press, "data")), clean_text(_text(press, "message"))
    check_incoming(place, about, data)
    return Incoming(place, message_id, place.conversation, data, Kind.BUTTON, Envelope(about=about, said=text))


def _event(out: Outgoing) -> dict[str, object]:
    out = worded(out, SHOWN_BY_KEY)
    told = {"op": "event", "seq": out.seq, "id": out.id, "reply_to": out.reply_to, "text": out.text, "final": out.final}
    return {**told, **_more(out.extras)}


def _more(extras: Extras) -> dict[str, object]:
    """Return what a message has besides its text, as far as it has it: "buttons", "files", and "edits", whose place it takes."""
    more: dict[str, object] = {}
    if extras.buttons:
        more["buttons"] = [[_button(button) for button in row] for row in extras.buttons]
    if extras.files:
        more["files"] = [{"name": file.name, "mime": file.mime, "path": file.path} for file in extras.files]
    if extras.edits is not None:
        more["edits"] = extras.edits.removeprefix("net:")
    return more


def _button(button: ButtonRow) -> dict[str, str]:
    return {"label": button.label, "data": button.data} if button.data else {"label": button.label, "url": button.url}
