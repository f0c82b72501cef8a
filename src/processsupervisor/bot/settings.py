"""What of its settings a native bot takes over while it runs: its options, if the author's hook agrees, and its log levels.

All of a change holds or none of it. The digest is psvd's name for a set of values; the bot hands it back and never reckons
it: a hash costs a forked bot a quarter of a megabyte. One change is tried at a time, and of those that wait the newest.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from processsupervisor.bot.config import hold, table_of
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.failure import place_of_error
from processsupervisor.bot.hooks import ask_hook
from processsupervisor.bot.levels import Levels
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.references import has_references
from processsupervisor.launch.values import resolve_options

CHANGE_S = 10.0
"""What a hook on_config_change may take at the most."""
_MAX_MESSAGE_CHARS = 500
_log = logging.getLogger("processsupervisor.bot")


class Settings:
    """The settings that one bot holds, from its start on."""

    def __init__(self, bot: Definition, spec: Mapping[str, Any]) -> None:
        self._bot = bot
        self._spec = spec
        self._options = spec.get("options_written") or spec.get("options") or {}
        """As fleet.toml has them, with references to values from elsewhere; what the author reads is made from them."""
        self.digest = str(spec.get("settings_digest") or "")
        """psvd's name for what holds; empty when the bot was started by a psvd that gave none."""
        self.took: Callable[[str], None] = lambda _digest: None
        """Takes the digest of what was taken, for psvd."""
        self.refused: Callable[[str, str], None] = lambda _digest, _why: None
        """Takes the digest of what was not, and why."""
        self.changed: Callable[[], None] = lambda: None
        """Called when other values hold."""
        self._levels = Levels()
        self._waiting: Mapping[str, object] | None = None
        self._task: asyncio.Task[None] | None = None
        hold(bot.config, copy.deepcopy(dict(spec.get("options") or {})))
        self._levels.begin(str(spec.get("log_level") or "info"), _levels_of(spec))

    def facts(self) -> dict[str, object]:
        """Return what psvd must know of them at each hello."""
        return {"config": self.digest, "live": self._bot.config_hook is not None}

    def change(self, line: Mapping[str, object]) -> None:
        """Take over the values of `line`, or say why not; an older change that still waits is left out."""
        self._waiting = line
        if self._task is None:  # no task while nothing changes: an idle bot would pay for it
            self._task = asyncio.get_running_loop().create_task(self._change_all())

    def close(self) -> None:
        """Try no further change."""
        if self._task is not None:
            self._task.cancel()

    async def _values(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the author reads for what fleet.toml says. Raises PsvError for a reference that cannot be read, without any value."""
        if not has_references(options):
            return copy.deepcopy(dict(options))
        return await asyncio.to_thread(resolve_options, self._spec, options)  # it may ask another program, which takes its time

    def _hidden(self, why: str) -> str:
        """Return the author's words without the values that references stand for: they go into events, versions and reports."""
        from processsupervisor.launch.known import known_values  # when it is needed: a forked bot pays for each module
        from processsupervisor.observe.redact import redact

        return redact(why, known_values(FleetPaths(self._spec["folder"]), str(self._spec["name"]))) if "folder" in self._spec else why

    async def _change_all(self) -> None:
        try:
            while (line := self._waiting) is not None:
                self._waiting = None
                digest = str(line.get("digest") or "")
                try:
                    why = await self._take(line, digest)
                except Exception as err:  # noqa: BLE001 - an author can put anything into a table, and psvd waits for an answer
                    why = f"it could not be made: {place_of_error(err)}"
                if why:
                    _log.warning("other settings were not taken: %s", why)
                    self.refused(digest, why)
                else:
                    self.took(digest)
        finally:
            self._task = None

    async def _take(self, line: Mapping[str, object], digest: str) -> str:
        """Let the values of a line hold; returns why not, and then nothing has changed."""
        options, level, levels = line.get("options"), line.get("log_level"), _levels_of(line)
        if not isinstance(options, dict) or not isinstance(level, str) or not digest:
            return "psvd sent settings that are none"
        if isinstance(present := line.get("origin"), dict):
            self._spec = {**self._spec, **present}
        if digest != self.digest:
            if _text(options) != _text(self._options):
                if why := await self._take_options(options, line.get("timeout_s")):
                    return " ".join(why.split())[:_MAX_MESSAGE_CHARS]
                _log.info("other options hold")
            self._levels.apply(level, levels)
            self.digest = digest
            self.changed()
        return ""

    async def _take_options(self, options: dict[str, Any], timeout_s: object) -> str:
        hook = self._bot.config_hook
        if hook is None:
            return "it has no hook on_config_change: other options need a restart"
        try:
            values = await self._values(options)
        except PsvError as err:
            return err.message
        most_s = min(CHANGE_S, float(timeout_s)) if isinstance(timeout_s, (int, float)) and timeout_s > 0 else CHANGE_S
        try:
            self._bot.check_options(values)
        except PsvError as err:
            return err.message
        before = copy.deepcopy(table_of(self._bot.config))
        if why := await ask_hook("on_config_change", hook(before, copy.deepcopy(values)), most_s):
            return self._hidden(why)
        # Nothing is awaited from here to the end of the change: every handler sees one set of values or the other.
        self._options = options
        hold(self._bot.config, values)
        return ""


def _levels_of(spec: Mapping[str, Any]) -> dict[str, str]:
    levels = spec.get("log_levels")
    return {str(name): str(level) for name, level in levels.items()} if isinstance(levels, dict) else {}


def _text(options: Mapping[str, Any]) -> str:
    """Return the options as text: in Python True equals 1, for an author it does not."""
    return json.dumps(options, sort_keys=True)
