"""The check for bots that are alive and do nothing: an event loop that beats no more, a process that somebody stopped.

A loop is judged from its first beat on. A process in state T is told by the kernel, so this holds for programs too; it is
looked at when its pulse is silent, else each few seconds. While it is stopped its silence does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

from processsupervisor.health.processes import facts_of, is_stopped, waits_for_output
from processsupervisor.health.pulses import Pulses
from processsupervisor.health.verdict import SWEEP_S, Sweep, Verdict, Watched
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import Pulse, Turn
from processsupervisor.kernel.reasons import Reason

HANG_AFTER_S = 30.0
"""For settings that an older psv wrote down, without the key."""
_BEATS_MISSED = 2
_STATE_EVERY = 4
"""Sweeps between two looks at the state of a process that has no pulse."""


@dataclass(slots=True)
class _Case:
    """What is known of one process."""

    process: Identity
    pulse: Pulse | None = None
    silent_s: float = 0.0
    stopped_s: float = 0.0
    is_mute: bool = False
    """It can beat no more: it has executed another program, or closed its pulse."""

    @property
    def every_s(self) -> float:
        """Return the time between two beats, as the bot says it."""
        return self.pulse.every_s if self.pulse is not None else SWEEP_S


class Hangs:
    """One fleet's bots, each with how long it has been silent or stopped while psvd looked."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self._pulses = Pulses(paths)
        self._cases: dict[str, _Case] = {}

    def look(self, bot: Watched, sweep: Sweep) -> Verdict | None:
        """Return why the bot hangs, or None."""
        if bot.process is None:
            return None
        case = self._cases.get(bot.name)
        if case is None or case.process is not bot.process:
            case = self._cases[bot.name] = _Case(bot.process)
        limit_s = float(bot.spec.get("hang_after_s", HANG_AFTER_S))
        self._listen(case, bot, sweep, limit_s)
        if limit_s <= 0:
            return None
        self._look_at_state(case, sweep, limit_s)
        if case.stopped_s >= limit_s:
            return self._verdict(bot, _why_stopped(case.process))
        # A bot that was started under a longer hang_after beats as that asked for.
        if case.silent_s >= max(limit_s, _BEATS_MISSED * case.every_s) and self._is_guilty(case, bot):
            return self._verdict(bot, f"hung: its event loop has not turned for {limit_s:g} s")
        return None

    def forget(self, name: str) -> None:
        """See Check."""
        if name in self._cases:
            del self._cases[name]
            self._pulses.forget(name)

    def still_holds(self, bot: Watched) -> bool:
        """Tell whether a bot that was judged has neither beaten nor gone on since."""
        case = self._cases.get(bot.name)
        if case is None or case.process != bot.process:
            return False
        if is_stopped(case.process):
            return True
        pulse = self._pulses.read(bot)
        return case.stopped_s == 0.0 and pulse is not None and case.pulse is not None and pulse.beats == case.pulse.beats

    def pulse(self, bot: Watched) -> Pulse | None:
        """Return the bot's pulse as it is now."""
        return self._pulses.read(bot)

    def vitals(self, bot: Watched) -> dict[str, object]:
        """Return what status shows: who holds the process, if it is stopped, the age of the last beat and the loop's lag.

        None where it does not apply: the process is not stopped, no loop of the bot beats.
        """
        stopped: dict[str, object] = {"stopped": _why_stopped(bot.process) if bot.process is not None and is_stopped(bot.process) else None}
        pulse, case = self._pulses.read(bot), self._cases.get(bot.name)
        if pulse is None or pulse.turn is not Turn.TURNING or (case is not None and case.is_mute):
            return stopped | {"beat_age_s": None, "lag_s": None, "worst_lag_s": None}
        age_s = max(0.0, mono() - pulse.at_mono)
        return stopped | {"beat_age_s": round(age_s, 3), "lag_s": round(pulse.lag_s, 4), "worst_lag_s": round(pulse.worst_lag_s, 4)}

    def messages(self, bot: Watched) -> int | None:
        """Return how many messages the bot had handled in this life at the last sweep; None for one that does not count."""
        case = self._cases.get(bot.name)
        return case.pulse.messages if case is not None and case.process is bot.process and case.pulse is not None else None

    def _listen(self, case: _Case, bot: Watched, sweep: Sweep, limit_s: float) -> None:
        pulse = self._pulses.read(bot) if not case.is_mute else None
        is_beating = pulse is not None and (case.pulse is None or pulse.beats != case.pulse.beats)
        case.pulse = pulse
        if is_beating or pulse is None or pulse.turn is not Turn.TURNING:
            case.silent_s = 0.0
        else:
            case.silent_s = sweep.add_to(case.silent_s, max(limit_s, _BEATS_MISSED * case.every_s))

    def _look_at_state(self, case: _Case, sweep: Sweep, limit_s: float) -> None:
        turns = case.pulse is not None and case.pulse.turn is Turn.TURNING
        is_due = (sweep.number + case.process.pid) % _STATE_EVERY == 0 and not turns
        if case.stopped_s == 0.0 and case.silent_s < case.every_s + SWEEP_S and not is_due:
            return
        if is_stopped(case.process):
            case.stopped_s, case.silent_s = max(sweep.add_to(case.stopped_s, limit_s), case.silent_s), 0.0
        else:
            case.stopped_s = 0.0

    def _is_guilty(self, case: _Case, bot: Watched) -> bool:
        """Tell whether the bot itself is to blame for its silence; if not, it is counted anew."""
        case.is_mute = not self._pulses.is_held(bot.name, case.process)
        waits = waits_for_output(self._paths, bot.name, bot.generation, case.process)
        if case.is_mute or waits or not self._pulses.can_be_written(bot.name):
            case.silent_s = 0.0
            return False
        return True

    @staticmethod
    def _verdict(bot: Watched, message: str) -> Verdict:
        return Verdict(bot.name, bot.generation, Reason.HANG, message)


def _why_stopped(process: Identity) -> str:
    facts = facts_of(process)
    tracer = facts.get("TracerPid", "0")
    if tracer != "0":
        return f"held by a tracer (pid {tracer}), state {facts.get('State', '?')}"
    return f"stopped by a signal (SIGSTOP or the like), state {facts.get('State', '?')}; psv does not continue what somebody stopped"
