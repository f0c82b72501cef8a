"""Launching one generation: FIFOs, secret, spec on disk, cgroup, then a fork by a zygote or by the keeper.

The launcher decides the way (a script that cannot be forked safely runs as a command, and says why) and returns who was
born. It writes no state: intent was written by the handle before it was called.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from processsupervisor.config.imports import scan_script
from processsupervisor.config.networks import network_libraries
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import Exhausted, SystemRefused, refused_by_system
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import failure_path, reading_path
from processsupervisor.launch.locks import reserve_note
from processsupervisor.launch.references import texts_of
from processsupervisor.launch.release import runs_module
from processsupervisor.launch.values import origin
from processsupervisor.process.livevalues import digest_of, live_values
from processsupervisor.resources.cgroups import Groups

# These steer the interpreter itself and are read only while it starts: a forked child could not honour them.
STARTUP_VARIABLES = frozenset(
    {
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PYTHONDEVMODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONHOME",
        "PYTHONMALLOC",
        "PYTHONNOUSERSITE",
        "PYTHONOPTIMIZE",
        "PYTHONTRACEMALLOC",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
    }
)


class ZygoteUnfit(SystemRefused):
    """No zygote can safely fork this script; the message says why."""

    code = "zygote-unfit"


class KeeperPort(Protocol):
    """What launching needs of the keeper; requests raise SystemRefused when it is away or refuses."""

    @property
    def pid(self) -> int | None:
        """The keeper's pid, None while it is away."""
        ...

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send one request and return its answer."""
        ...

    def tell(self, op: str, **fields: Any) -> None:
        """Send one message that needs no answer."""
        ...


class ZygoteSet(NamedTuple):
    """What one zygote is made of: interpreter (None = psv's own), preload set, and whether it forks native bots."""

    python: str | None
    preload: tuple[str, ...]
    is_native: bool

    @property
    def base(self) -> str:
        """Return the name of the set: a zygote's key is this and an epoch."""
        interpreter = os.path.realpath(self.python) if self.python else sys.executable
        return hashlib.sha256(json.dumps([self.python, interpreter, sorted(self.preload), self.is_native]).encode()).hexdigest()[:10]


class ZygotePort(Protocol):
    """What launching needs of the zygotes."""

    async def prepare(self, python: str | None, preload: Sequence[str], *, is_native: bool, bot: str) -> list[str]:
        """Wait until a zygote for this bot is ready; returns notes on it. Raises ZygoteUnfit or SystemRefused."""
        ...

    def origin(self, bot: str) -> str:
        """Return `via` of the next start of `bot` if it is tied to one zygote, else nothing."""
        ...

    def look(self, via: str) -> None:
        """Let the zygote named by `via` prepare for a fork that is about to be asked for."""
        ...

    async def fork(
        self, python: str | None, preload: Sequence[str], *, is_native: bool, bot: str, generation: int, group: str | None, secret_fd: int
    ) -> tuple[int, int, str]:
        """Return (pid, start ticks, "zygote KEY") of the forked bot; raises ZygoteUnfit or SystemRefused."""
        ...


@dataclass(frozen=True, slots=True)
class _Way:
    """How a bot is to be born: forked by the zygote of `preload`, or executed by the keeper."""

    is_forked: bool = False
    preload: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Launched:
    """One newborn process; `notes` say what was done otherwise than asked."""

    identity: Identity
    via: str
    group: str | None = None
    notes: list[str] = field(default_factory=list)


_LAUNCHES_UNDER_WAY = 16
"""Each launch blocks psvd's loop for some file operations: in between, commands and pings are answered."""


@dataclass(slots=True)
class Launcher:
    """Turns a spec and a generation number into a process."""

    paths: FleetPaths
    keeper: KeeperPort
    zygotes: ZygotePort
    groups: Groups
    fleet_name: str
    admits: Callable[[str], bool]
    """Asked again just before the work begins: the system may have begun to refuse while this start waited for its slot."""
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LAUNCHES_UNDER_WAY))

    async def launch(self, spec: BotSpec, generation: int, *, secret: str, notify_socket: str | None) -> Launched:
        """Start generation `generation`; raises PsvError when no process came to be (its FIFOs are released then).

        `secret` goes to native bots through a pipe: it is never in argv, environment or a file.
        """
        if self.keeper.pid is None:
            raise SystemRefused("no keeper", hint="bots go on, but nothing is started until psv up brings a new keeper")
        way = await self._find_way(spec)  # waits for a preload, so it holds no slot
        async with self._slots:
            if not self.admits(spec["name"]):
                raise Exhausted("starts wait: the system refuses new processes")
            launched = await self._launch(spec, generation, way, secret, notify_socket)
        launched.notes += way.notes
        return launched

    async def _find_way(self, spec: BotSpec) -> _Way:
        """Decide between zygote and keeper, and wait until the zygote is ready."""
        if spec["kind"] == "command":
            return _Way()
        try:
            preload = tuple(sorted(set(await self._preload_set(spec))))
            notes = await self.zygotes.prepare(spec["python"], preload, is_native=spec["kind"] == "native", bot=spec["name"])
        except ZygoteUnfit as err:
            if spec["kind"] == "native":
                raise
            return _Way(notes=[f"runs as a command, not forked: {err.message}"])
        return _Way(is_forked=True, preload=preload, notes=notes)

    async def zygote_set(self, spec: BotSpec) -> ZygoteSet | None:
        """Return what the zygote of this bot must have; None for one that the keeper executes."""
        if spec["kind"] == "command":
            return None
        try:
            preload = await self._preload_set(spec)
        except ZygoteUnfit:
            return None
        return ZygoteSet(spec["python"], tuple(sorted(set(preload))), spec["kind"] == "native")

    async def _preload_set(self, spec: BotSpec) -> list[str]:
        if spec["kind"] == "native":
            return [*spec["preload"], *network_libraries(spec)]
        steering = sorted(STARTUP_VARIABLES & set(spec["env"]))
        if steering:
            raise ZygoteUnfit(f"env sets {', '.join(steering)}, which only a new interpreter reads")
        # Reading a few files, but off the loop: a script may have many modules beside it.
        scan = await asyncio.to_thread(scan_script, Path(spec["script"] or ""), Path(spec["cwd"]))
        return [*spec["preload"], *scan.libraries]

    async def _launch(self, spec: BotSpec, generation: int, way: _Way, secret: str, notify_socket: str | None) -> Launched:
        bot = str(spec["name"])
        self._prepare_folders(spec)
        reach(CrashPoint.PSVD_BEFORE_FIFOS)
        await self.keeper.request("fifos", bot=bot, generation=generation, options=_fifo_options(spec))
        reach(CrashPoint.PSVD_AFTER_FIFOS)
        group = self.groups.create(bot, spec["limits"].get("memory_bytes"), spec["limits"].get("pids"))
        reach(CrashPoint.PSVD_AFTER_CGROUP)
        written = dict(spec) | {
            "fleet": self.fleet_name,
            "folder": str(self.paths.folder),
            "generation": generation,
            "cgroup": group,
            "notify_socket": notify_socket,
            "argv": command_line(spec),
            "settings_digest": digest_of(live_values(spec)),
            "inherited": {key: os.environ[key] for key in spec["inherit"] if key in os.environ},
            **(origin(self.keeper.pid) if texts_of(spec) else {}),
        }
        if proxy := spec.get("telegram_proxy"):
            # The process that becomes the bot reads this file, and is never to have the token, written out as it may be.
            written["telegram_proxy"] = {"env": proxy["env"], "url_env": proxy["url_env"]}
        # In place: nobody reads it before this start, and a torn one is of no generation.
        self._write_spec(self.paths.bot_run(bot) / "spec.json", written)
        reach(CrashPoint.PSVD_AFTER_SPEC)
        with contextlib.suppress(FileNotFoundError):
            failure_path(self.paths, bot).unlink()
        _mark(reading_path(self.paths, bot), is_reading=bool(texts_of(spec)))
        reach(CrashPoint.PSVD_BEFORE_FORK)
        try:
            launched = await self._fork(spec, generation, way, group, secret)
        except BaseException:
            self.keeper.tell("release", bot=bot, generation=generation)
            raise
        reach(CrashPoint.PSVD_FORK_ANSWERED)
        launched.group = group
        return launched

    async def _fork(self, spec: BotSpec, generation: int, way: _Way, group: str | None, secret: str) -> Launched:
        if not way.is_forked:
            answer = await self.keeper.request("launch", bot=spec["name"], generation=generation)
            return Launched(_identity(answer["pid"], answer["start_ticks"]), "keeper")
        is_native = spec["kind"] == "native"
        secret_fd = _readable_once(secret) if is_native else -1
        reach(CrashPoint.PSVD_SECRET_MADE)
        try:
            pid, start_ticks, via = await self.zygotes.fork(
                spec["python"], way.preload, is_native=is_native, bot=spec["name"], generation=generation, group=group, secret_fd=secret_fd
            )
        finally:
            if secret_fd >= 0:
                os.close(secret_fd)
        return Launched(_identity(pid, start_ticks), via)

    @staticmethod
    def _write_spec(path: Path, spec: dict[str, Any]) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                # Cut after writing, not before: on a full disk the blocks it has are enough.
                file.write(json.dumps(spec, ensure_ascii=False).encode("utf-8", "surrogateescape"))
                file.truncate()
        except OSError as err:
            raise refused_by_system(f"cannot write {path}", err, hint="free disk space or fix permissions") from err

    def _prepare_folders(self, spec: BotSpec) -> None:
        folders = (self.paths.bot_run(spec["name"]), self.paths.bot_data(spec["name"]))
        try:
            reserve_note(folders[0] / "lock")  # so that the child can write into it with no byte of disk free
            if spec["user"]:
                for folder in folders:
                    folder.mkdir(mode=0o700, exist_ok=True)
                _give_to(str(spec["user"]), self.paths, folders)
        except OSError as err:
            raise refused_by_system(f"cannot prepare {err.filename or folders[0]}", err, hint="free disk space or fix permissions") from err


def _mark(path: Path, *, is_reading: bool) -> None:
    """Have the child take a file away when it has its values; where none can be made the bot counts as begun at once."""
    with contextlib.suppress(OSError):
        if is_reading:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        else:
            path.unlink(missing_ok=True)


def command_line(spec: BotSpec) -> list[str]:
    """Return the argv of a bot that is executed; "python" as first word is the interpreter psv runs on."""
    python = spec["python"] or sys.executable
    if spec["kind"] == "command":
        first, *rest = spec["command"] or [""]
        words = [*rest, *spec["args"]]
        # Else -m looks in cwd, the fleet folder, before all other places; the child's PYTHONPATH names the release.
        safe = ["-P"] if spec.get("release") is not None and runs_module(first, words) else []
        return [python if first == "python" else first, *safe, *words]
    return [python, str(spec["script"]), *spec["args"]] if spec["kind"] == "script" else []


def _fifo_options(spec: BotSpec) -> dict[str, Any]:
    ready = spec["ready"]
    return {"logs": spec["logs"], "ready_log": ready["value"] if ready["kind"] == "log" else None, "user": spec["user"]}


def _identity(pid: int, start_ticks: int) -> Identity:
    return Identity(pid, start_ticks, boot_id(), pid_namespace())


def _readable_once(secret: str) -> int:
    """Return the reading end of a pipe that holds `secret`."""
    reading, writing = os.pipe()
    os.write(writing, secret.encode())
    os.close(writing)
    return reading


def _give_to(user: str, paths: FleetPaths, folders: Sequence[Path]) -> None:
    """Let a bot of another user reach its own folders, and the socket of bots, but list nothing on the way."""
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return  # the child reports it, with the way out
    run_folder, data_folder = folders
    # The run folder stays ours: the bot may add files (its web.sock), but sticky keeps it from replacing spec, lock and record.
    os.chown(run_folder, -1, entry.pw_gid)
    run_folder.chmod(0o1770)
    os.chown(data_folder, entry.pw_uid, entry.pw_gid)
    for folder in (paths.psv, paths.run, paths.run / "bots", paths.data, paths.data / "bots"):
        folder.chmod(0o711)
    paths.socket("bot").chmod(0o666)  # a hello needs the secret of that very start
