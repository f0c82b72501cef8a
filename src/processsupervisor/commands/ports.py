"""What the handlers of commands need from a running fleet, as Protocols; and who calls.

The supervisor implements `FleetPort`; this room knows nothing of processes, sockets or files. Objects that cross the port
are plain JSON-able dicts, because every one of them goes over a wire unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Literal, NamedTuple, Protocol

Emit = Callable[[dict[str, object]], Awaitable[None]]
"""Sends one event of a streaming command; raises (as any write to a peer does) when the peer is gone."""

Asked = Literal["letter", "send"]
"""What a bot is asked to do again, by its number."""

ASKING: ContextVar[str | None] = ContextVar("ASKING", default=None)
"""Who asked for what is being done now, while a command is carried out; whatever it began and left behind inherits it."""


class Caller(NamedTuple):
    """Who asks: the peer's uid (None when unknown), a name for the audit line, and the way in ("control", "bot")."""

    uid: int | None
    name: str
    via: str


class ConfigPort(Protocol):
    """The versions of the configuration of one running fleet."""

    def running(self) -> dict[str, object]:
        """Return `{number, at, author, reason, checksum, summary, result, source_digest, files, rejected, rollout}` of what runs.

        `rejected` is `{source_digest: {reason, at, number}}`; `rollout` `{number, touched}` while a change is under way, else None.
        """
        ...

    def newest(self, limit: int) -> list[dict[str, object]]:
        """Return the newest versions, newest first, as `running` without the last three, with `is_running`."""
        ...

    async def content(self, number: int | None, emit: Emit) -> dict[str, object]:
        """Emit `{kind: "part", data}`: base64 of content.pack's bytes of a version (None: that which runs); return `{number, checksum}`.

        Raises Refused ("no-such-version").
        """
        ...

    async def apply(self, token: str, base: int | None, reason: str, emit: Emit, *, now: bool, again: bool) -> dict[str, object]:
        """Apply the candidate `token`, which is consumed; return `{ok, number, result, message, touched, left}` when it is through.

        Emits `{kind: "plan", added, removed, live, batches, settle_s, estimate_s}`, `{kind: "live", bot, ok, message}`, `{kind:
        "batch", number, bots}`, `{kind: "bot", bot, outcome, message, took_s}`, `{kind: "settle", seconds}`, `{kind:
        "back", message}`, `{kind: "end", ok, message}`. `result` is applied, unchanged or rolled-back. Whoever asked may leave: it goes on.
        Raises Refused ("version-moved", "rejected", "rollout-runs", "budget", "config"), UsageError for a candidate
        that cannot be read, SystemRefused when the version cannot be noted; nothing has changed then.
        """
        ...

    async def rollback(self, number: int, base: int | None, reason: str, emit: Emit, *, now: bool) -> dict[str, object]:
        """As `apply`, with what an earlier version says; the files that ran count as rejected then."""
        ...

    def refused(self, digest: str, reason: str) -> None:
        """Note why files of this digest are not applied, for `status`."""
        ...


class FleetPort(Protocol):
    """One running fleet. Names given to the per-bot methods exist: they come out of `select`."""

    @property
    def config(self) -> ConfigPort:
        """Its configuration."""
        ...

    async def status(self) -> dict[str, object]:
        """Return `{fleet, folder, version, config_differs, processes, bots, notes, web}`."""
        ...

    async def down(self, timeout_s: float | None, emit: Emit) -> dict[str, object]:
        """Stop every bot and then the fleet itself, leaving what is wanted; return `{stopped: n}`. None = the fleet's own."""
        ...

    async def watch(self, emit: Emit) -> None:
        """Emit `{kind: "snapshot", bots}`, then every event, transitions among them; last `{kind: "down", stopped}`."""
        ...

    async def rollout(self, names: Sequence[str], batch: int | None, emit: Emit) -> dict[str, object]:
        """Restart those of `names` that run, in batches, each bot through a fresh zygote, and return how it came out.

        Emits `{kind: "plan", bots: {name: generation}, batches: [[name]], left_alone: {name: state}}`, `{kind: "batch", number,
        bots}` and `{kind: "bot", bot, outcome, message, took_s}`; outcome is rolled, back (on the old zygote), failed or let-go.
        Returns `{ok, rolled, not_rolled, let_go, left_alone, message}`. Raises Refused while another one runs or nothing can be
        started, SystemRefused when no fresh zygote can be made; nothing was touched then. Cancelled, it stops after the batch.
        """
        ...

    def hand_over(self, resting: Sequence[str]) -> dict[str, object]:
        """End this psvd in favour of one that reads the applied settings anew; return `{pid}` of the one that ends.

        Raises Refused while a rollout is under way, or when one of the bots `resting` does not rest.
        """
        ...

    async def wait(self, timeout_s: float) -> dict[str, object]:
        """Return `{ready, not_ready, web}` when all that is wanted is ready or has failed, at the latest after `timeout_s`.

        A bot that has ended for good with code 0, as its policy allows, is in neither list.
        """
        ...

    def select(self, names: Sequence[str], type_name: str | None) -> list[str]:
        """Return the bots that match any of `names` (globs; none = all) and are of the type, in the order of fleet.toml.

        Raises NoSuchBot, with the nearest name, when one of `names` or the type matches nothing.
        """
        ...

    def describe(self, name: str) -> dict[str, object]:
        """Return the bot object of `bot.list`."""
        ...

    def detail(self, name: str) -> dict[str, object]:
        """Return the bot object with `spec_summary`, `last_exit`, `notes` and `what_to_do`."""
        ...

    async def replay(self, name: str, what: Asked, which: int) -> dict[str, object]:
        """Have a native bot that runs handle a dead letter, or send a message, again; return `{name, ok, message}`. Raises Refused."""
        ...

    async def start(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        """Return `{name, ok, state, message, code}`; raises Refused when the bot cannot do it now or at all.

        `no_deps`: do not wait for those that it depends on.
        """
        ...

    async def stop(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """As `start`."""
        ...

    async def restart(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        """As `start`."""
        ...

    async def pause(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """As `start`; refused for programs."""
        ...

    async def resume(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """As `start`; refused for programs."""
        ...

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal ("HUP") to the bot's identified process; raises Refused when none runs."""
        ...

    async def dump(self, name: str) -> dict[str, object]:
        """Return `{name, ok, state, message, code, pid, generation, at, process, stacks, tasks, missing}` of a bot that goes on.

        Raises Refused when it has no process or can give neither stacks nor tasks.
        """
        ...

    def history(self, name: str, limit: int) -> list[dict[str, object]]:
        """Return the newest `limit` transitions and exits, oldest first, as docs/reference/json.md says under `psv bot history`."""
        ...

    def uptime(self, name: str) -> dict[str, object]:
        """Return `{day, week, month}` of a bot, each `{percent, unknown_percent, up_s, down_s, unknown_s}`."""
        ...

    async def events(
        self, names: Sequence[str] | None, emit: Emit, *, after: str | None, limit: int | None, is_followed: bool
    ) -> None:
        """Emit kept events of `names` (None = everything), and with `is_followed` what happens from now on, until the fleet is down.

        First comes `{kind: "begin", life, seq}`; `{kind: "lost", count}` stands where some are missing.
        """
        ...

    def task(self, name: str) -> dict[str, object] | None:
        """Return the task object of a bot, None when it is no task."""
        ...

    def task_history(self, name: str, limit: int) -> list[dict[str, object]]:
        """Return the newest `limit` runs of a task, oldest first; none when it is no task."""
        ...

    async def run_task(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """Run a task now and return `{name, ok, state, message, code, run}`, with `wait` after its end. Raises Refused.

        `run` is the number by which `task_outcome` knows the run.
        """
        ...

    async def task_outcome(self, name: str, number: int, timeout_s: float) -> dict[str, object]:
        """Wait for the end of a run that is under way and return as `run_task`. Raises Refused when the run is not kept."""
        ...

    def audit(self, caller: Caller, op: str, args: Mapping[str, object]) -> None:
        """Record that `caller` was allowed `op`; must not raise."""
        ...
