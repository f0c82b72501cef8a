"""The check for bots that run and do not do their work: the probes of their health table, their output, and their network.

A failed outcome counts only if psvd was not stalled while it came about, and only for a bot that is RUNNING; a new psvd counts
anew. Being cut off from the network is shown, and never a verdict: an outage must not cost restarts.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from processsupervisor.config.spec import HealthSpec
from processsupervisor.health.probe import KINDS, Kind, ask, shown
from processsupervisor.health.silence import Silence
from processsupervisor.health.streak import Streak
from processsupervisor.health.verdict import SWEEP_S, Sweep, Verdict, Watched
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import PROOF_EVERY_S
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.condition import Health

CONNECTED_WITHIN_S = 120.0
"""For bots without a health table."""
_AT_ONCE: dict[Kind, int] = {"http": 16, "tcp": 16, "exec": 3}
"""Probes of a kind that run at the same time; the others stand in line."""
_JUST_READY_S = 10.0
_SPREAD = 0.1
_log = logging.getLogger("psv.checkup")

Tell = Callable[[str, Health, str], None]


@dataclass(slots=True)
class _Probe:
    """One probe of a bot; `outcome` waits for the next sweep, with the number of stalls before it was asked."""

    kind: Kind
    streak: Streak
    due_s: float
    why: str = ""
    task: asyncio.Task[None] | None = None
    outcome: tuple[str, int] | None = None


@dataclass(slots=True)
class _Case:
    """What is known of one generation."""

    process: Identity
    health: HealthSpec | None
    probes: list[_Probe]
    silence: Silence
    up_s: float = 0.0
    good_s: float = 0.0
    is_silent: bool = False
    is_resting: bool = True

    @property
    def failed(self) -> list[_Probe]:
        """The probes that have failed often enough."""
        return [probe for probe in self.probes if probe.streak.has_failed]

    def rest(self) -> None:
        """Ask nothing while the bot is not RUNNING, and count anew afterwards."""
        if self.is_resting:
            return
        self.is_resting, self.up_s = True, 0.0
        self.silence.interrupt()
        for probe in self.probes:
            _let_go(probe)
            probe.streak.interrupt()


class Checkups:
    """One fleet's bots; `tell` hears of each that becomes healthy or unhealthy, and why."""

    def __init__(self, paths: FleetPaths, tell: Tell) -> None:
        self._paths = paths
        self._tell = tell
        self._cases: dict[str, _Case] = {}
        self._lines = {kind: asyncio.Semaphore(most) for kind, most in _AT_ONCE.items()}
        self._stalls = 0
        self._stalled_in = -1

    def look(self, bot: Watched, sweep: Sweep) -> Verdict | None:
        """See Check. A bot without a health table and without a network costs nothing."""
        if sweep.is_late and sweep.number != self._stalled_in:
            self._stalled_in, self._stalls = sweep.number, self._stalls + 1
        health, case = bot.spec.get("health"), self._cases.get(bot.name)
        if bot.process is None or (health is None and not bot.condition.has_network):
            if case is not None and case.process is bot.process:  # its checks were taken away
                self.forget(bot.name)
                self._set(bot, Health.HEALTHY, "")
            return None
        if case is None or case.process is not bot.process or case.health != health:
            case = self._begin(bot, bot.process, health, case)
        if not sweep.is_late:
            _look_at_connection(bot, health)
        if bot.life.state is not State.RUNNING:
            case.rest()
            return None
        case.is_resting = False
        case.up_s += 0.0 if sweep.is_late else SWEEP_S
        if health is not None:
            self._examine(case, bot, health, sweep)
        return self._conclude(case, bot, health, sweep)

    def forget(self, name: str) -> None:
        """See Check."""
        if name in self._cases:
            for probe in self._cases.pop(name).probes:
                _let_go(probe)

    def close(self) -> None:
        """Let go of all probes that run."""
        for name in list(self._cases):
            self.forget(name)

    def still_holds(self, bot: Watched) -> bool:
        """Tell whether a bot that was judged has passed no check since that would acquit it."""
        case = self._cases.get(bot.name)
        return case is not None and case.process == bot.process and bool(case.failed or case.is_silent)

    def _begin(self, bot: Watched, process: Identity, health: HealthSpec | None, before: _Case | None) -> _Case:
        """Begin anew: another process, or other checks of the same, for which the time since it was ready goes on to count."""
        self.forget(bot.name)
        case = self._cases[bot.name] = self._open(bot, process, health)
        if before is not None and before.process is process:
            case.up_s, case.is_resting = before.up_s, before.is_resting
        return case

    def _open(self, bot: Watched, process: Identity, health: HealthSpec | None) -> _Case:
        probes = []
        for kind in KINDS if health is not None else ():
            if health is not None and health[kind] is not None:
                # Who was ready long before (psvd is new) is spread: all of a fleet are not asked at once.
                due_s = 0.0 if (bot.uptime_s or 0.0) < _JUST_READY_S else random.uniform(0.0, health["every_s"])
                probes.append(_Probe(kind, Streak(health["fail_after"], health["pass_after"]), due_s))
        return _Case(process, health, probes, Silence(self._paths, bot.name))

    def _examine(self, case: _Case, bot: Watched, health: HealthSpec, sweep: Sweep) -> None:
        """Count what has come, and ask what is due."""
        is_in_grace = case.up_s <= health["grace_s"]
        for probe in case.probes:
            if probe.outcome is not None:
                (why, stalls), probe.outcome = probe.outcome, None
                if not why or (not sweep.is_late and stalls == self._stalls):
                    probe.streak.count(not why)
                    probe.why = why or probe.why
                else:
                    probe.streak.interrupt()
            if sweep.is_late or is_in_grace or probe.task is not None:
                continue
            probe.due_s -= SWEEP_S
            if probe.due_s <= 0:
                probe.due_s = health["every_s"] * random.uniform(1 - _SPREAD, 1 + _SPREAD)
                probe.task = asyncio.get_running_loop().create_task(self._ask(bot, probe))
        limit_s = health["log_silence_s"]
        if limit_s is not None and not is_in_grace:
            case.is_silent = case.silence.look(bot, sweep, limit_s)

    async def _ask(self, bot: Watched, probe: _Probe) -> None:
        async with self._lines[probe.kind]:
            stalls = self._stalls
            try:
                why = await ask(self._paths, bot.spec, probe.kind)
            except Exception as err:  # noqa: BLE001 - whatever it is, the probe must be asked again
                _log.error("a probe failed in itself", extra={"bot": bot.name, "probe": probe.kind}, exc_info=err)
                why = f"cannot be asked: {type(err).__name__}"
        probe.task = None
        if why is not None:
            probe.outcome = why, stalls

    def _conclude(self, case: _Case, bot: Watched, health: HealthSpec | None, sweep: Sweep) -> Verdict | None:
        """Say how the bot is, and return a verdict if it cannot go on so."""
        why = _trouble(case, health)
        offline = _offline(case, bot, health)
        if why or offline:
            case.good_s = 0.0
            self._set(bot, Health.UNHEALTHY, why or offline)
        elif bot.condition.is_connected is False or any(probe.streak.has_failed is None for probe in case.probes):
            case.good_s = 0.0
            self._set(bot, Health.SETTLING, "")
        else:
            is_settled = case.good_s >= (health["settle_s"] if health is not None else 0.0)
            self._set(bot, Health.HEALTHY if is_settled else Health.SETTLING, "")
            case.good_s += 0.0 if sweep.is_late else SWEEP_S
        if not why or sweep.is_late or health is None or health["action"] == "none":
            return None
        return Verdict(bot.name, bot.generation, Reason.HANG, f"unhealthy: {why}", is_probed=True)

    def _set(self, bot: Watched, health: Health, why: str) -> None:
        condition = bot.condition
        has_turned = condition.health is not health and health is not Health.SETTLING
        condition.health, condition.why = health, why
        if has_turned:
            self._tell(bot.name, health, why)


def _let_go(probe: _Probe) -> None:
    if probe.task is not None:
        probe.task.cancel()
    probe.task = probe.outcome = None


def _look_at_connection(bot: Watched, health: HealthSpec | None) -> None:
    if bot.condition.has_network:
        age_s = bot.condition.proof_age_s
        # The bot may have had a younger one since, and not told it yet: an outage is seen a little later, and none where there is none.
        bot.condition.is_connected = age_s is not None and age_s < _connected_within_s(health) + PROOF_EVERY_S


def _trouble(case: _Case, health: HealthSpec | None) -> str:
    """Return what the checks found, in words; empty when none has failed."""
    if health is None:
        return ""
    times = f" ({health['fail_after']} times in a row)" if health["fail_after"] > 1 else ""
    found = [f"{shown(probe.kind, health)}: {probe.why}{times}" for probe in case.failed]
    if case.is_silent:
        found.append(f"log_silence: no output for {health['log_silence_s']:g} s")
    return "; ".join(found)


def _offline(case: _Case, bot: Watched, health: HealthSpec | None) -> str:
    """Return since when a bot is cut off; one that has had no proof yet has as long for its first."""
    condition, limit_s = bot.condition, _connected_within_s(health)
    if condition.is_connected is not False:
        return ""
    if condition.proof_mono is None:
        return f"not connected: no proof from its network within {limit_s:g} s" if case.up_s >= limit_s else ""
    return f"not connected: the last proof from its network is {condition.proof_age_s or 0.0:.0f} s old, the limit is {limit_s:g} s"


def _connected_within_s(health: HealthSpec | None) -> float:
    return health["connected_within_s"] if health is not None else CONNECTED_WITHIN_S
