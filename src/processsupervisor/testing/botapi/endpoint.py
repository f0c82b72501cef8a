"""The HTTP side: parameters in, faults on the way, an answer out.

A method is carried out in one step under the double's lock, so it is done or not done, whoever hangs up; a fault decides only whether it
is done and what the client hears of it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

from aiohttp import web

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.faults import Fault, FaultKind, Faults
from processsupervisor.testing.botapi.hooks import Hooks
from processsupervisor.testing.botapi.methods import answer
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.polling import Polls
from processsupervisor.testing.botapi.values import Json, Rejected, Upload

_MAX_BODY_BYTES = 64 * 1024 * 1024


class Endpoint:
    """Serves `/bot<token>/<method>` and `/file/bot<token>/<path>`; belongs to one loop."""

    def __init__(self, find: Callable[[str], Account | None], faults: Faults, heard: threading.Condition, conflict_pause_s: float) -> None:
        self.port = 0
        self.polls = Polls(heard, conflict_pause_s)
        self._hooks = Hooks(heard, self._carry_out)
        self._find = find
        self._faults = faults
        self._heard = heard
        self._late: set[asyncio.Task[web.StreamResponse]] = set()

    async def open(self) -> None:
        """Listen on a free port of the loopback interface."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", self._method)
        app.router.add_route("*", "/file/bot{token}/{path:.+}", self._file)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=512).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """End all connections; what stalls is not carried out any more."""
        for task in self._late:
            task.cancel()
        await self._hooks.close()
        await self._runner.cleanup()

    def wake(self, account: Account) -> None:
        """Have who waits for updates of an account look again; called on the loop."""
        self.polls.wake(account)
        self._hooks.wake(account)

    async def _method(self, request: web.Request) -> web.StreamResponse:
        token, method = request.match_info["token"], request.match_info["method"]
        account = self._find(token)
        if account is None:
            return _rejected(Rejected(404, "Not Found"))
        params = await _read(request)
        with self._heard:
            account.called[method] += 1
            self._heard.notify_all()
            fault = self._faults.take(token, method)
        if account.is_revoked:
            return _rejected(Rejected(401, "Unauthorized"))
        if fault is None:
            return await self._answer(account, method, params)
        if fault.kind in (FaultKind.STALL, FaultKind.SLOW):
            # Not ended by a client that hangs up: what it asked for is on its way.
            task = asyncio.create_task(self._late_answer(account, method, params, fault))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return await asyncio.shield(task)
        return await self._fail(request, account, method, params, fault)

    async def _fail(self, request: web.Request, account: Account, method: str, params: Params, fault: Fault) -> web.StreamResponse:
        match fault.kind:
            case FaultKind.RATE:
                seconds = fault.retry_after_s
                account.gate.refuse(params.text("chat_id"), seconds)
                return _rejected(Rejected(429, f"Too Many Requests: retry after {seconds}", retry_after_s=seconds))
            case FaultKind.ERROR:
                return _rejected(Rejected(fault.status, fault.description))
            case FaultKind.GARBAGE:
                return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")
            case FaultKind.CUT_AFTER:
                await self._answer(account, method, params)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _late_answer(self, account: Account, method: str, params: Params, fault: Fault) -> web.StreamResponse:
        if fault.kind is FaultKind.STALL:
            await asyncio.sleep(fault.delay_s)
            return await self._answer(account, method, params)
        response = await self._answer(account, method, params)
        await asyncio.sleep(fault.delay_s)
        return response

    async def _answer(self, account: Account, method: str, params: Params) -> web.StreamResponse:
        try:
            if method.lower() == "getupdates":
                return _ok(await self.polls.get_updates(account, params))
            return _ok(self._carry_out(account, method, params))
        except Rejected as err:
            return _rejected(err)

    def _carry_out(self, account: Account, method: str, params: Params) -> object:
        with self._heard:
            try:
                return answer(account, method, params)
            finally:
                self._heard.notify_all()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        account = self._find(request.match_info["token"])
        stored = account.files.at(request.match_info["path"]) if account is not None and not account.is_revoked else None
        if account is None or stored is None:
            return _rejected(Rejected(404, "Not Found"))
        fault = self._faults.take(account.token, "file")
        if fault is None:
            return web.Response(body=stored.content, content_type=stored.mime)
        return await self._fail(request, account, "getMe", Params({}), fault)


async def _read(request: web.Request) -> Params:
    values: Json = dict(request.query)
    uploads: dict[str, Upload] = {}
    if request.content_type == "application/json":
        body = json.loads(await request.text() or "{}")
        values |= body if isinstance(body, dict) else {}
    else:
        for name, field in (await request.post()).items():
            if isinstance(field, web.FileField):
                uploads[name] = Upload(field.filename, field.content_type, field.file.read())
            elif isinstance(field, str):
                values[name] = field
    return Params(values, uploads)


def _ok(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _rejected(error: Rejected) -> web.Response:
    return web.json_response(error.answer, status=error.status)
