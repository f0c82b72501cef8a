"""Takes a deploy back when a bot of it crash-loops soon afterwards: once, by the version that ran before, through the same rollout.

Here is also the memory of deploys, data/release.json: which releases ran, and which were taken back. What is to be done is written
before it is done, so that the next psvd goes on with it. A deploy is no longer watched once its time is over, or another change was
applied after it: going back would take that back too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from processsupervisor.config.release import Deployed, Watch, read_deployed
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.changes import Changes
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.notes import close_past_loops

_log = logging.getLogger("psv.goback")

WATCH_S = 600.0
"""Of a fleet that an older psv applied."""
_MOST_HISTORY = 50
_WORDS_S = 0.5
"""How long the last lines of a bot are waited for, so that they can be told."""
_RETRY_S = 5.0
_CHARACTERS = 200
_SUBJECT = "release"
_SUPERSEDED = "another change was applied meanwhile"
_TAKEN_BACK = "it was taken back; psv release deploy of it needs --again"

Apply = Callable[[int, str], Awaitable[Mapping[str, object]]]
"""`await apply(version, reason)` runs a kept version through a rollout and returns `{ok, message}`; PsvError says that it cannot begin."""


class GoBack:
    """Watches one fleet's deploys.

    `version` returns one that is kept (PsvError: not any more), `last_exit` how a bot ended, `looping` which bots crash-loop now;
    `note` takes what a person should know until the next deploy, "" for nothing.
    """

    def __init__(
        self,
        paths: FleetPaths,
        events: Events,
        version: Callable[[int], Applied],
        apply: Apply,
        last_exit: Callable[[str], ExitRecord | None],
        looping: Callable[[], frozenset[str]],
        note: Callable[[str], None],
    ) -> None:
        self._paths, self._events, self._version, self._apply = paths, events, version, apply
        self._last_exit, self._looping, self._note = last_exit, looping, note
        self._ill: frozenset[str] = frozenset()
        self._facts: Deployed = read_deployed(paths)
        self._culprit = ""
        self._is_going = False
        self._news = asyncio.Event()

    def begin(self, number: int, before: int | None = None) -> None:
        """Go on where the last psvd was; called before the bots are looked for.

        `number` is the version that runs, 0 when that cannot be told; `before` the one that it came in place of, when the last psvd died
        before anybody heard of that.
        """
        self._events.listen(self.on_event)
        if not number:
            return
        if before is not None:
            self.on_applied(number, before)
        self._recall(number)
        watch = self._facts["watch"]
        if watch is not None and watch["number"] != number:
            self._drop()
        elif watch is not None and watch["boot_id"] != boot_id():
            # How long the machine was off is not known: the release has not proved itself, so its time begins anew.
            self._keep({**watch, "boot_id": boot_id(), "until_boottime": boottime() + watch["within_s"]})

    def _recall(self, number: int) -> None:
        """Note a release that came while nobody could write it down, and say again of the last one that it was taken back."""
        history = self._facts["history"]
        with contextlib.suppress(PsvError):
            release = self._version(number).get("release")
            if release != (history[-1] if history else None):
                history.append(release)
        if len(history) > 1 and (rejection := self._facts["rejected"].get(str(history[-2]))):
            self._note(f"{rejection['reason']}; {_TAKEN_BACK}")

    def on_applied(self, number: int, before: int) -> None:
        """Hear that version `number` runs in place of version `before`; hearing it twice does nothing."""
        watch = self._facts["watch"]
        if watch is not None and watch["number"] == number:
            return
        if watch is not None and not self._is_going:
            self._drop()
        try:
            new, old = self._version(number), self._version(before)
        except PsvError as err:
            _log.warning("a deploy cannot be watched", extra={"version": number, "why": err.message})
            return
        release, was = new.get("release"), old.get("release")
        history = self._facts["history"] or [was]
        if release == was:
            return
        self._facts["history"] = [*history, release][-_MOST_HISTORY:]
        if not self._is_going:
            self._facts["rejected"].pop(str(release), None)
            self._note("")
            # To what was taken back itself nobody goes back.
            self._facts["watch"] = self._watch(new, number, before) if str(was) not in self._facts["rejected"] else None
            self._events.tell("release", step="deployed", release=release, number=number)
        self._write()
        self._news.set()

    def on_rolled_back(self, number: int, before: int, why: str) -> None:
        """Hear that version `number` did not work and version `before` runs on: a release that it brought is marked."""
        with contextlib.suppress(PsvError):
            release = self._version(number).get("release")
            if release is not None and release != self._version(before).get("release"):
                self._facts["rejected"][str(release)] = {"reason": why, "at": wall()}
                self._write()

    def on_event(self, event: Event) -> None:
        """See a bot of the deploy that crash-loops; and before a change touches any, which do so already: that is not its fault."""
        if event.get("kind") == "config-change" and event.get("step") == "plan":
            self._ill = self._looping()
        watch = self._facts["watch"]
        is_loop = event.get("kind") == "transition" and event.get("to") == State.FAILED and event.get("reason") == Reason.CRASH_LOOP
        if watch is not None and is_loop and event.get("bot") in watch["bots"] and not self._culprit and self._left_s(watch) > 0:
            self._culprit = str(event["bot"])
            self._news.set()

    async def run(self) -> None:
        """Go back when that is due, until cancelled."""
        while True:
            watch = self._facts["watch"]
            if watch is not None and (self._culprit or watch.get("reason")):
                await self._go_back(watch)
            elif watch is not None and self._left_s(watch) <= 0:
                self._drop()
                self._events.tell("release", step="proved", release=watch["release"], number=watch["number"])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._news.wait()
            self._news.clear()

    def _wait_s(self) -> float | None:
        watch = self._facts["watch"]
        return None if watch is None else max(0.0, self._left_s(watch))

    def _watch(self, new: Applied, number: int, before: int) -> Watch | None:
        within_s = new["fleet"].get("release_watch_s", WATCH_S)
        release = new.get("release")
        if release is None or within_s <= 0:
            return None
        bots = [spec["name"] for spec in new["bots"] if spec.get("release") == release and spec["name"] not in self._ill]
        return {
            "release": release,
            "number": number,
            "before": before,
            "bots": bots,
            "within_s": within_s,
            "boot_id": boot_id(),
            "until_boottime": boottime() + within_s,
            "reason": "",
        }

    @staticmethod
    def _left_s(watch: Watch) -> float:
        return watch["until_boottime"] - boottime()

    async def _go_back(self, watch: Watch) -> None:
        """Apply the version before. A psvd that dies in it leaves the reason, by which the next one does it."""
        if not watch["reason"]:
            await asyncio.sleep(_WORDS_S)
            if not self._is_watched(watch):
                return
            reason = f"release {watch['release']}: {self._culprit} is crash-looping{last_words(self._last_exit(self._culprit))}"
            self._facts["rejected"][str(watch["release"])] = {"reason": reason, "at": wall()}
            watch = {**watch, "reason": reason}
            self._keep(watch)
            self._events.tell("release", step="back", release=watch["release"], number=watch["before"], message=reason)
        why = await self._try(watch)
        if why is None:
            self._events.tell("release", step="left", release=watch["release"], number=watch["number"], message=_SUPERSEDED)
            return
        self._drop()
        message = f"{watch['reason']}; " + (f"it could not be taken back: {why}; try psv release rollback" if why else _TAKEN_BACK)
        self._note(message)
        self._events.tell("alert", what="release", message=message)

    async def _try(self, watch: Watch) -> str | None:
        """Return why the version before does not run, "" when it does; None when a change that was waited for made it needless."""
        while self._is_watched(watch):
            try:
                return await self._apply_once(watch["before"], watch["reason"])
            except PsvError as err:
                if err.code != "rollout-runs":
                    return err.message
            await asyncio.sleep(_RETRY_S)
        return None

    def _is_watched(self, watch: Watch) -> bool:
        present = self._facts["watch"]
        return present is not None and present["number"] == watch["number"]

    async def _apply_once(self, number: int, reason: str) -> str:
        self._is_going = True  # not while others are waited for: what they apply is no part of it
        try:
            result = await self._apply(number, reason)
        finally:
            self._is_going = False
        return "" if result.get("ok") else str(result.get("message"))

    def _drop(self) -> None:
        self._culprit = ""
        if self._facts["watch"] is not None:
            self._facts["watch"] = None
            self._write()

    def _keep(self, watch: Watch) -> None:
        self._facts["watch"] = watch
        self._write()

    def _write(self) -> None:
        """A disk that refuses costs the memory of the next psvd, and nothing else."""
        try:
            write_json(self._paths.deployed, self._facts, durable=True)
        except OSError as err:
            _log.warning("deploys cannot be noted", extra={"path": str(self._paths.deployed), "error": err.strerror})


def last_words(record: ExitRecord | None) -> str:
    """Return ": ValueError at bots.py:3" of a bot that ended, as far as that is known. What an exception says may hold a token."""
    if record is None:
        return ""
    if record.exception is not None:
        place = str(record.exception.get("file", "")).rpartition("/")[2]
        return f": {record.exception.get('type')} at {place}:{record.exception.get('line')}"
    return f": {record.message[:_CHARACTERS]}" if record.message else ""


def go_back_of(fleet: Fleet, changes: Changes) -> GoBack:
    """Return what watches the deploys of a fleet, connected to its changes and to what status notes."""

    async def apply(number: int, reason: str) -> Mapping[str, object]:
        return await changes.rollback(number, None, reason, _tell_nobody, now=False)

    def last_exit(bot: str) -> ExitRecord | None:
        return fleet.handles[bot].last_exit if bot in fleet.handles else None

    def looping() -> frozenset[str]:
        close_past_loops(fleet)
        return frozenset(fleet.alerts.bots(Reason.CRASH_LOOP))

    def note(text: str) -> None:
        if text:
            fleet.alerts.recall(_SUBJECT, _SUBJECT, text)
        else:
            fleet.alerts.close(_SUBJECT, _SUBJECT)

    made = GoBack(fleet.paths, fleet.events, lambda number: changes.versions.content(number)[0], apply, last_exit, looping, note)
    changes.on_applied, changes.on_rolled_back = made.on_applied, made.on_rolled_back
    return made


async def _tell_nobody(_event: Mapping[str, object]) -> None:
    """What happens is told to all by the hub of events."""
