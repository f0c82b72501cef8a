"""When psvd has the files read again by itself: on SIGHUP, when a watched file has changed and stays so, when a value set by command ends.

psvd reads no fleet.toml: a child does (app/reload.py), which hands over what it found like anybody else. One child at a time; what
comes meanwhile waits for its end. A content is tried once: what was refused or rejected is not tried again until it changes. A value
that could not be ended holds on, and is tried again after a while: each try may restart bots.
"""

from __future__ import annotations

import asyncio
import logging

from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import EXIT_FAILED
from processsupervisor.launch.code import Code
from processsupervisor.supervisor.changes import Changes
from processsupervisor.supervisor.fleet import Fleet

_log = logging.getLogger("psv.reloader")
_MODULE = "processsupervisor.app.reload"
LOOK_EVERY_S = 0.5
"""So often the files are looked at; they count as changed when two looks in a row find the same."""
END_AGAIN_S = 600.0
"""A value set by command that could not be ended is tried again then."""
_READ_S = 600.0
"""A child that has not come to an end by then is killed; a rollout that it began goes on."""
_MOST_OUTPUT = 64 * 1024


class Reloader:
    """One fleet's eye on its files and on values that end."""

    def __init__(self, fleet: Fleet, changes: Changes) -> None:
        self._fleet = fleet
        self._changes = changes
        self._asked = asyncio.Event()
        self._seen = ""
        self._tried = changes.source_digest
        self._end_after = 0.0
        """Before that time of the loop no value is ended."""

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
            if self._fleet.is_going_down or not self._fleet.is_adopted.is_set() or self._changes.is_under_way:
                continue
            if self._asked.is_set():
                self._asked.clear()
                self._tried = self._changes.disk_digest()
                await self._reload("SIGHUP")
            elif self._is_expired():
                status = await self._reload("a value set by command has ended", "--expired")
                self._end_after = asyncio.get_running_loop().time() + (END_AGAIN_S if status else 0.0)
            elif self._fleet.settings.get("watch") and self._has_changed():
                await self._reload("a watched file has changed")

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
        ends = self._changes.next_end
        return ends is not None and wall() >= ends and asyncio.get_running_loop().time() >= self._end_after

    async def _reload(self, reason: str, *options: str) -> int:
        """Run the child to its end and return its status; what it says is logged."""
        argv = Code.own().argv(_MODULE, str(self._fleet.paths.folder), *options, "--reason", reason)
        nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(*argv, stdin=nothing, stdout=nothing, stderr=pipe, start_new_session=True)
        except OSError as err:
            _log.warning("the files cannot be read again", extra={"error": str(err)})
            return EXIT_FAILED
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
        return EXIT_FAILED if child.returncode is None else child.returncode

