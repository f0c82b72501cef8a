"""The in-place upgrade as the keeper carries it out: logd, then psvd, then the keeper itself run another copy of the package.

Each is asked to end and begins anew from the other copy; one that does not end, ends again or gives no answer in ANSWER_WITHIN_S
brings all of them back to the copy that ran before (I6). How it stands is in run/upgrade.json, for `psv upgrade` and for a
person. psvd sees to the web process. Bots are not touched.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import Refused
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.identity import send_signal
from processsupervisor.launch.code import Code
from processsupervisor.process.roles import Role, Roles

END_WITHIN_S = 5.0
ANSWER_WITHIN_S = 5.0
BOTS_PER_ANSWER_S = 100
"""A psvd that adopts many bots has a second more for each so many: it answers when it has looked at all."""


class Step(StrEnum):
    """What is being replaced; KEEPER means that the rest is done and the exec is due."""

    LOGD = "logd"
    PSVD = "psvd"
    KEEPER = "keeper"
    DONE = "done"
    FAILED = "failed"


_AFTER = {Step.LOGD: Step.PSVD, Step.PSVD: Step.KEEPER}
Tell = Callable[[str, dict[str, Any]], None]


class Upgrade:
    """One upgrade from `before` to `after`; the keeper calls it with what happens to its roles, and as time goes by."""

    def __init__(self, roles: Roles, before: Code, after: Code, tell: Tell, bot_count: int) -> None:
        self.before = before
        self.after = after
        self.step = Step.LOGD
        self.message = ""
        self._roles = roles
        self._tell = tell
        self._answer_s = {Step.LOGD: ANSWER_WITHIN_S, Step.PSVD: ANSWER_WITHIN_S + bot_count / BOTS_PER_ANSWER_S}
        self._old_generations: dict[str, int] = {}
        self._is_killed = False
        self.deadline: float | None = None

    @classmethod
    def check(cls, after: Code, roles: Roles) -> None:
        """Raise Refused when `after` is no copy in this fleet's own folder, so that nobody can make the keeper run something else."""
        if after.package.parent.parent != roles.paths.code or not (after.package / "boot.py").is_file():
            raise Refused(f"{after.package} is no copy of the package in {roles.paths.code}", hint="use psv upgrade")

    def begin(self) -> None:
        """Replace logd first: it loses nothing by it, and shows whether the copy runs at all."""
        self._turn(Step.LOGD)

    def facts(self) -> dict[str, Any]:
        """Return what a keeper of the other copy must know of this upgrade."""
        return {
            "before": [str(self.before.package), self.before.python],
            "after": [str(self.after.package), self.after.python],
        }

    @property
    def is_over(self) -> bool:
        """Tell whether it has come to its end, good or bad."""
        return self.step in (Step.DONE, Step.FAILED)

    # -- what happens

    def on_ended(self, role: Role) -> None:
        """Take note that a role's process ended: the old one as asked, or a new one, which should not, in whatever step."""
        if not self.is_over and self._is_new(role):
            self.fail(f"the new {role.name} ended; see .psv/logs/psv/{role.name}.err")

    def on_spawned(self, role: Role) -> None:
        """Give the process that was just started its time to answer."""
        if role.name == self.step and self._is_new(role):
            self.deadline = mono() + self._answer_s[self.step]

    def on_served(self, role: Role) -> None:
        """Take note that a role's process answered: go on with the next."""
        if role.name == self.step and self._is_new(role):
            self._turn(_AFTER[self.step])

    def on_time(self, now: float) -> None:
        """Kill an old process that does not end; give up on a new one that does not answer."""
        if self.deadline is None or now < self.deadline or self.step not in _AFTER:
            return
        role = self._roles.by_name[self.step]
        if self._is_new(role):
            self.fail(f"the new {role.name} gave no answer within {self._answer_s[self.step]:g} s; see .psv/logs/psv/{role.name}.log")
        elif self._is_killed:
            self.fail(f"the old {role.name} cannot be ended")
        else:
            self._is_killed = True
            self.deadline = now + END_WITHIN_S
            send_signal(role.identity, signal.SIGKILL)

    def fail(self, message: str) -> None:
        """Bring every role that was turned back to the code that ran before, and say why."""
        for name in (Step.LOGD, Step.PSVD):
            role = self._roles.by_name[name]
            old = self._roles.argv_of(name, self.before)
            if role.argv != old:
                role.argv = old
                role.quick_deaths = 0
                send_signal(role.identity, signal.SIGKILL)
        self.message = message
        self._enter(Step.FAILED)

    def finish(self) -> None:
        """Note that the keeper runs the other copy too."""
        self._enter(Step.DONE)

    # -- inside

    def _turn(self, step: Step) -> None:
        self._enter(step)
        if step not in _AFTER:
            return
        role = self._roles.by_name[step]
        self._old_generations[role.name], self._is_killed = role.generation, False
        self.deadline = mono() + END_WITHIN_S
        role.argv = self._roles.argv_of(step, self.after)
        if step is Step.LOGD:
            self._tell("logd", {"op": "stop"})
        else:
            send_signal(role.identity, signal.SIGTERM)

    def _is_new(self, role: Role) -> bool:
        before = self._old_generations.get(role.name)
        return before is not None and role.generation > before

    def _enter(self, step: Step) -> None:
        self.step, self.deadline = step, None
        self.write_note()

    def write_note(self) -> None:
        """Say on disk how it stands; without a disk nobody can read it, and the upgrade goes on."""
        note = {"step": self.step, "from": self.before.name, "to": self.after.name, "message": self.message, "at": time.time()}
        with contextlib.suppress(OSError):
            write_json(self._roles.paths.upgrade, note)


def of_facts(facts: dict[str, Any], roles: Roles, tell: Tell) -> Upgrade:
    """Rebuild, in the keeper that this one became, the upgrade that made it."""
    before, after = (Code(Path(package), python) for package, python in (facts["before"], facts["after"]))
    upgrade = Upgrade(roles, before, after, tell, 0)
    upgrade.step = Step.KEEPER
    return upgrade
