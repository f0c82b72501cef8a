"""When psvd has the files read again by itself: on SIGHUP, when a watched file has changed and stays so, when a value set by command ends.

psvd reads no fleet.toml: a child does (app/reload.py), which hands over what it found like anybody else. One child at a time; what
comes meanwhile waits for its end. A content is tried once: what was refused or rejected is not tried again until it changes.
"""

from __future__ import annotations

import asyncio
import logging

from processsupervisor.kernel.clock import mono, wall
from processsupervisor.launch.code import Code
from processsupervisor.supervisor.changes import Changes
from processsupervisor.supervisor.fleet import Fleet

_log = logging.getLogger("psv.reloader")
_MODULE = "processsupervisor.app.reload"
LOOK_EVERY_S = 0.5
"""So often the files are looked at; they count as changed when two looks in a row find the same."""
_READ_S = 600.0
"""A child that has not come to an end by then is killed; a rollout that it began goes on."""
_AGAIN_S, _LONGEST_AGAIN_S = 60.0, 3600.0
"""A value that has ended and could not be left out is tried again after so long, each time after twice as long."""
_MOST_OUTPUT = 64 * 1024


class Reloader:
    """One fleet's eye on its files and on values that end."""

    def __init__(self, fleet: Fleet, changes: Changes) -> None:
        self._fleet = fleet
        self._changes = changes
        self._asked = asyncio.Event()
        self._seen = ""
        self._tried = changes.source_digest
        self._expiry_mono, self._again_s = 0.0, _AGAIN_S

    def ask(self) -> None:
        """Read the files again soon: somebody sent SIGHUP."""
        self._asked.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            if not self._is_free():
                await asyncio.sleep(LOOK_EVERY_S)  # what was asked for waits, and Event.wait does not: it would keep the loop
                continue
            if self._asked.is_set():
                self._asked.clear()
                self._tried = self._changes.disk_digest()
                await self._reload("SIGHUP")
            elif self._is_expired():
                await self._reload("a value set by command has ended", "--expired")
                self._expiry_mono, self._again_s = mono() + self._again_s, min(_LONGEST_AGAIN_S, 2 * self._again_s)
            elif self._fleet.settings.get("watch") and self._has_changed():
                await self._reload("a watched file has changed")

    def _is_free(self) -> bool:
        """Tell whether a change could begin now: what is refused for the time being would count as tried."""
        fleet, changes = self._fleet, self._changes
        return fleet.is_adopted.is_set() and fleet.can_start and not (changes.is_under_way or changes.is_rolling())

    def _has_changed(self) -> bool:
        """Tell whether the files are others than those that run or were tried, and were the same at the last look."""
        now, before = self._changes.disk_digest(), self._seen
        self._seen = now
        if now == self._changes.source_digest:
            self._tried = now
        if now != before or now == self._tried:
            return False
        self._tried = now
        return now not in self._changes.versions.rejected()

    def _is_expired(self) -> bool:
        """Tell whether a value that runs has ended. One that cannot be left out, as bots fail without it, is tried again later."""
        ends = self._changes.next_end
        if ends is None or wall() < ends:
            self._expiry_mono, self._again_s = 0.0, _AGAIN_S
            return False
        return mono() >= self._expiry_mono

    async def _reload(self, reason: str, *options: str) -> None:
        """Run the child to its end; what it says is logged."""
        argv = Code.own().argv(_MODULE, str(self._fleet.paths.folder), *options, "--reason", reason)
        nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(*argv, stdin=nothing, stdout=nothing, stderr=pipe, start_new_session=True)
        except OSError as err:
            _log.warning("the files cannot be read again", extra={"error": str(err)})
            return
        assert child.stderr is not None
        said = b""
        try:
            async with asyncio.timeout(_READ_S):
                said = await child.stderr.read(_MOST_OUTPUT)
                await child.wait()
        except TimeoutError:
            said += b" (it did not come to an end)"
        finally:
            if child.returncode is None:
                child.kill()
        level = logging.INFO if child.returncode == 0 else logging.WARNING
        _log.log(level, "reload", extra={"why": reason, "status": child.returncode, "said": said.decode("utf-8", "replace").strip()})

