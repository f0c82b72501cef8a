"""One bot in a rollout: stopped, started through the fresh zygote, and ready, or back on the zygote it ran on before.

The trial only watches and says where a start comes from; the moves are the handle's, and what follows an exit that is not
of the trial is the fleet's policy. A way back is tried once, at once, and burns no restart counter.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor import view
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.pins import key_of, via_of
from processsupervisor.supervisor.zygotelink import PRELOAD_TIMEOUT_S

_MARGIN_S = 60.0
_NOT_THE_ZYGOTE = (Reason.LOCK_HELD, Reason.CONFLICT, Reason.RATE_LIMITED)
"""Ends that a start at once could only repeat: the old zygote is for the next start that the policy allows."""


class Outcome(StrEnum):
    """What became of one bot of a rollout."""

    ROLLED = "rolled"
    BACK = "back"
    FAILED = "failed"
    LET_GO = "let-go"


@dataclass(slots=True)
class _Trial:
    """`generation` is the one that is tried, `old` the zygote to go back to, `failure` how it ended before it was ready."""

    handle: BotHandle
    generation: int
    is_forked: bool
    old: str | None
    done: asyncio.Future[Outcome]
    failure: ExitRecord | None = None
    is_back: bool = False


class Trials:
    """The bots that are on trial now; hears every transition and every exit of the fleet until `close`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._trials: dict[str, _Trial] = {}
        fleet.events.listen(self._on_event)
        fleet.aftermath.fall_back = self._fall_back

    def close(self) -> None:
        """Watch no more."""
        self._fleet.events.unlisten(self._on_event)
        self._fleet.aftermath.fall_back = lambda _handle, _record: False

    async def roll(self, handle: BotHandle) -> tuple[Outcome, str]:
        """Restart one bot through the present zygote of its set; returns the outcome and what is to be said of it."""
        pins, name = self._fleet.zygotes.pins, handle.name
        is_forked, done = bool(key_of(handle.via)), asyncio.get_running_loop().create_future()
        trial = _Trial(handle, handle.generation + 1, is_forked, pins.key(name), done)
        self._trials[name] = trial
        pins.drop(name)
        try:
            if not handle.stop(is_restart=True):
                return Outcome.LET_GO, f"is {handle.life.state} by now"
            async with asyncio.timeout(_deadline_s(handle)):
                outcome = await trial.done
        except TimeoutError:
            outcome = Outcome.FAILED
        finally:
            del self._trials[name]
        return outcome, await self._say(trial, outcome)

    async def _say(self, trial: _Trial, outcome: Outcome) -> str:
        if outcome is Outcome.ROLLED:
            return ""
        if outcome is Outcome.LET_GO:
            return f"is {trial.handle.life.state}: a newer command wins"
        if trial.is_back:
            follows = "runs again on the old one" if outcome is Outcome.BACK else "nor on the old one: its restart policy follows"
        elif self._fleet.zygotes.pins.key(trial.handle.name) == trial.old and trial.old is not None:
            follows = "its next start is from the old one"
        else:
            is_gone = trial.is_forked and (trial.old is None or not self._fleet.zygotes.is_alive(trial.old))
            follows = "its restart policy follows" + (" on it: the old one is gone" if is_gone else "")
        return f"did not become ready on the new zygote ({await _why(trial)}); {follows}"

    def _fall_back(self, handle: BotHandle, record: ExitRecord) -> bool:
        """See Aftermath.fall_back: tie a bot whose trial failed to its old zygote again; True = start it from there now."""
        trial = self._trials.get(handle.name)
        if trial is None or trial.failure is not None or record.generation != trial.generation or handle.life.state is not State.STARTING:
            return False
        trial.failure = record
        record.message = f"{record.message}; on the new zygote".lstrip("; ")
        zygotes = self._fleet.zygotes
        if trial.old is None or not zygotes.is_alive(trial.old):
            return False
        zygotes.pins.tie(handle.name, trial.old, f"it did not become ready on the new one ({record.reason}: {record.message})")
        handle.via = via_of(trial.old)
        if record.reason in _NOT_THE_ZYGOTE:
            return False
        trial.is_back = True
        return True

    def _on_event(self, event: dict[str, object]) -> None:
        trial = self._trials.get(str(event.get("bot")))
        if trial is None or trial.done.done():
            return
        state, generation = trial.handle.life.state, trial.handle.generation
        if state is State.RECOVERING and generation == trial.generation and trial.failure is None:
            trial.generation += 1  # without an exit: the system refused this start, or the keeper went. The next one is the trial
            return
        outcome = _judge(trial, state, generation)
        if outcome is not None:
            trial.done.set_result(outcome)


def _judge(trial: _Trial, state: State, generation: int) -> Outcome | None:
    """Return the outcome that this state decides; None while it is on its way."""
    if generation < trial.generation:
        # Still the old process: only a person's stop, or an end that could not be cleared away, leaves the way.
        return Outcome.LET_GO if state is State.STOPPING or state is State.STOPPED else Outcome.FAILED if state in RESTING else None
    if state is State.RUNNING:
        return Outcome.BACK if trial.is_back else Outcome.ROLLED
    if state in (State.STOPPING, State.RESTARTING, State.STOPPED):
        return Outcome.LET_GO
    if state in RESTING or state is State.UNKNOWN:
        return Outcome.FAILED
    if state is State.RECOVERING:
        return None if trial.is_back and generation == trial.generation else Outcome.FAILED
    return None


def _deadline_s(handle: BotHandle) -> float:
    """Return a time by which the bot's own deadlines must have decided: a stop, a preload and two starts."""
    return float(handle.spec["stop"]["timeout_s"]) + 2 * float(handle.spec["start_timeout_s"]) + PRELOAD_TIMEOUT_S + _MARGIN_S


async def _why(trial: _Trial) -> str:
    """Return why the bot was not ready: reason, message and its last line."""
    record = trial.failure or trial.handle.last_exit
    if record is None or record.generation < trial.generation:
        return f"is still {trial.handle.life.state}"
    await view.await_last_words(record)
    return ": ".join(filter(None, (str(record.reason), record.message, *(line.strip()[:200] for line in record.log_tail[-1:]))))
