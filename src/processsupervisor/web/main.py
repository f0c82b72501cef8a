"""`boot.py processsupervisor.web.main FOLDER`: the web process of one fleet.

Holds run/web.lock for life, listens, writes run/web.json and serves. It connects to nothing but the keeper until somebody asks for
something, and may be killed at any moment. Ends with 0 on SIGTERM or SIGINT, 78 when it cannot listen as configured, 75 when
another one runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import cast

from starlette.routing import Route

from processsupervisor.ipc.client_async import AsyncControlClient
from processsupervisor.ipc.presence import Presence, take_role_lock
from processsupervisor.kernel.errors import ConfigError, LockHeld, PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logview import tail_lines
from processsupervisor.web.application import Api, build
from processsupervisor.web.botapi.proxies import Proxies
from processsupervisor.web.botapi.routes import BotApiRoutes
from processsupervisor.web.chat import Chat
from processsupervisor.web.files import BotFiles
from processsupervisor.web.fleet import Control, FleetView
from processsupervisor.web.guard import Guard
from processsupervisor.web.hook import Hook
from processsupervisor.web.lastwords import LastWords
from processsupervisor.web.link import BotLink
from processsupervisor.web.listener import allowed_hosts, announce, is_wildcard, open_listener, previous_port, url_of
from processsupervisor.web.page import Page
from processsupervisor.web.server import WebServer
from processsupervisor.web.settings import Applied, Listen
from processsupervisor.web.sse import Streams

EXIT_RETRY = 75
EXIT_CONFIG = 78


def main(argv: list[str] | None = None) -> int:
    """Run the process; returns its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: processsupervisor.web.main FOLDER", file=sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    paths = FleetPaths(arguments[0])
    try:
        lock = take_role_lock(paths, "web")
        wanted = Applied(paths).listen()
        listener = open_listener(wanted, previous_port(paths))
    except ConfigError as err:
        return _fail(err, EXIT_CONFIG)
    except PsvError as err:
        return _fail(err, EXIT_RETRY if isinstance(err, LockHeld) else err.exit_status)
    except OSError as err:
        return _fail(PsvError(f"cannot use {paths.run}: {err.strerror}"), 1)
    try:
        asyncio.run(_serve(paths, wanted, listener))
    finally:
        os.close(lock)
    return 0


def _fail(error: PsvError, status: int) -> int:
    print(f"web: {error}", file=sys.stderr)
    return status


async def _serve(paths: FleetPaths, wanted: Listen, listener: socket.socket) -> None:
    streams = Streams()
    port = listener.getsockname()[1]
    proxies = Proxies(paths, Applied(paths).specs(), url_of(wanted, port))
    server = WebServer(compose(paths, wanted, streams, BotApiRoutes(proxies).routes()), streams.stopping.set)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    with contextlib.suppress(AttributeError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The socket listens already, so whoever reads the note is served, at the latest when the loop turns.
    announce(paths, url_of(wanted, port), port)
    presence = Presence(paths, "web")
    if presence.fileno() >= 0:
        loop.add_reader(presence.fileno(), _answer, loop, presence)
    proxies.start()
    gc.collect()
    gc.freeze()
    try:
        await server.run_on(listener)
    finally:
        presence.close()
        await proxies.close()


def _answer(loop: asyncio.AbstractEventLoop, presence: Presence) -> None:
    descriptor = presence.fileno()
    if not presence.serve():
        loop.remove_reader(descriptor)
        presence.close()


def compose(paths: FleetPaths, wanted: Listen, streams: Streams, more: Sequence[Route] = ()) -> Guard:
    """Put the parts of the process together; `more` are routes of parts that live longer than the application."""
    applied = Applied(paths)
    # The client answers JSON as Any; the view looks at each value before it trusts it.
    control = cast(Control, AsyncControlClient(paths))
    view = FleetView(control, applied, LastWords(paths, tail_lines))
    link = BotLink(paths)
    routes = [Route("/hook/{name}", Hook(applied, link).post, methods=["POST"]), *BotFiles(applied, paths).routes(), *more]
    return build(Api(view, streams), Chat(applied, link, streams), Page(), allowed_hosts(wanted), is_wildcard(wanted), routes)


if __name__ == "__main__":
    sys.exit(main())
