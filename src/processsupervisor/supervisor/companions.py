"""`restart_with`: who has lived through the end of a companion is restarted once that companion is ready again.

Nothing is remembered: a bot is due when its present generation began before the companion's last end, or, if that end was in
this life of the fleet, before the companion's present generation. So it is restarted once for each end, also when it was started
while the companion was away or psvd was killed in between, and never at the first start of a fleet. Circles are refused by check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from processsupervisor.kernel.clock import boottime
from processsupervisor.kernel.identity import Identity, start_boottime
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.budget import Budgets
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.keeperlink import KeeperLink
from processsupervisor.supervisor.store import Store

_RUNS = frozenset({State.STARTING, State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})


class FleetAround(Protocol):
    """What of the fleet companions concern."""

    handles: dict[str, BotHandle]
    store: Store
    events: Events
    alerts: Alerts
    budgets: Budgets
    keeper: KeeperLink

    @property
    def can_start(self) -> bool:
        """Tell whether anything can be started now."""
        ...


class Companions:
    """The companions of one fleet."""

    def __init__(self, fleet: FleetAround) -> None:
        self._fleet = fleet
        self._handles: Mapping[str, BotHandle] = fleet.handles
        self._followers: dict[str, list[BotHandle]] = {}
        self._under_way: set[str] = set()

    def learn(self) -> None:
        """Note who is restarted with whom; called when all handles are made, and when settings were changed."""
        self._followers.clear()
        for handle in self._handles.values():
            for companion in handle.spec.get("restart_with") or [] if not handle.spec["error"] else ():
                self._followers.setdefault(companion, []).append(handle)

    def on_event(self, event: Event) -> None:
        """Restart the followers of a bot that has become ready."""
        if event.get("kind") == "transition" and event.get("to") == State.RUNNING and event.get("from") == State.STARTING:
            self.follow(str(event["bot"]))

    def follow_all(self) -> None:
        """Catch up with what became ready while no psvd looked, or before all bots were adopted."""
        for name in self._followers:
            if name in self._handles and self._handles[name].life.state in _RUNS - {State.STARTING}:
                self.follow(name)

    def follow(self, companion: str) -> None:
        """Restart those that are due with `companion`, which is ready."""
        followers = [h for h in self._followers.get(companion, ()) if h.life.state in _RUNS and h.wanted is not Wanted.DOWN]
        ended = self._fleet.store.last_exit_boottime(companion) if followers else None
        if ended is None or not self._fleet.can_start:
            return
        due_before = max(ended, self._came_back(companion, ended))
        for handle in followers:
            if boottime() - handle.age_s < due_before:
                self._restart(handle, companion)

    def _came_back(self, companion: str, ended: float) -> float:
        """Return when the present generation of a bot that ended in this life of the fleet began; 0 when nobody can tell."""
        keeper = Identity.of(self._fleet.keeper.pid) if self._fleet.keeper.pid is not None else None
        age_s = self._handles[companion].age_s
        return boottime() - age_s if age_s and keeper is not None and start_boottime(keeper) < ended else 0.0

    def _restart(self, handle: BotHandle, companion: str) -> None:
        """Restart one follower, or tell that its login budget forbids it: it could not come back."""
        budgets, name = self._fleet.budgets, handle.name
        if wait_s := budgets.wait_s(handle):
            why = f"is not restarted with {companion}, which has ended and is ready again: {budgets.message(handle, wait_s)}"
            self._fleet.alerts.tell(name, Reason.BUDGET, f"{why}; psv restart {name} then")
            return
        why = f"restarted with {companion}, which had ended and is ready again"
        self._fleet.events.tell("restart", bot=name, reason=Reason.DEPENDENCY, by="policy", delay_s=0.0, message=why)
        self._under_way.add(name)
        handle.end(Reason.DEPENDENCY, why, is_restart=True)

    def was_due(self, bot: str) -> bool:
        """Tell whether a start is the second half of a restart with a companion; asked once for each start."""
        is_due = bot in self._under_way
        self._under_way.discard(bot)
        return is_due
