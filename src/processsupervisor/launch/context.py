"""What a freshly forked child knows of the bot it becomes, and how it says that a step failed.

The child reads its own spec after the fork, so that no other bot's values are ever in the heap it was forked from.
Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason

FIRST_HIGH_FD = 100
"""Descriptors a bot keeps for us lie at or above this number, out of the way of programs that count from 3."""


class LaunchFailed(PsvError):
    """A step between fork and program failed; `reason` is what the exit record will say."""

    code = "launch-failed"

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(slots=True)
class LaunchContext:
    """One generation of one bot, seen from inside its process. `secret_fd` is -1 for programs."""

    spec: dict[str, Any]
    generation: int
    secret_fd: int
    paths: FleetPaths
    kept_fds: set[int] = field(default_factory=set)
    is_in_group: bool = False
    """The process was made inside the bot's cgroup."""
    ledgers: list[tuple[str, str]] = field(default_factory=list)
    """Names of the ledgers that this start is noted in (launch/logins.py)."""

    @property
    def bot(self) -> str:
        """The bot's name."""
        return str(self.spec["name"])


def load_context(folder: str | os.PathLike[str], bot: str, generation: int, secret_fd: int = -1) -> LaunchContext:
    """Read run/bots/BOT/spec.json; raises LaunchFailed when it is missing or of another generation."""
    paths = FleetPaths(folder)
    path = paths.bot_run(bot) / "spec.json"
    try:
        spec = json.loads(path.read_bytes())
    except (OSError, ValueError) as err:
        raise LaunchFailed(Reason.START_FAILED, f"cannot read {path}: {err}") from err
    if spec.get("generation") != generation:
        # A newer start was decided while this child was on its way; the newer one is the bot.
        raise LaunchFailed(Reason.START_FAILED, f"generation {generation} was superseded by {spec.get('generation')}")
    context = LaunchContext(spec=spec, generation=generation, secret_fd=secret_fd, paths=paths)
    if secret_fd >= 0:
        context.kept_fds.add(secret_fd)
    return context


def reading_path(paths: FleetPaths, bot: str) -> Path:
    """Return the file that is there as long as a start still reads values from elsewhere: its program has not begun."""
    return paths.bot_run(bot) / "reading"


def failure_path(paths: FleetPaths, bot: str) -> Path:
    """Return where a child leaves the reason of a failed launch."""
    return paths.bot_run(bot) / "failure.json"


def report_failure(folder: str, bot: str, generation: int, error: PsvError) -> None:
    """Leave the reason beside the record and one line on stderr; never raises."""
    reason = error.reason if isinstance(error, LaunchFailed) else Reason.START_FAILED
    note = {"generation": generation, "reason": str(reason), "message": error.message, "hint": error.hint}
    try:
        write_json(failure_path(FleetPaths(folder), bot), note)
    except OSError:
        pass  # no disk: the exit status 126 still says that the launch failed
    try:
        print(f"psv: {bot}: {error}", file=sys.stderr, flush=True)
    except OSError:
        pass
