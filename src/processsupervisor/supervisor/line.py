"""The line of bots that are wanted and wait to be started, each for what its gate named; higher `priority` first, then file order.

Who waits is INITIALIZING, RECOVERING or FAILED and says in `waits_for` why. Any other change of a bot takes it out of the line:
it can be stopped, started by command and restarted like any. Nobody is polled: a change of a bot, a free slot or a timer asks again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence

from processsupervisor.kernel.states import State, Trigger
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.events import Event
from processsupervisor.supervisor.gates import RECOVER, RETRY, SECOND_HALF, Gate, Hold

_AT_A_TIME = 20
"""Starts of one turn of the loop: in between, commands and pings are answered."""
_WAITS_IN = frozenset({State.INITIALIZING, State.RECOVERING, State.FAILED})


class Line:
    """One fleet's line; `start` is Fleet.start, which asks the gates again."""

    def __init__(self, handles: Mapping[str, BotHandle], gates: Sequence[Gate], start: Callable[[BotHandle, str], bool]) -> None:
        self._handles = handles
        self._gates = gates
        self._start = start
        self._waiting: dict[str, tuple[str, Hold, Gate]] = {}  # {bot: (how it is to be started, why not now, who says so)}
        self._by_bot: dict[str, set[str]] = {}  # {bot: those that wait for it}
        self._order: dict[str, tuple[int, int]] = {}
        self._for_slot: list[tuple[tuple[int, int], str]] = []
        self._woken: set[str] = set()
        self._is_slot_free = False
        self._turn: asyncio.Handle | None = None

    def in_order(self) -> list[BotHandle]:
        """Return all bots in the order in which they are started."""
        self._order = {h.name: (-int(h.spec.get("priority") or 0), number) for number, h in enumerate(self._handles.values())}
        return sorted(self._handles.values(), key=lambda h: self._order[h.name])

    def relearn(self) -> None:
        """Take over other priorities, and bots that came; one that goes must have left the line before."""
        self.in_order()
        self._for_slot = sorted((self._place(name), name) for _, name in self._for_slot)

    def leave(self, name: str) -> None:
        """Let a bot wait no longer, if it does."""
        if name in self._waiting:
            self._leave(name)

    def holds(self, handle: BotHandle, how: str) -> bool:
        """Ask the gates; True when one of them holds the bot back, which waits then."""
        found = next(((hold, gate) for gate in self._gates if (hold := gate.look(handle, how)) is not None), None)
        if found is None:
            return False
        hold, gate = found
        self._rest(handle, hold)
        self._waiting[handle.name] = how, hold, gate
        for bot in hold.bots:
            self._by_bot.setdefault(bot, set()).add(handle.name)
        handle.waits_for = hold.message
        if hold.delay_s is not None:
            later = RECOVER if how in SECOND_HALF else RETRY
            handle.plan_start(hold.delay_s, lambda: self._start(handle, later))
        elif not hold.bots:
            insort(self._for_slot, (self._place(handle.name), handle.name))
        handle.note()
        return True

    def on_event(self, event: Event) -> None:
        """Take out a bot that has moved on, and ask again about those that waited for it."""
        if event.get("kind") == "health":
            self.wake(str(event["bot"]))  # for those that wait until it is healthy
        if event.get("kind") != "transition":
            return
        name = str(event["bot"])
        self.leave(name)
        self.wake(name)

    def waits_on(self, bot: str) -> list[str]:
        """Return the bots that `bot` waits for, in the order of their names."""
        return sorted(self._waiting[bot][1].bots) if bot in self._waiting else []

    def wake(self, bot: str) -> None:
        """Ask again about those that wait for `bot`."""
        if woken := self._by_bot.get(bot):
            self._woken.update(woken)
            self._plan()

    def on_free(self) -> None:
        """Ask again about those that wait for a slot."""
        self._is_slot_free = True
        if self._for_slot:
            self._plan()

    def close(self) -> None:
        """Start nobody any more."""
        if self._turn is not None:
            self._turn.cancel()

    def _rest(self, handle: BotHandle, hold: Hold) -> None:
        """Bring the bot into a state in which it waits; what it waited for before is void."""
        if handle.name in self._waiting:
            self._leave(handle.name)
        state, reason = handle.life.state, hold.reason or handle.reason
        if hold.is_resting:
            if not handle.life.can(Trigger.GIVE_UP) and state is not State.FAILED:
                handle.life.fire(Trigger.RESTART, generation=handle.generation, reason=reason)
            handle.rest(Trigger.GIVE_UP, reason)
            return
        handle.reason, handle.next_start_mono = reason, None
        if state not in (State.INITIALIZING, State.RECOVERING):
            handle.life.fire(Trigger.RESTART, generation=handle.generation, reason=reason)

    def _leave(self, name: str) -> None:
        _, hold, _ = self._waiting.pop(name)
        self._handles[name].waits_for = ""
        self._woken.discard(name)
        for bot in hold.bots:
            self._by_bot[bot].discard(name)
        place = self._place(name), name
        at = bisect_left(self._for_slot, place)
        if self._for_slot[at : at + 1] == [place]:
            del self._for_slot[at]

    def _place(self, name: str) -> tuple[int, int]:
        if not self._order:
            self.in_order()
        return self._order[name]

    def _plan(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._advance)

    def _advance(self) -> None:
        """Ask about the first few that may go; the rest in the next turn of the loop."""
        self._turn = None
        queue, self._is_slot_free = (list(self._for_slot) if self._is_slot_free else []), False
        for name in self._woken:
            insort(queue, (self._place(name), name))
        asked = 0
        for _, name in queue:
            if asked >= _AT_A_TIME:
                self._is_slot_free = True
                self._plan()
                return
            asked += self._ask(name)

    def _ask(self, name: str) -> bool:
        """Start a bot that no gate holds back any more; True when it was worth a share of the turn."""
        if name not in self._waiting:
            return False
        handle, (how, _, gate) = self._handles[name], self._waiting[name]
        is_woken = name in self._woken
        self._woken.discard(name)
        if handle.life.state not in _WAITS_IN:
            self._leave(name)
            return False
        if not is_woken and gate.look(handle, how) is not None:
            return False  # many wait for a slot: only that is asked again for each
        self._start(handle, how)
        return True
