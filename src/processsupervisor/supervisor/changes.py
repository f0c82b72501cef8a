"""Changes of the configuration of a running fleet: at most one at a time, each a version; undone at the next start if psvd dies in one.

Who asks brings a candidate in a file; what is done with it is change.py's. The number in fleet.json says which version runs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from processsupervisor.commands.ports import ASKING, Emit
from processsupervisor.config.applied import read_applied, write_applied
from processsupervisor.config.content import unpack
from processsupervisor.config.ondisk import FilesOnDisk
from processsupervisor.config.plan import Plan, make_plan
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import PsvError, Refused, SystemRefused, UsageError
from processsupervisor.launch.release import MISSING_HINT, why_missing
from processsupervisor.supervisor.change import Change, LivePort, hear_first, ways_of
from processsupervisor.supervisor.changefile import ChangeFile, drop_change
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.roster import Roster
from processsupervisor.supervisor.unfinished import Unfinished
from processsupervisor.supervisor.versions import APPLIED, FAILED, ROLLED_BACK, Kept, Versions, summary_of

_log = logging.getLogger("psv.changes")
_QUEUE_EVENTS = 4096
_MOST_SHOWN = 5
_PART_BYTES = 256 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A change that somebody asked for."""

    new: Applied
    sources: dict[str, str]
    plan: Plan
    is_hasty: bool


class Changes:
    """The versions of one fleet and the change under way. `is_rolling` tells whether something else replaces processes now."""

    def __init__(self, fleet: Fleet, applied: Applied, live: LivePort) -> None:
        self._fleet = fleet
        self._live = live
        self.roster = Roster(fleet)
        self.versions = Versions(fleet.store)
        self.source_digest = str(applied["source_digest"])
        self._files = FilesOnDisk(fleet.paths, applied)
        self._rejected_files = 0, self._files
        self.next_end: float | None = None
        """When (wall time) the first value set by command ends; None when none does."""
        self._set: list[str] = []
        self._take_runtime(applied)
        self.problem = ""
        self.is_rolling: Callable[[], bool] = lambda: False
        self._present: Change | None = None
        self._number = 0
        self._refused: dict[str, str] = {}
        self._unfinished: Unfinished | None = None
        self._task: asyncio.Task[dict[str, object]] | None = None
        self.on_applied: Callable[[int, int], None] = lambda _number, _before: None
        self.on_rolled_back: Callable[[int, int, str], None] = lambda _number, _before, _why: None

    @property
    def is_under_way(self) -> bool:
        """Tell whether a change is being carried out."""
        return self._task is not None or (self._unfinished is not None and self._unfinished.is_under_way)

    def begin(self) -> Unfinished:
        """Take what psvd was started with as the running version; returns what an earlier psvd left unfinished.

        Called before bots are looked for.
        """
        paths = self._fleet.paths
        applied = read_applied(paths)
        self._register(applied)
        self._unfinished = Unfinished(self._fleet, self.roster, self.versions, self._live, applied.get("effects", {}))
        self._unfinished.find()
        return self._unfinished

    def _register(self, applied: Applied) -> None:
        paths = self._fleet.paths
        try:
            self.versions.register(paths.folder, applied)
            if applied.get("number") != self.versions.number:
                write_applied(paths, {**applied, "number": self.versions.number})
            self.problem = ""
        except SystemRefused as err:  # bots are run without that, and nothing is changed
            self.problem = f"the version that runs cannot be noted: {err.message}"

    def disk_digest(self) -> str:
        """Return the digest of the files as they are now; "" when one cannot be read."""
        return self._files.digest()

    def status(self) -> dict[str, object]:
        """Return `{number, differs, rejected, refused}`: why the files as they are now do not run, None when nobody has said.

        What was rejected was tried and taken back, what was refused has mistakes.
        """
        digest = self._files.digest()
        number, differs = self.versions.number, digest != self.source_digest
        rejected = self._why_rejected(digest) if differs else None
        return {"number": number, "differs": differs, "rejected": rejected, "refused": self._refused.get(digest) if differs else None}

    def _why_rejected(self, digest: str) -> str | None:
        """Return why the files as they are now were rejected. Those that the newest rejected version came from may be others than these."""
        rejected = self.versions.rejected()
        if rejected and digest not in rejected:
            number = next(int(str(row["number"])) for row in reversed(rejected.values()))
            with contextlib.suppress(Refused, ValueError):  # that version is not kept any more
                if self._rejected_files[0] != number:
                    self._rejected_files = number, FilesOnDisk(self._fleet.paths, self.versions.content(number)[0])
                digest = self._rejected_files[1].digest()
        return str(rejected[digest]["reason"]) if digest in rejected else None

    def refused(self, digest: str, reason: str) -> None:
        """See ConfigPort."""
        self._refused = {digest: reason, self._files.digest(): reason}  # what was read may be other files than those that run
        self._fleet.events.tell("config-change", version=None, step="refused", message=reason)

    # -- what is shown

    def running(self) -> dict[str, object]:
        """See ConfigPort."""
        version = self.versions.get(self.versions.number)
        shown = version.to_json() if version is not None else {"number": self.versions.number}
        files = read_applied(self._fleet.paths).get("files", [])
        progress = {"number": self._number, "touched": len(self._present.touched)} if self._present is not None else None
        return shown | {
            "source_digest": self.source_digest,
            "files": [dict(file) for file in files],
            "rejected": self.versions.rejected(),
            "rollout": progress,
        }

    def newest(self, limit: int) -> list[dict[str, object]]:
        """See ConfigPort."""
        return [v.to_json() | {"is_running": v.number == self.versions.number} for v in self.versions.newest(limit)]

    async def content(self, number: int | None, emit: Emit) -> dict[str, object]:
        """See ConfigPort."""
        wanted = number or self.versions.number
        packed = self.versions.packed(wanted)
        for start in range(0, len(packed), _PART_BYTES):
            await emit({"kind": "part", "data": base64.b64encode(packed[start : start + _PART_BYTES]).decode("ascii")})
        version = self.versions.get(wanted)
        return {"number": wanted, "checksum": version.checksum if version is not None else ""}

    # -- what is done

    async def apply(self, token: str, base: int | None, reason: str, emit: Emit, *, now: bool, again: bool) -> dict[str, object]:
        """See ConfigPort."""
        path = self._fleet.paths.data / "candidates" / token
        if _TOKEN.fullmatch(token) is None:
            raise UsageError("the token of a candidate is 1 to 64 letters, digits, - and _")
        try:
            applied, sources = await asyncio.to_thread(lambda: unpack(path.read_bytes()))
        except (OSError, ValueError) as err:
            raise UsageError(f"the candidate cannot be read: {err}", hint="apply again") from err
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
        return await self._apply(applied, sources, base, reason, emit, now=now, again=again)

    async def rollback(self, number: int, base: int | None, reason: str, emit: Emit, *, now: bool) -> dict[str, object]:
        """See ConfigPort."""
        applied, sources = self.versions.content(number)
        present = self.versions.get(self.versions.number)
        result = await self._apply(applied, sources, base, reason or f"rollback to {number}", emit, now=now, again=True)
        if result["result"] == APPLIED and present is not None and present.source_digest != applied["source_digest"]:
            self.versions.reject(present.source_digest, f"rolled back to version {number}: {reason}".rstrip(": "), present.number)
        return result

    async def _apply(
        self, new: Applied, sources: dict[str, str], base: int | None, reason: str, emit: Emit, *, now: bool, again: bool
    ) -> dict[str, object]:
        self.refuse_if_busy()
        running = self.versions.number
        if base is not None and base != running:
            latest = self.versions.get(running)
            who = f" by {latest.author}: {latest.reason}" if latest is not None and latest.author else ""
            text = f"version {running} was applied meanwhile{who}"
            raise Refused(text, hint="look at psv config diff, then apply again", code="version-moved")
        rejected = self.versions.rejected().get(new["source_digest"])
        if rejected is not None and not again and new["source_digest"] != self.source_digest:
            raise Refused(
                f"these files were rejected: {rejected['reason']}", hint="mend them; or --again, to try them as they are", code="rejected"
            )
        old, _ = await asyncio.to_thread(unpack, self.versions.packed(running))
        plan = await asyncio.to_thread(make_plan, old, new)
        self.refuse_if_busy()
        self._refuse_wrong(new, plan)
        if plan.is_empty and old.get("runtime", []) == new.get("runtime", []):
            return self._take_as_running(new, sources)
        # Progress only: the answer is complete in itself, so that a slow reader loses nothing it needs.
        events: asyncio.Queue[dict[str, object]] = asyncio.Queue(_QUEUE_EVENTS)
        asked = _Asked({**new, "change": {"author": ASKING.get() or "psv", "reason": reason}}, sources, plan, now)
        task = self._task = asyncio.get_running_loop().create_task(self._carry_out(old, asked, events))
        task.add_done_callback(self._on_done)
        task.add_done_callback(lambda _: _offer(events, {}))
        while event := await events.get():
            with contextlib.suppress(OSError):  # whoever asked may leave
                await emit(event)
        return await asyncio.shield(task)

    def refuse_if_busy(self) -> None:
        """Raise Refused unless processes may be replaced now."""
        fleet = self._fleet
        if self.is_under_way or self.is_rolling():
            raise Refused("a rollout is under way", hint="wait for its end; psv status shows how far it is", code="rollout-runs")
        if not fleet.can_start:
            raise Refused("the fleet is going down, or has no keeper: nothing could be started", hint="see psv status")
        if self.problem and not fleet.store.problem:
            self._register(read_applied(fleet.paths))  # the disk may have room by now
        if problem := fleet.store.problem or self.problem:
            raise Refused(f"no version can be noted: {problem}", hint="see psv status; nothing has changed")

    def _refuse_wrong(self, new: Applied, plan: Plan) -> None:
        """Refuse a version with a bot that cannot run unless that is so already, and one that a login budget would hold up."""
        fleet = self._fleet
        present = {handle.spec.get("release") for handle in fleet.handles.values()}
        for release in {spec.get("release") for spec in new["bots"]} - present:
            if missing := why_missing(fleet.paths.folder, release):
                raise Refused(missing, hint=f"nothing has changed; {MISSING_HINT}", code="no-release")
        for spec in new["bots"]:
            handle = fleet.handles.get(spec["name"])
            is_known = handle is not None and handle.spec["error"]
            if spec["error"] and not spec["error_rechecks"] and not is_known:
                raise Refused(f"{spec['name']} could not run: {spec['error']}", hint="nothing has changed", code="config")
        for name in plan.with_effect("restart", "recreate"):
            handle = fleet.handles[name]
            if handle.process is not None and (wait_s := fleet.budgets.wait_s(handle)):
                why = fleet.budgets.message(handle, wait_s)
                hint = "apply then, or raise its login_budget first"
                raise Refused(f"{name} would have to be restarted: {why}", hint=hint, code="budget")

    def _take_as_running(self, new: Applied, sources: dict[str, str]) -> dict[str, object]:
        """The content is that of the running version; its files may be others (a comment), and are those of this version from now on."""
        number = self.versions.number
        if new["source_digest"] != self.source_digest:
            self.versions.retake(number, new, sources)
            write_applied(self._fleet.paths, {**new, "number": number})
            self.source_digest, self._files = new["source_digest"], FilesOnDisk(self._fleet.paths, new)
        self.versions.pardon(new["source_digest"])
        words = f"nothing differs from version {number}"
        return {"ok": True, "number": number, "result": "unchanged", "message": words, "touched": [], "left": {}}

    async def _carry_out(self, old: Applied, asked: _Asked, events: asyncio.Queue[dict[str, object]]) -> dict[str, object]:
        fleet, versions, new, before = self._fleet, self.versions, asked.new, self.versions.number
        summary = await asyncio.to_thread(summary_of, old, new)
        kept = await asyncio.to_thread(Kept.of, new, asked.sources)
        number = self._number = versions.add(new, kept, summary=summary)
        reach(CrashPoint.PSVD_CHANGE_NOTED)
        await hear_first(asked.plan, fleet.handles)
        ways = ways_of(asked.plan, new, fleet.handles, self._live)
        touched = [*(name for batch in ways.batches for name in batch), *ways.pushed]
        try:
            ChangeFile(number, before, touched, list(asked.plan.added)).write(fleet.paths)
        except SystemRefused as err:
            versions.finish(number, FAILED, err.message)
            raise
        reach(CrashPoint.PSVD_CHANGE_BEGUN)

        def tell(event: dict[str, object]) -> None:
            _offer(events, event)
            fleet.events.tell("config-change", version=number, step=event["kind"], **{k: v for k, v in event.items() if k != "kind"})

        def commit() -> None:
            write_applied(fleet.paths, {**new, "number": number})

        change = self._present = Change(fleet, self.roster, self._live, new, asked.plan, ways, tell, asked.is_hasty, commit)
        why = await change.run()
        if why:
            versions.finish(number, ROLLED_BACK, why)
            self.on_rolled_back(number, before, why)
            if not fleet.is_going_down and new["source_digest"] != self.source_digest:
                versions.reject(new["source_digest"], why, number)
        else:
            self._take_over(number, asked)
            self.on_applied(number, before)
        drop_change(fleet.paths)
        reach(CrashPoint.PSVD_CHANGE_ENDED)
        words = f"version {before} runs again: {why}" if why else f"version {number} runs"
        tell({"kind": "end", "ok": not why, "message": words})
        result = ROLLED_BACK if why else APPLIED
        return {"ok": not why, "number": number, "result": result, "message": words, "touched": change.touched, "left": change.left}

    def _take_over(self, number: int, asked: _Asked) -> None:
        """The new version is the running one: fleet.json says so."""
        new = asked.new
        self.versions.number, self.source_digest = number, new["source_digest"]
        self.versions.finish(number, APPLIED)
        self.versions.pardon(new["source_digest"])
        self._files = FilesOnDisk(self._fleet.paths, new)
        self._take_runtime(new)
        self.roster.take_fleet(new)
        self.roster.tell_settings([*asked.plan.changed, *asked.plan.added, *asked.plan.removed])

    def _on_done(self, task: asyncio.Task[dict[str, object]]) -> None:
        self._task = self._present = None
        if not task.cancelled() and (raised := task.exception()) is not None and not isinstance(raised, PsvError):
            # Where it stands is unknown here, but not on disk: the next psvd finishes or undoes it.
            _log.error("a change of the configuration failed inside; psvd begins anew", exc_info=raised)
            signal.raise_signal(signal.SIGTERM)

    def notes(self) -> list[dict[str, str]]:
        """Return what `status` says of a change that is under way, and of values that were set by command."""
        words = [self.problem] if self.problem else []
        if self._present is not None:
            words = [f"version {self._number} is being applied: {len(self._present.touched)} bots so far"]
        if self._set:
            more = len(self._set) - _MOST_SHOWN
            shown = ", ".join(self._set[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
            words.append(f"set by command, stronger than the files: {shown}; psv config show lists them, psv config unset takes them back")
        return [{"subject": "config", "message": text} for text in words]

    def _take_runtime(self, applied: Applied) -> None:
        values = applied.get("runtime", [])
        self.next_end = min((value["until"] for value in values if value["until"] is not None), default=None)
        self._set = [".".join(filter(None, (value["scope"], value["name"], *value["key"]))) for value in values]


def _offer(events: asyncio.Queue[dict[str, object]], event: dict[str, object]) -> None:
    if events.full():
        events.get_nowait()
    with contextlib.suppress(asyncio.QueueFull):
        events.put_nowait(event)


