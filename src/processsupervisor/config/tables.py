"""The tables that stand inside a scope, and what a key is: kind, default, range, help and effect. See schema.py, which uses them.

No rule that looks outside one key.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from processsupervisor.config.calendar import Cron, Interval, Moments, ZoneName
from processsupervisor.config.spec import Effect
from processsupervisor.config.values import (
    HOOK,
    CommandLine,
    Count,
    Duration,
    Filled,
    Label,
    Number,
    PathText,
    ProbeCommand,
    Regex,
    SignalName,
    Size,
    SlowTime,
    SomeTime,
    Url,
    VariableName,
)


def key(default: Any, text: str, shown: str, *, effect: Effect, **limits: float) -> Any:
    """Declare a key: its default (... = required), its help, how the reference shows the default (TOML, or words), and its effect.

    The effect is what a change of the key asks of a bot that runs; see effects.py for what is not settled by one key alone.
    """
    made = {"default_factory": cache(default)} if callable(default) else {"default": default}  # what is made is never changed
    return Field(**made, description=text, json_schema_extra={"shown": shown, "effect": effect}, **limits)  # type: ignore[call-overload]


class Table(BaseModel):
    """Any table of the file: unknown keys are errors, texts are never taken for numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class LockTable(Table):
    """One thing that must not be used twice; exactly one key."""

    env: VariableName | None = key(None, "A network token: the value of this environment variable", "-", effect="restart")
    file: PathText | None = key(None, "A session file", "-", effect="restart")


class ReadyTable(Table):
    """How a program becomes ready; exactly one key."""

    log: Regex | None = key(None, "A line of its output matches", "-", effect="restart")
    tcp: Annotated[int, Label("port")] | None = key(
        None, "127.0.0.1 accepts connections on this port", "-", effect="restart", ge=1, le=65535
    )
    http: Url | None = key(None, "A GET of this address answers 2xx or 3xx", "-", effect="restart")
    after: Duration | None = key(None, "It has run for this long", '"1s"', effect="restart")
    notify: Literal[True] | None = key(None, "It says READY=1 by sd_notify (true is the only value)", "-", effect="restart")


class StopTable(Table):
    """How a bot is asked to stop."""

    timeout: Duration = key(10.0, "Time from the request to the kill of the whole process tree", '"10s"', effect="live")
    signal: SignalName = key("TERM", "Signal sent to programs (native bots are asked over their link first)", '"TERM"', effect="live")


class WindowTable(Table):
    """A limit of restarts."""

    count: Count = key(..., "At most this many restarts", "required", effect="live", ge=1, le=10000)
    within: SomeTime = key(..., "in this time", "required", effect="live")


def _windows() -> list[WindowTable]:
    return [WindowTable(count=10, within=600.0), WindowTable(count=100, within=86400.0)]


class RestartTable(Table):
    """When and how fast a bot that ended is started again."""

    policy: Literal["always", "on-failure", "never"] = key("always", "Which ends are followed by a restart", '"always"', effect="live")
    initial: Duration = key(0.0, "Delay of the first restart", '"0s"', effect="live")
    base: Duration = key(1.0, "Longest delay of the second restart; delays are drawn at random below their limit", '"1s"', effect="live")
    factor: Number = key(2.0, "The limit grows by this with each further restart", "2.0", effect="live", ge=1, le=100)
    max: Duration = key(60.0, "The limit grows no further", '"60s"', effect="live")
    stable_after: Duration = key(30.0, "After this long ready, delays begin anew", '"30s"', effect="live")
    window: list[WindowTable] = key(
        _windows,
        "More restarts than this and the bot is FAILED (crash-loop)",
        '[{ count = 10, within = "10m" }, { count = 100, within = "24h" }]', effect="live", max_length=10
    )
    retry_failed: SomeTime = key(600.0, "A crash-looping bot is tried once each such time", '"10m"', effect="live")


class DependencyTable(Table):
    """What a bot waits for before it is started."""

    bot: Filled = key(..., "The bot that must be there first", "required", effect="live")
    until: Literal["started", "ready", "healthy", "completed"] = key("ready", "How far it must have come", '"ready"', effect="live")


class LoginBudgetTable(Table):
    """How often a bot may log in."""

    count: Count = key(..., "At most this many starts; 0 = no limit", "required", effect="live", ge=0, le=100_000)
    within: SomeTime = key(86400.0, "in this time", '"24h"', effect="live")


class HealthTable(Table):
    """How it is seen whether a bot that runs does its work, and what follows when it does not."""

    http: Url | None = key(None, "A GET of this address answers 2xx or 3xx", "-", effect="restart")
    tcp: Annotated[int, Label("port")] | None = key(
        None, "127.0.0.1 accepts connections on this port", "-", effect="restart", ge=1, le=65535
    )
    exec: ProbeCommand | None = key(None, "This command, run as the bot, ends with 0; `./` is beside fleet.toml", "-", effect="restart")
    env: list[VariableName] = key(list, "Variables of the bot (`env`, `env_file`) that `exec` sees too", "[]", effect="restart")
    log_silence: SlowTime | None = key(None, "Nothing on stdout and stderr for so long is a failure", "-", effect="restart")
    every: SlowTime = key(10.0, "Time from one probe to the next", '"10s"', effect="live")
    timeout: SomeTime | None = key(None, "Time for one probe; less than `every`", '`"5s"`, at most half of `every`', effect="live")
    fail_after: Count = key(3, "So many failures in a row, and the bot is unhealthy", "3", effect="live", ge=1, le=1000)
    pass_after: Count = key(1, "So many successes in a row, and the probe counts as passed", "1", effect="live", ge=1, le=1000)
    grace: Duration = key(0.0, "Time after ready in which nothing is probed", '"0s"', effect="live")
    settle: Duration = key(0.0, "Every check must have passed for so long before the bot is healthy", '"0s"', effect="live")
    action: Literal["restart", "none"] = key(
        "restart", "What follows when a check has failed; `none`: it is only shown", '"restart"', effect="live"
    )
    connected_within: SlowTime = key(
        120.0, "A native bot is connected while the last proof from its network is younger", '"2m"', effect="live"
    )


class LimitsTable(Table):
    """Limits of one bot; without a key the limit of psv itself is inherited."""

    nofile: Count | None = key(None, "Open files (RLIMIT_NOFILE)", "inherited", effect="restart", ge=16, le=1 << 30)
    nproc: Count | None = key(None, "Processes of its user (RLIMIT_NPROC)", "inherited", effect="restart", ge=1, le=1 << 30)
    memory: Size | None = key(None, "Memory of its process tree (cgroup memory.max; needs cgroups)", "none", effect="restart", ge=1 << 20)
    pids: Count = key(
        1024,
        "Processes and threads of its tree (pids.max, where cgroups have a pids controller)",
        "1024",
        effect="restart",
        ge=1,
        le=1 << 22,
    )


class LogsTable(Table):
    """Log files of one bot, for each of stdout and stderr."""

    max: Size = key(10 << 20, "A segment is closed and compressed at this size", '"10MB"', effect="restart", ge=4096, le=1 << 40)
    keep: Count = key(5, "Segments kept, the active one included", "5", effect="restart", ge=1, le=1000)


class HookTable(Table):
    """One hook; a list stands for its command."""

    command: CommandLine = key(..., "The command; `./` is beside fleet.toml", "required", effect="live")
    timeout: SomeTime = key(10.0, "After this long its whole process tree is killed", '"10s"', effect="live")
    env: list[VariableName] = key(list, "Variables of the bot (`env`, `env_file`) that it sees too", "[]", effect="live")


Hook = Annotated[HookTable | None, *HOOK]


class HooksTable(Table):
    """Commands run around the steps of a bot."""

    before_start: Hook = key(None, "Before each start; one that fails or takes too long is a failed start", "-", effect="live")
    after_start: Hook = key(None, "The process was started", "-", effect="live")
    after_ready: Hook = key(None, "The bot is ready", "-", effect="live")
    before_stop: Hook = key(None, "Before a stop that was asked for; takes at most half of `stop.timeout`", "-", effect="live")
    after_stop: Hook = key(None, "The bot has ended as asked", "-", effect="live")
    after_exit: Hook = key(None, "The process has ended, for whatever reason", "-", effect="live")
    before_pause: Hook = key(None, "Before a native bot is asked to pause; at most 5 s", "-", effect="live")
    after_pause: Hook = key(None, "It has paused", "-", effect="live")
    before_resume: Hook = key(None, "Before it is asked to go on; at most 5 s", "-", effect="live")
    after_resume: Hook = key(None, "It goes on", "-", effect="live")
    after_config: Hook = key(None, "`psv up` applied other settings of this bot than those before", "-", effect="live")


class ScheduleTable(Table):
    """When a task runs; exactly one of cron, every and at."""

    cron: Cron | None = key(
        None, "Five fields: minute, hour, day of the month, month, day of the week; or `@daily` and the like", "-", effect="live"
    )
    every: Interval | None = key(None, "So often, counted from when the task was first scheduled", "-", effect="live")
    at: Moments | None = key(None, "At this time, or at each of these", "-", effect="live")
    tz: ZoneName | None = key(None, "Time zone of `cron` and `at`", "that of the machine", effect="live")
    missed: Literal["skip", "once", "all"] = key(
        "once",
        "What follows when its time came while the fleet was down: nothing, one run, or a run for each (at most 100)",
        '"once"',
        effect="live",
    )
    overlap: Literal["skip", "queue", "kill"] = key(
        "skip",
        "When its time comes while it runs: leave that run out, do it afterwards, or stop the one that runs",
        '"skip"',
        effect="live",
    )
    timeout: SomeTime | None = key(None, "A run that takes longer is stopped, reason `timeout`", "none", effect="live")
    jitter: Duration = key(0.0, "Each run begins up to this much later, at random, and before the next is due", '"0s"', effect="live")
    keep: Count = key(100, "Results of so many runs are kept", "100", effect="live", ge=1, le=10000)


class RecycleTable(Table):
    """When a bot that runs well is started anew; each limit is taken up to `jitter` percent earlier."""

    max_age: SomeTime | None = key(None, "Its process is as old as this", "none", effect="live")
    max_memory: Size | None = key(None, "Memory (PSS) of its processes; at the next quiet moment", "none", effect="live", ge=1 << 20)
    max_memory_hard: Size | None = key(None, "Memory (PSS) of its processes; at once", "none", effect="live", ge=1 << 20)
    max_messages: Count | None = key(None, "Messages that it has handled (native bots)", "none", effect="live", ge=1)
    within: Duration = key(300.0, "How long a quiet moment is waited for at the most", '"5m"', effect="live")
    jitter: Number = key(10.0, "Percent; it is drawn anew for each life of a bot", "10.0", effect="live", ge=0, le=50)
