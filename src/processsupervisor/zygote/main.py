"""The zygote: imports a preload set once, then forks a bot for each request of psvd, twice, so that the keeper is its parent.

Run by the keeper as `boot.py processsupervisor.zygote.main FOLDER KEY`; reads run/zygote-KEY.json {preload: [...]}. It holds
nothing of the fleet: no token, no bot's module, no spec. Requests are JSON lines on run/zygote-KEY.sock.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.ipc.presence import Presence
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import LockHeld, ProtocolError, refused_by_system
from processsupervisor.kernel.files import hold_role_lock
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths, short_socket_path
from processsupervisor.launch import heartbeat
from processsupervisor.observe.title import set_title
from processsupervisor.zygote import child
from processsupervisor.zygote.forking import fork_twice
from processsupervisor.zygote.preload import Freshness, Preloaded, StartsThread, preload, thread_count
from processsupervisor.zygote.settling import settle

_CHECK_FILES_EVERY_S = 1.0
_NATIVE_MODULES = ("uvloop", child.RUNNER_MODULE)


class Zygote:
    """Serves fork requests until it is retired or its socket is gone."""

    def __init__(self, paths: FleetPaths, key: str, listener: socket.socket, outcome: Preloaded, left_out: set[str]) -> None:
        self._paths = paths
        self._key = key
        self._listener = listener
        self._hello = {
            "op": "hello",
            "pid": os.getpid(),
            "key": key,
            "left_out": sorted(left_out),
            "failed": outcome.failed,
            "python": sys.version.split()[0],
        }
        self._selector = selectors.DefaultSelector()
        self._freshness = Freshness()
        self._checked_mono = mono()
        self._stale: str | None = None

    def serve(self) -> None:
        """Accept and answer for ever; SIGTERM ends the process as it always does."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        presence = Presence(self._paths, f"zygote-{self._key}")
        if presence.fileno() >= 0:
            self._selector.register(presence, selectors.EVENT_READ, presence)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._accept()
                elif key.data is presence:
                    self._answer(presence)
                else:
                    self._read(key.data)

    def _answer(self, presence: Presence) -> None:
        descriptor = presence.fileno()
        if not presence.serve():
            self._selector.unregister(descriptor)
            presence.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            link = LineSocket(connection)
            self._selector.register(link, selectors.EVENT_READ, link)
            link.send(self._hello)

    def _read(self, link: LineSocket) -> None:
        try:
            messages = link.receive()
        except ProtocolError:
            messages = None
        if messages is None:
            self._selector.unregister(link)
            link.close()
            return
        for message in messages:
            if message.get("op") == "fork":
                link.send(self._fork(link, message))
            elif message.get("op") == "look":
                self._changed_file()  # a fork is about to be asked for: by then it is known whether a file has changed
            elif message.get("op") == "retire":
                os._exit(0)

    def _fork(self, link: LineSocket, message: dict[str, Any]) -> dict[str, Any]:
        """Fork one bot and return the answer `{op: forked, pid, start_ticks}`, `{op: stale}` or `{op: fork-failed}`.

        `group` is the folder of its cgroup or None. `stale_ok` asks for the libraries as they are in memory, whatever has become
        of their files.
        """
        base = {"bot": message["bot"], "generation": message["generation"]}
        secret_fd = link.fds.pop(0) if link.fds else -1
        try:
            if message.get("has_secret") and secret_fd < 0:
                raise OSError(errno.EMFILE, "a descriptor could not be received")
            changed = None if message.get("stale_ok") else self._changed_file()
            if changed is not None:
                return base | {"op": "stale", "file": changed}
            if thread_count() != 1:
                return base | {"op": "fork-failed", "message": "a preloaded library started a thread; see psv doctor"}
            pid = fork_twice(str(self._paths.folder), message["bot"], message["generation"], secret_fd, message.get("group"))
        except OSError as err:
            refused = refused_by_system("cannot fork", err)
            return base | {"op": "fork-failed", "message": refused.message, "code": refused.code}
        finally:
            if secret_fd >= 0:
                os.close(secret_fd)
        identity = Identity.of(pid)
        return base | {"op": "forked", "pid": pid, "start_ticks": identity.start_ticks if identity else 0}

    def _changed_file(self) -> str | None:
        now = mono()
        if self._stale is None and now - self._checked_mono >= _CHECK_FILES_EVERY_S:
            self._stale = self._freshness.changed()
            self._checked_mono = mono()
        return self._stale


def _own_identity() -> dict[str, object]:
    identity = Identity.of(os.getpid())
    return identity.to_json() if identity else {}


def _listen(paths: FleetPaths, key: str) -> socket.socket:
    path = paths.socket(f"zygote-{key}")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(short_socket_path(path, folder))
    finally:
        os.umask(previous)
        os.close(folder)
    listener.listen(64)
    return listener


def main(argv: list[str]) -> int:
    """Preload, then serve. `argv` is FOLDER KEY [--listen-fd N --leave-out a,b]."""
    paths, key = FleetPaths(argv[0]), argv[1]
    options = dict(zip(argv[2::2], argv[3::2], strict=True))
    try:
        lock = hold_role_lock(paths.role_lock(f"zygote-{key}"), json.dumps(_own_identity()))
    except LockHeld as err:
        print(f"psv: zygote {key}: {err}", file=sys.stderr)
        return 0
    plan = json.loads(Path(paths.run / f"zygote-{key}.json").read_bytes())
    left_out = set(filter(None, options.get("--leave-out", "").split(",")))
    listener = socket.socket(fileno=int(options["--listen-fd"])) if "--listen-fd" in options else _listen(paths, key)
    set_title(f"psv: zygote {key} starting")
    heartbeat.install()  # before uvloop is imported
    gc.disable()  # no cycle is collected before the freeze, so that freed pages do not split those shared later
    try:
        outcome = preload([*plan["preload"], *(_NATIVE_MODULES if plan["native"] else ())], left_out)
    except StartsThread as found:
        # A thread cannot be undone, so begin anew in the same process without that module. psvd's connection waits in the backlog.
        os.set_inheritable(listener.fileno(), True)
        left_out.add(found.module)
        before = sys.orig_argv[1 : sys.orig_argv.index(argv[0])]
        options = {"--listen-fd": str(listener.fileno()), "--leave-out": ",".join(sorted(left_out))}
        again = [*before, argv[0], key, *(word for pair in options.items() for word in pair)]
        os.close(lock)
        os.execv(sys.executable, [sys.executable, *again])
    settle(paths.run / f"zygote-{key}.warm", is_native=plan["native"])
    set_title(f"psv: zygote {key}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Zygote(paths, key, listener, outcome, left_out).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
