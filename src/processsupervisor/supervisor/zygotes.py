"""The zygotes of a fleet: one per (interpreter, preload set), made when first needed, replaced when their files changed.

psvd asks the keeper to start them and talks to each over its own socket. Bots do not depend on them: when one dies, the
next of its set is made ahead if bots came from it, else when it is needed. A rollout makes the next epoch beside the
present one; which bots still come from an older one is in pins.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from processsupervisor.kernel.errors import Exhausted, PsvError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.launcher import KeeperPort, ZygoteSet, ZygoteUnfit
from processsupervisor.supervisor.holders import signal_holder
from processsupervisor.supervisor.pins import UNFINISHED, Pins, key_of, split_key, via_of
from processsupervisor.supervisor.zygotelink import FORK_TIMEOUT_S, PRELOAD_TIMEOUT_S, Zygote, ZygoteGone
from processsupervisor.supervisor.zygotespawn import ROLE, connect, spawn

_MOST_ZYGOTES = 6
"""How many may die or be outdated under one start before it is given up."""
_PAUSE_S = 0.1


class ZygotePool:
    """All zygotes, by key; implements the launcher's ZygotePort."""

    def __init__(self, paths: FleetPaths, keeper: KeeperPort) -> None:
        self._paths = paths
        self._keeper = keeper
        self._zygotes: dict[str, asyncio.Task[Zygote]] = {}
        self._epochs: dict[str, int] = {}
        self._running_roles: set[str] = set()
        self._used: dict[str, ZygoteSet] = {}
        self._warming: set[asyncio.Task[None]] = set()
        self.pins = Pins()
        self.notes: dict[str, str] = {}
        """{subject: message} for status: modules left out, preload failures."""

    # -- what runs already

    def know(self, roles: Sequence[dict[str, Any]]) -> None:
        """Take from the keeper's welcome which zygotes run already; a new psvd goes on with them."""
        self._running_roles = {str(r["role"]) for r in roles if r["pid"] is not None and str(r["role"]).startswith(ROLE)}
        for role in self._running_roles:
            base, epoch = split_key(role.removeprefix(ROLE))
            self._epochs[base] = max(self._epochs.get(base, 0), epoch)
        self._end_orphans()

    def _end_orphans(self) -> None:
        """End zygotes of an earlier keeper that nobody has a link to: nobody else would, not even at the end of the fleet."""
        for lock in self._paths.run.glob(f"{ROLE}*.lock"):
            if lock.stem not in self._running_roles and lock.stem.removeprefix(ROLE) not in self._zygotes:
                self._kill_holder(lock.stem)

    def recall(self, bot: str, via: str) -> None:
        """Take from a bot's record where it came from: while that zygote runs, its later starts come from there too."""
        key = key_of(via)
        if not key:
            return
        base, epoch = split_key(key)
        self._epochs[base] = max(self._epochs.get(base, 0), epoch)  # no epoch is given out twice
        if self.is_alive(key):
            self.pins.tie(bot, key, UNFINISHED)

    def settle(self) -> None:
        """When all bots are recalled: only those of past epochs are tied to anything, and zygotes nobody needs are retired."""
        self.pins.drop_zygotes([key for key in self.pins.needed() if not self._is_past(key)])
        self.sweep()

    def retire_all(self) -> None:
        """End all zygotes; what they fork would not be the present keeper's child. New ones are made at once."""
        self.pins.drop_zygotes(self.pins.needed())
        for task in list(self._zygotes.values()):
            if task.done() and not task.cancelled() and task.exception() is None:
                self._replace(task.result())
        for lock in self._paths.run.glob(f"{ROLE}*.lock"):
            if lock.stem not in self._running_roles:
                self._kill_holder(lock.stem)  # one that no psvd has talked to since the old keeper
        for base in list(self._used):
            self._warm(base)

    def forget(self, role: str) -> None:
        """Note that the keeper saw a zygote end."""
        key = role.removeprefix(ROLE)
        self._running_roles.discard(role)
        self.pins.drop_zygotes([key])
        if self._is_past(key):
            for path in (self._paths.socket(role), self._paths.role_lock(role), self._paths.run / f"{role}.json"):
                path.unlink(missing_ok=True)  # no zygote will have this name again
        else:
            self._warm(split_key(key)[0])

    def _warm(self, base: str) -> None:
        """Make the next zygote of a set that bots came from before one of them needs it; once, until a bot came from that one."""
        wanted = self._used.pop(base, None)
        if wanted is not None:
            task = asyncio.get_running_loop().create_task(self._make_ahead(wanted))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def _make_ahead(self, wanted: ZygoteSet) -> None:
        with contextlib.suppress(SystemRefused, OSError):  # whoever needs it is told why
            await self._get(wanted)

    def close(self) -> None:
        """Make nothing ahead any more: the fleet goes down."""
        self._used.clear()
        for task in self._warming:
            task.cancel()

    def is_alive(self, key: str) -> bool:
        """Tell whether this zygote runs, as far as is known."""
        return ROLE + key in self._running_roles

    def origin(self, bot: str) -> str:
        """See ZygotePort."""
        key = self.pins.key(bot)
        return via_of(key) if key is not None else ""

    # -- forking

    async def prepare(self, python: str | None, preload: Sequence[str], *, is_native: bool, bot: str) -> list[str]:
        """See ZygotePort: return when a zygote for this set is ready to fork."""
        zygote = await self._choose(bot, ZygoteSet(python, tuple(preload), is_native))
        pin = self.pins.by_bot.get(bot)
        if pin is not None and pin.key == zygote.key:
            return [f"forked by the old zygote {pin.key}: {pin.why}"]
        left_out = set(zygote.hello.get("left_out", ()))
        if left_out and not is_native:
            raise ZygoteUnfit(f"its library {', '.join(sorted(left_out))} starts a thread when it is imported")
        return []

    def look(self, via: str) -> None:
        """See ZygotePort."""
        zygote = self._linked(key_of(via))
        if zygote is not None:
            zygote.look()

    async def fork(
        self, python: str | None, preload: Sequence[str], *, is_native: bool, bot: str, generation: int, group: str | None, secret_fd: int
    ) -> tuple[int, int, str]:
        """See ZygotePort; a stale or vanished zygote is replaced and the next one asked, _MOST_ZYGOTES in all."""
        wanted = ZygoteSet(python, tuple(preload), is_native)
        for attempt in range(_MOST_ZYGOTES):
            await asyncio.sleep(_PAUSE_S * attempt)
            zygote = await self._choose(bot, wanted)
            is_pinned = self.pins.key(bot) == zygote.key
            try:
                answer = await zygote.fork(bot, generation, group, secret_fd, is_stale_ok=is_pinned)
            except SystemRefused:
                self._discard(zygote)
                continue
            match answer.get("op"):
                case "forked":
                    self._used[split_key(zygote.key)[0]] = wanted
                    return int(answer["pid"]), int(answer["start_ticks"]), via_of(zygote.key)
                case "stale":
                    if is_pinned:  # it is of an older psv, which forks nothing once its files have changed
                        self.pins.drop_zygotes([zygote.key])
                    self._replace(zygote)
                case _:
                    kind = Exhausted if answer.get("code") == Exhausted.code else SystemRefused
                    raise kind(str(answer.get("message", "the zygote could not fork")))
        raise SystemRefused("no zygote could be made", hint="see .psv/logs/psv/zygote-*.err")

    async def _choose(self, bot: str, wanted: ZygoteSet) -> Zygote:
        """Return the zygote that `bot` is tied to while it lives, else the present one of its set."""
        while (key := self.pins.key(bot)) is not None:
            try:
                return await self._open(key)
            except SystemRefused:
                self.pins.drop_zygotes([key])
        for attempt in range(1, _MOST_ZYGOTES):
            with contextlib.suppress(ZygoteGone):
                return await self._get(wanted)
            await asyncio.sleep(_PAUSE_S * attempt)
        return await self._get(wanted)

    async def _get(self, wanted: ZygoteSet) -> Zygote:
        key = self._present(wanted.base)
        return await self._shared(key, self._make(key, wanted))

    async def _open(self, key: str) -> Zygote:
        """Return a zygote that runs already; raises SystemRefused when it does not, or gives no answer."""
        if not self.is_alive(key):
            raise SystemRefused("the zygote is gone")
        return await self._shared(key, self._link(key, FORK_TIMEOUT_S))

    async def _shared(self, key: str, making: Coroutine[Any, Any, Zygote]) -> Zygote:
        task = self._zygotes.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(making)
            self._zygotes[key] = task
        else:
            making.close()
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._zygotes.get(key) is task:
                del self._zygotes[key]
            raise

    # -- a rollout

    async def hold(self, origins: Mapping[str, str]) -> None:
        """Pin each bot of `{bot: via}` to the zygote it came from, if that one answers, and keep those zygotes until `release`."""
        for key in set(filter(None, map(key_of, origins.values()))):
            with contextlib.suppress(SystemRefused):
                await self._open(key)
                self.pins.held.add(key)
                for bot, via in origins.items():
                    if key_of(via) == key:
                        self.pins.tie(bot, key, UNFINISHED)

    def release(self, *, is_done: bool) -> None:
        """End the hold: with `is_done` nobody is tied to the held zygotes any more. What nobody needs is retired."""
        if is_done:
            self.pins.drop_zygotes(set(self.pins.held))
        self.pins.held.clear()
        self.sweep()

    async def make_fresh(self, sets: Iterable[ZygoteSet]) -> None:
        """Make the next zygote of each set; from now on they are the present ones.

        Raises SystemRefused when one cannot be made, or cannot import what a held one could: then nothing has changed.
        """
        wanted = {f"{s.base}-{self._epochs.get(s.base, 0) + 1}": s for s in sets}
        made = await asyncio.gather(*(self._make_beside(key, s) for key, s in wanted.items()), return_exceptions=True)
        problem = next((m for m in made if isinstance(m, BaseException)), None)
        if problem is not None:
            for key in wanted:
                self._retire(key)
            why = problem.message if isinstance(problem, PsvError) else str(problem)
            hint = "no bot was touched; see .psv/logs/psv/zygote-*.err"
            raise SystemRefused(f"a new zygote cannot be made: {why}", hint=hint) from problem
        for key in wanted:
            base, epoch = split_key(key)
            self._epochs[base] = max(self._epochs.get(base, 0), epoch)

    async def _make_beside(self, key: str, wanted: ZygoteSet) -> Zygote:
        zygote = await self._shared(key, self._make(key, wanted))
        failed: dict[str, str] = zygote.hello.get("failed", {})
        held = [z for z in map(self._linked, self.pins.held) if z is not None and split_key(z.key)[0] == wanted.base]
        for module, error in failed.items():
            if held and not any(module in z.hello.get("failed", {}) for z in held):
                raise SystemRefused(f"{module} cannot be imported any more: {error}")
        return zygote

    def sweep(self) -> None:
        """Retire every zygote of a past epoch that nobody is tied to; what it forked goes on."""
        needed = self.pins.needed()
        for role in list(self._running_roles):
            key = role.removeprefix(ROLE)
            if key not in needed and self._is_past(key):
                self._retire(key)

    # -- making and ending

    def _present(self, base: str) -> str:
        return f"{base}-{self._epochs.get(base, 0)}"

    def _is_past(self, key: str) -> bool:
        base, epoch = split_key(key)
        return epoch < self._epochs.get(base, 0)

    async def _make(self, key: str, wanted: ZygoteSet) -> Zygote:
        if self.is_alive(key):
            with contextlib.suppress(SystemRefused):
                return await self._link(key, PRELOAD_TIMEOUT_S)
        await spawn(self._paths, self._keeper, key, wanted)
        self._running_roles.add(ROLE + key)
        return await self._link(key, PRELOAD_TIMEOUT_S)

    async def _link(self, key: str, timeout_s: float) -> Zygote:
        zygote = Zygote(key, await connect(self._paths, key, self.is_alive), self._drop)
        await zygote.ready(timeout_s)
        for module in zygote.hello.get("left_out", ()):
            self.notes[f"preload {module}"] = "left out of the zygote because importing it starts a thread; bots import it after the fork"
        for module, error in zygote.hello.get("failed", {}).items():
            self.notes[f"preload {module}"] = f"cannot be imported: {error}"
        return zygote

    def _linked(self, key: str) -> Zygote | None:
        task = self._zygotes.get(key)
        return task.result() if task is not None and task.done() and not task.cancelled() and task.exception() is None else None

    def _drop(self, zygote: Zygote) -> None:
        if self._linked(zygote.key) is zygote:
            del self._zygotes[zygote.key]

    def _replace(self, zygote: Zygote) -> None:
        """Let the next fork make a zygote of the next epoch; this one, whose files changed, is retired unless bots are tied to it."""
        base, epoch = split_key(zygote.key)
        self._epochs[base] = max(self._epochs.get(base, 0), epoch + 1)
        if zygote.key not in self.pins.needed():
            self._discard(zygote)
            zygote.retire()

    def _discard(self, zygote: Zygote) -> None:
        """Let go of a zygote that is gone, silent or outdated; if it still lives, the next of its name ends it first."""
        self._zygotes.pop(zygote.key, None)
        self._running_roles.discard(ROLE + zygote.key)

    def _retire(self, key: str) -> None:
        zygote = self._linked(key)
        self._zygotes.pop(key, None)
        self._running_roles.discard(ROLE + key)
        if zygote is not None:
            zygote.retire()
        else:
            self._kill_holder(ROLE + key)

    def _kill_holder(self, role: str) -> None:
        """SIGKILL a zygote that cannot be told; it has nothing to lose."""
        with contextlib.suppress(OSError, PsvError):
            signal_holder(self._paths, role, signal.SIGKILL)
