"""`restart_with`: who has lived through the end of a companion is restarted once that companion is ready again.

Nothing is remembered: a bot is due when its present generation began before the companion's last end. So it is restarted once
for each end, also when psvd was killed in between, and never at the first start of a fleet. Circles are refused by check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processsupervisor.kernel.clock import boottime
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.events import Event
from processsupervisor.supervisor.store import Store

_RUNS = frozenset({State.STARTING, State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})


class Companions:
    """The companions of one fleet; `may_restart` tells whether a bot that runs could be started again now."""

    def __init__(self, handles: Mapping[str, BotHandle], store: Store, may_restart: Callable[[BotHandle], bool]) -> None:
        self._handles = handles
        self._store = store
        self._may_restart = may_restart
        self._followers: dict[str, list[BotHandle]] = {}
        self._under_way: set[str] = set()

    def learn(self) -> None:
        """Note who is restarted with whom; called when all handles are made."""
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
        ended = self._store.last_exit_boottime(companion) if followers else None
        if ended is None:
            return
        for handle in followers:
            if boottime() - handle.age_s < ended and self._may_restart(handle):
                self._under_way.add(handle.name)
                handle.stop(is_restart=True)

    def was_due(self, bot: str) -> bool:
        """Tell whether a start is the second half of a restart with a companion; asked once for each start."""
        is_due = bot in self._under_way
        self._under_way.discard(bot)
        return is_due
