"""The zygotes of a fleet: one per (interpreter, preload set), made when first needed, replaced when their files changed.

psvd asks the keeper to start them and talks to each over its own socket. Bots do not depend on them: a dead zygote is
noticed at the next fork and made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import ProtocolError, SystemRefused
from processsupervisor.kernel.files import is_flocked, read_json, write_json
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.launcher import KeeperPort, ZygoteUnfit

PRELOAD_TIMEOUT_S = 120.0
FORK_TIMEOUT_S = 20.0
_FORKS_UNDER_WAY = 8
"""Requests in one zygote's socket at a time: more would only wait there, and a full socket cannot take a descriptor."""
_BOOTSTRAP = "import sys; sys.path.append(sys.argv.pop(1)); from processsupervisor.zygote.main import main; sys.exit(main(sys.argv[1:]))"
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PSV_RUNTIME_DIR", "XDG_RUNTIME_DIR")


class Zygote:
    """One running zygote: its link and what it said of itself."""

    def __init__(self, key: str, link: LineSocket, on_lost: Callable[[], None]) -> None:
        self.key = key
        self.hello: dict[str, Any] = {}
        self._link = link
        self._on_lost = on_lost
        self._slots = asyncio.Semaphore(_FORKS_UNDER_WAY)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending: dict[tuple[str, int], asyncio.Future[dict[str, Any]]] = {}
        asyncio.get_running_loop().add_reader(link.fileno(), self._readable)

    async def ready(self) -> None:
        """Wait until the preload is done; raises SystemRefused when it takes too long or the zygote dies."""
        try:
            async with asyncio.timeout(PRELOAD_TIMEOUT_S):
                await asyncio.shield(self._ready)
        except TimeoutError as err:
            raise SystemRefused(f"the preload took more than {PRELOAD_TIMEOUT_S:g} s", hint="see .psv/logs/psv/zygote-*.err") from err

    async def fork(self, bot: str, generation: int, secret_fd: int) -> dict[str, Any]:
        """Return the zygote's answer to one fork request; raises SystemRefused when the zygote is gone or silent."""
        async with self._slots:
            return await self._fork(bot, generation, secret_fd)

    async def _fork(self, bot: str, generation: int, secret_fd: int) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[bot, generation] = answer
        try:
            if not self._link.send({"op": "fork", "bot": bot, "generation": generation}, (secret_fd,) if secret_fd >= 0 else ()):
                self.close()
                raise SystemRefused("the zygote is gone")
            reach(CrashPoint.PSVD_FORK_SENT)
            async with asyncio.timeout(FORK_TIMEOUT_S):
                return await answer
        except TimeoutError as err:
            raise SystemRefused("the zygote gives no answer") from err
        finally:
            self._pending.pop((bot, generation), None)

    def retire(self) -> None:
        """Tell the zygote to end; its bots go on."""
        reach(CrashPoint.PSVD_BEFORE_RETIRE)
        self._link.send({"op": "retire"})
        reach(CrashPoint.PSVD_AFTER_RETIRE)
        self.close()

    def _readable(self) -> None:
        try:
            messages = self._link.receive()
        except ProtocolError:
            messages = None
        if messages is None:
            self.close()
            return
        for message in messages:
            if message.get("op") == "hello":
                self.hello = message
                if not self._ready.done():
                    self._ready.set_result(None)
                continue
            waiting = self._pending.get((str(message.get("bot")), int(message.get("generation", -1))))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    def close(self) -> None:
        """Close the link; whoever waits is told that the zygote is gone."""
        if self._link.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._link.close()
        gone = SystemRefused("the zygote is gone", hint="a new one is made at the next start")
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(gone)
        if not self._ready.done():
            self._ready.set_exception(gone)
            self._ready.exception()  # retrieved, so that nobody is warned about a zygote that no one waited for
        self._on_lost()


class ZygotePool:
    """All zygotes, by key; implements the launcher's ZygotePort."""

    def __init__(self, paths: FleetPaths, keeper: KeeperPort) -> None:
        self._paths = paths
        self._keeper = keeper
        self._zygotes: dict[str, asyncio.Task[Zygote]] = {}
        self._epochs: dict[str, int] = {}
        self._running_roles: set[str] = set()
        self.notes: dict[str, str] = {}
        """{subject: message} for status: modules left out, preload failures."""

    def know(self, roles: Sequence[dict[str, Any]]) -> None:
        """Take from the keeper's welcome which zygotes run already; a new psvd goes on with them."""
        self._running_roles = {str(r["role"]) for r in roles if r["pid"] is not None and str(r["role"]).startswith("zygote-")}
        for role in self._running_roles:
            base, _, epoch = role.removeprefix("zygote-").rpartition("-")
            self._epochs[base] = max(self._epochs.get(base, 0), int(epoch))
        self._end_orphans()

    def _end_orphans(self) -> None:
        """End zygotes of an earlier keeper that nobody has a link to: nobody else would, not even at the end of the fleet."""
        for lock in self._paths.run.glob("zygote-*.lock"):
            if lock.stem not in self._running_roles and lock.stem.removeprefix("zygote-") not in self._zygotes and is_flocked(lock):
                send_signal(Identity.from_json(read_json(lock)), signal.SIGKILL)

    def retire_all(self) -> None:
        """End all zygotes; what they fork would not be the present keeper's child. New ones are made at the next starts."""
        for task in list(self._zygotes.values()):
            if task.done() and not task.cancelled() and task.exception() is None:
                self._replace(task.result())

    def forget(self, role: str) -> None:
        """Note that the keeper saw a zygote end."""
        self._running_roles.discard(role)

    async def prepare(self, python: str | None, preload: Sequence[str], *, is_native: bool) -> None:
        """See ZygotePort: return when a zygote for this set is ready to fork."""
        zygote = await self._get(python, tuple(preload), is_native)
        left_out = set(zygote.hello.get("left_out", ()))
        if left_out and not is_native:
            raise ZygoteUnfit(f"its library {', '.join(sorted(left_out))} starts a thread when it is imported")

    async def fork(
        self, python: str | None, preload: Sequence[str], *, is_native: bool, bot: str, generation: int, secret_fd: int
    ) -> tuple[int, int, str]:
        """See ZygotePort; a stale or vanished zygote is replaced and asked once more."""
        for _ in range(3):
            zygote = await self._get(python, tuple(preload), is_native)
            try:
                answer = await zygote.fork(bot, generation, secret_fd)
            except SystemRefused:
                self._discard(zygote)
                continue
            match answer.get("op"):
                case "forked":
                    return int(answer["pid"]), int(answer["start_ticks"]), zygote.key
                case "stale":
                    self._replace(zygote)
                case _:
                    raise SystemRefused(str(answer.get("message", "the zygote could not fork")))
        raise SystemRefused("no zygote could be made", hint="see .psv/logs/psv/zygote-*.err")

    async def _get(self, python: str | None, preload: tuple[str, ...], is_native: bool) -> Zygote:
        interpreter = os.path.realpath(python) if python else sys.executable
        base = hashlib.sha256(json.dumps([python, interpreter, sorted(preload), is_native]).encode()).hexdigest()[:10]
        key = f"{base}-{self._epochs.get(base, 0)}"
        task = self._zygotes.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(key, python, list(preload), is_native))
            self._zygotes[key] = task
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._zygotes.get(key) is task:
                del self._zygotes[key]
            raise

    async def _make(self, key: str, python: str | None, preload: list[str], is_native: bool) -> Zygote:
        role = f"zygote-{key}"
        if role not in self._running_roles:
            await self._end_holder(role)
            reach(CrashPoint.PSVD_BEFORE_ZYGOTE)
            write_json(self._paths.run / f"{role}.json", {"preload": preload, "native": is_native})
            env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            with contextlib.suppress(FileNotFoundError):
                self._paths.socket(role).unlink()
            reach(CrashPoint.PSVD_ZYGOTE_WRITTEN)
            await self._keeper.request("spawn", role=role, argv=self._argv(python, key), env=env)
            reach(CrashPoint.PSVD_ZYGOTE_SPAWNED)
            self._running_roles.add(role)
        link = await self._connect(role)
        zygote = Zygote(key, link, lambda: self._drop(key))
        await zygote.ready()
        for module in zygote.hello.get("left_out", ()):
            self.notes[f"preload {module}"] = "left out of the zygote because importing it starts a thread; bots import it after the fork"
        for module, error in zygote.hello.get("failed", {}).items():
            self.notes[f"preload {module}"] = f"cannot be imported: {error}"
        return zygote

    async def _end_holder(self, role: str) -> None:
        """End a zygote of this name that nobody talks to any more (an earlier keeper's, or a wedged one): it holds the lock."""
        lock = self._paths.role_lock(role)
        deadline = asyncio.get_running_loop().time() + 5.0
        while is_flocked(lock) and asyncio.get_running_loop().time() < deadline:
            holder = Identity.from_json(read_json(lock))
            if holder is not None:
                send_signal(holder, signal.SIGKILL)
            await asyncio.sleep(0.01)  # until the kernel has freed the lock of a process that is not our child

    def _argv(self, python: str | None, key: str) -> list[str]:
        arguments = [str(self._paths.folder), key]
        if python is None or Path(python) == Path(sys.executable):
            return [sys.executable, "-P", "-m", "processsupervisor.zygote.main", *arguments]
        # Another interpreter or virtualenv: it sees this package, and nothing else of our environment, through one link.
        library = self._paths.run / "lib"
        library.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (library / "processsupervisor").symlink_to(Path(__file__).parents[1])
        return [python, "-P", "-c", _BOOTSTRAP, str(library), *arguments]

    async def _connect(self, role: str) -> LineSocket:
        """Connect as soon as the zygote listens, which it does before it preloads."""
        deadline = asyncio.get_running_loop().time() + 15.0
        while True:
            try:
                return LineSocket(connect_unix(self._paths.socket(role), 2.0))
            except OSError as err:
                if role not in self._running_roles or asyncio.get_running_loop().time() > deadline:
                    self._running_roles.discard(role)
                    raise SystemRefused(f"the zygote did not start: see .psv/logs/psv/{role}.err") from err
            await asyncio.sleep(0.01)  # a socket file that appears gives no event short of inotify

    def _drop(self, key: str) -> None:
        self._zygotes.pop(key, None)

    def _replace(self, zygote: Zygote) -> None:
        """Retire a zygote whose files changed; the next fork makes one of the next epoch."""
        base, _, epoch = zygote.key.rpartition("-")
        self._epochs[base] = max(self._epochs.get(base, 0), int(epoch) + 1)
        self._discard(zygote)
        zygote.retire()

    def _discard(self, zygote: Zygote) -> None:
        """Let go of a zygote that is gone, silent or outdated; if it still lives, the next of its name ends it first."""
        self._zygotes.pop(zygote.key, None)
        self._running_roles.discard(f"zygote-{zygote.key}")
