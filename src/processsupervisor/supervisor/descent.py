"""The end of the fleet: every bot is stopped within the time given, then the keeper is told, which ends all else."""

from __future__ import annotations

import asyncio
import signal

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace, send_signal
from processsupervisor.kernel.states import HAS_PROCESS, State
from processsupervisor.supervisor.fleet import Fleet

_LAST_WORDS_S = 0.05
_HOOKS_S = 3.0
"""How long the end of the fleet waits for after_ hooks, within its own time."""
_SAY_AGAIN_S = 1.0


class Descent:
    """One fleet's way down; once begun it is not taken back."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._task: asyncio.Task[int] | None = None
        fleet.on_go_down = self.begin

    def begin(self, timeout_s: float | None, exit_status: int) -> asyncio.Task[int]:
        """Stop all bots within `timeout_s` (None: `[fleet] down_timeout`) and tell the keeper; returns the task that counts them.

        Called again, the end comes no later than the newer call says.
        """
        loop = asyncio.get_running_loop()
        limit_s = float(self._fleet.settings["down_timeout_s"]) if timeout_s is None else timeout_s
        if self._task is None:
            self._task = loop.create_task(self._go_down(limit_s, exit_status))
        else:
            loop.call_later(limit_s, self._hasten)
        return self._task

    def _hasten(self) -> None:
        for handle in self._fleet.has_process():
            handle.stop()  # those that wait for others have not been asked yet
            handle.kill_now()

    async def _go_down(self, timeout_s: float, exit_status: int) -> int:
        fleet = self._fleet
        reach(CrashPoint.PSVD_BEFORE_DOWN)
        fleet.is_going_down = True
        fleet.uptime.note_all(fleet.handles.values())
        fleet.keeper.tell("going-down", timeout_s=timeout_s, exit_status=exit_status)
        for own in fleet.own_roles.values():
            own.close()
        fleet.zygotes.close()
        await fleet.is_adopted.wait()  # told by the keeper, it can come before this psvd knows what runs
        stopping = fleet.has_process()
        fleet.unwinding.stop_all(fleet.handles.values(), timeout_s)
        reach(CrashPoint.PSVD_DOWN_BEGUN)
        deadline = mono() + timeout_s
        await asyncio.gather(*(h.life.wait_for(set(State) - HAS_PROCESS, max(0.0, deadline - mono())) for h in stopping))
        late = [h for h in stopping if h.life.state in HAS_PROCESS]
        for handle in late:
            handle.kill_now()
        await asyncio.gather(*(h.life.wait_for(set(State) - HAS_PROCESS, 2.0) for h in late))
        await fleet.hooks.drain(min(_HOOKS_S, deadline - mono()))
        fleet.store.flush()
        fleet.paths.running.unlink(missing_ok=True)  # an end in order: the next start tries everything again
        fleet.groups.close()
        reach(CrashPoint.PSVD_ALL_STOPPED)
        fleet.events.tell("down", stopped=len(stopping))
        fleet.store.flush()
        # The keeper ends us next; listeners get their last line first.
        asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._say_down, exit_status)
        return len(stopping)

    def _say_down(self, exit_status: int) -> None:
        """Tell the keeper until it ends us; without one, end our own processes ourselves."""
        self._fleet.keeper.tell("down", exit_status=exit_status)  # one that is stopped reads it when it goes on
        reach(CrashPoint.PSVD_DOWN_TOLD)
        if self._fleet.keeper.pid is not None:
            asyncio.get_running_loop().call_later(_SAY_AGAIN_S, self._say_down, exit_status)
            return
        for facts in list(self._fleet.role_facts.values()):
            if isinstance(facts.get("pid"), int):
                send_signal(Identity(facts["pid"], int(facts["start_ticks"]), boot_id(), pid_namespace()), signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
