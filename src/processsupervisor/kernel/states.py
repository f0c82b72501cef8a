"""The lifecycle of a bot: thirteen states, fourteen triggers, one total table `(state, trigger) -> state`.

What is *wanted* (up, down, paused) is a separate, durable field and not part of this table. process/lifecycle.py is the
only writer of a state. A pair that may not happen is written too, as REFUSED; a test walks the whole product.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a bot is. Each state has a way out and a deadline that forces it (see DEADLINE_OF)."""

    INITIALIZING = "INITIALIZING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    RESTARTING = "RESTARTING"
    FAILED = "FAILED"
    RECOVERING = "RECOVERING"
    TERMINATED = "TERMINATED"
    UNKNOWN = "UNKNOWN"


class Trigger(StrEnum):
    """What happened to a bot, or what was asked of it."""

    LAUNCH = "launch"  # a start was decided: intent is on disk, the fork is next
    READY = "ready"  # said by the bot or found by its probe
    EXIT = "exit"  # the process is gone, nothing else is wrong: come back or rest as wanted says
    STOP = "stop"  # a person or a policy wants it down
    RESTART = "restart"  # stop, then start, same settings
    PAUSE = "pause"
    PAUSED = "paused"  # the bot says that it takes nothing new
    RESUME = "resume"
    RESUMED = "resumed"
    GIVE_UP = "give-up"  # no further start by itself: permanent reason, full window, policy
    COMPLETE = "complete"  # ended for good as its policy allows
    RETIRE = "retire"  # taken out of the fleet
    LOSE = "lose"  # evidence on disk can be neither confirmed nor refuted
    ADOPT = "adopt"  # a new psvd found the process running


class Wanted(StrEnum):
    """What the operator wants of a bot; durable."""

    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


S, T = State, Trigger
REFUSED: Final = None
"""The pair is legal to ask and changes nothing; the caller is told why not."""

_ORDER: Final = tuple(Trigger)

# One row a state, one cell a trigger, in the order of Trigger:
#   LAUNCH READY EXIT STOP RESTART PAUSE PAUSED RESUME RESUMED GIVE_UP COMPLETE RETIRE LOSE ADOPT
_ROWS: Final[dict[State, tuple[State | None, ...]]] = {
    S.INITIALIZING: (
        S.STARTING,
        None,
        None,
        S.STOPPED,
        S.INITIALIZING,
        None,
        None,
        None,
        None,
        S.FAILED,
        S.TERMINATED,
        S.TERMINATED,
        S.UNKNOWN,
        S.STARTING,
    ),
    S.STARTING: (
        None,
        S.RUNNING,
        S.RECOVERING,
        S.STOPPING,
        S.RESTARTING,
        None,
        None,
        None,
        None,
        S.FAILED,
        S.TERMINATED,
        None,
        S.UNKNOWN,
        None,
    ),
    S.RUNNING: (
        None,
        None,
        S.RECOVERING,
        S.STOPPING,
        S.RESTARTING,
        S.PAUSING,
        S.PAUSED,
        None,
        None,
        S.FAILED,
        S.TERMINATED,
        None,
        S.UNKNOWN,
        None,
    ),
    S.PAUSING: (
        None,
        None,
        S.RECOVERING,
        S.STOPPING,
        S.RESTARTING,
        None,
        S.PAUSED,
        S.RESUMING,
        None,
        S.FAILED,
        S.TERMINATED,
        None,
        S.UNKNOWN,
        None,
    ),
    S.PAUSED: (
        None,
        None,
        S.RECOVERING,
        S.STOPPING,
        S.RESTARTING,
        None,
        None,
        S.RESUMING,
        None,
        S.FAILED,
        S.TERMINATED,
        None,
        S.UNKNOWN,
        None,
    ),
    S.RESUMING: (
        None,
        None,
        S.RECOVERING,
        S.STOPPING,
        S.RESTARTING,
        S.PAUSING,
        None,
        None,
        S.RUNNING,
        S.FAILED,
        S.TERMINATED,
        None,
        S.UNKNOWN,
        None,
    ),
    S.STOPPING: (None, None, S.STOPPED, None, S.RESTARTING, None, None, None, None, S.FAILED, None, None, S.UNKNOWN, None),
    S.STOPPED: (S.STARTING, None, None, None, S.INITIALIZING, None, None, None, None, S.FAILED, None, S.TERMINATED, S.UNKNOWN, S.STARTING),
    S.RESTARTING: (None, None, S.INITIALIZING, S.STOPPING, None, None, None, None, None, S.FAILED, None, None, S.UNKNOWN, None),
    S.FAILED: (S.STARTING, None, None, S.STOPPED, S.INITIALIZING, None, None, None, None, None, None, S.TERMINATED, S.UNKNOWN, S.STARTING),
    S.RECOVERING: (
        S.STARTING,
        None,
        None,
        S.STOPPED,
        S.INITIALIZING,
        None,
        None,
        None,
        None,
        S.FAILED,
        S.TERMINATED,
        S.TERMINATED,
        S.UNKNOWN,
        S.STARTING,
    ),
    S.TERMINATED: (S.STARTING, None, None, None, S.INITIALIZING, None, None, None, None, None, None, None, S.UNKNOWN, S.STARTING),
    S.UNKNOWN: (None, None, S.RECOVERING, None, None, None, None, None, None, S.FAILED, None, None, None, S.STARTING),
}

TABLE: Final[dict[tuple[State, Trigger], State | None]] = {
    (state, trigger): target for state, row in _ROWS.items() for trigger, target in zip(_ORDER, row, strict=True)
}

HAS_PROCESS: Final = frozenset({S.STARTING, S.RUNNING, S.PAUSING, S.PAUSED, S.RESUMING, S.STOPPING, S.RESTARTING})
"""States in which a process of the bot is alive, or was asked for and not yet denied."""

DEADLINE_OF: Final[dict[State, str]] = {
    S.INITIALIZING: "launched at once, or when its turn has come: a start slot, those it depends on, room in the system",
    S.STARTING: "the timeout of a before_start hook, then start_timeout: the tree is killed, reason start-timeout, then as after any exit",
    S.RUNNING: "hang_after, for one that does not beat or is stopped: the tree is killed, reason hang; else none needed: its end or a stop leaves it",
    S.PAUSING: "10 s: RUNNING again by RESUMING, the command fails with timeout",
    S.PAUSED: "none needed: a command, an exit or a stop leaves it",
    S.RESUMING: "10 s: the tree is killed and started again",
    S.STOPPING: "stop.timeout, then SIGKILL of the tree, repeated until it is gone",
    S.STOPPED: "rest: a start leaves it",
    S.RESTARTING: "as STOPPING",
    S.FAILED: "retry_failed for reasons that may pass, the time of a budget, the bot it waits for; else rest: a command, or the time of a task",
    S.RECOVERING: "the restart delay",
    S.TERMINATED: "rest: a start leaves it, and a task its time",
    S.UNKNOWN: "adopt_timeout (30 s): FAILED conflict; nothing is started, only leftovers are signalled, the evidence is watched further",
}


def next_state(state: State, trigger: Trigger) -> State | None:
    """Return where `trigger` leads from `state`, or None when it is refused there."""
    return TABLE[state, trigger]
