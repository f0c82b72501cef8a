"""Every key of fleet.toml: kind, default, range and one line of help. The reference page is made from this.

Scope settings ([global], [types.X], [bots.X]) are one model, read twice: each table by itself, then the merged result.
Only what was written counts in a merge, so the defaults stand here and nowhere else. No rule that looks outside one key.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from processsupervisor.config.calendar import Cron, Interval, Moments, ZoneName
from processsupervisor.config.values import (
    BUDGET,
    DEPENDENCIES,
    HOOK,
    CommandLine,
    Count,
    Duration,
    Filled,
    Flag,
    FleetName,
    HangTime,
    Label,
    Listen,
    ModuleName,
    Number,
    Options,
    Paths,
    PathText,
    ProbeCommand,
    Regex,
    RunName,
    SignalName,
    Size,
    SlowTime,
    SomeTime,
    Text,
    Umask,
    Url,
    VariableName,
    VariableValue,
)

LISTEN_DEFAULT = "127.0.0.1:8450"


def key(default: Any, text: str, shown: str, **limits: float) -> Any:
    """Declare a key: its default, its help, and how the reference shows the default (TOML, or words)."""
    made = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**made, description=text, json_schema_extra={"shown": shown}, **limits)  # type: ignore[call-overload]


class Table(BaseModel):
    """Any table of the file: unknown keys are errors, texts are never taken for numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class FleetTable(Table):
    """The fleet as a whole."""

    name: FleetName = Field(description="Name of the fleet, shown everywhere", json_schema_extra={"shown": "required"})
    down_timeout: SomeTime = key(8.0, "`psv down`, SIGTERM and Ctrl-C: after this long whatever still runs is killed", '"8s"')
    log_total: Size = key(2 << 30, "Most disk space for the logs of all bots; the oldest closed segments go first", '"2GB"', ge=1 << 20)
    disk_free_percent: Number = key(5.0, "Part of the disk that logs leave free", "5.0", ge=0, le=90)
    hints: list[Text] = key([], "Lines that `psv up` prints when everything is ready", "[]")


class WebTable(Table):
    """The page and the one listening port."""

    enabled: Flag = key(True, "Serve the page", "true if there is a table [web], else false")
    listen: Listen = key(LISTEN_DEFAULT, "Address and port of the page; port 0 takes any free one", f'"{LISTEN_DEFAULT}"')
    next_free: Flag = key(False, "When the port is taken, take a free one of the next 50 instead of going without a page", "false")


class ControlTable(Table):
    """Who may command the fleet."""

    group: Filled | None = key(
        None, "Members of this system group may command the fleet too (socket mode 0660)", "only the user who runs psv"
    )


class LockTable(Table):
    """One thing that must not be used twice; exactly one key."""

    env: VariableName | None = key(None, "A network token: the value of this environment variable", "-")
    file: PathText | None = key(None, "A session file", "-")


class ReadyTable(Table):
    """How a program becomes ready; exactly one key."""

    log: Regex | None = key(None, "A line of its output matches", "-")
    tcp: Annotated[int, Label("port")] | None = key(None, "127.0.0.1 accepts connections on this port", "-", ge=1, le=65535)
    http: Url | None = key(None, "A GET of this address answers 2xx or 3xx", "-")
    after: Duration | None = key(None, "It has run for this long", '"1s"')
    notify: Literal[True] | None = key(None, "It says READY=1 by sd_notify (true is the only value)", "-")


class StopTable(Table):
    """How a bot is asked to stop."""

    timeout: Duration = key(10.0, "Time from the request to the kill of the whole process tree", '"10s"')
    signal: SignalName = key("TERM", "Signal sent to programs (native bots are asked over their link first)", '"TERM"')


class WindowTable(Table):
    """A limit of restarts."""

    count: Count = Field(description="At most this many restarts", json_schema_extra={"shown": "required"}, ge=1, le=10000)
    within: SomeTime = Field(description="in this time", json_schema_extra={"shown": "required"})


def _windows() -> list[WindowTable]:
    return [WindowTable(count=10, within=600.0), WindowTable(count=100, within=86400.0)]


class RestartTable(Table):
    """When and how fast a bot that ended is started again."""

    policy: Literal["always", "on-failure", "never"] = key("always", "Which ends are followed by a restart", '"always"')
    initial: Duration = key(0.0, "Delay of the first restart", '"0s"')
    base: Duration = key(1.0, "Longest delay of the second restart; delays are drawn at random below their limit", '"1s"')
    factor: Number = key(2.0, "The limit grows by this with each further restart", "2.0", ge=1, le=100)
    max: Duration = key(60.0, "The limit grows no further", '"60s"')
    stable_after: Duration = key(30.0, "After this long ready, delays begin anew", '"30s"')
    window: list[WindowTable] = key(
        _windows,
        "More restarts than this and the bot is FAILED (crash-loop)",
        '[{ count = 10, within = "10m" }, { count = 100, within = "24h" }]',
        max_length=10,
    )
    retry_failed: SomeTime = key(600.0, "A crash-looping bot is tried once each such time", '"10m"')


class DependencyTable(Table):
    """What a bot waits for before it is started."""

    bot: Filled = Field(description="The bot that must be there first", json_schema_extra={"shown": "required"})
    until: Literal["started", "ready", "healthy", "completed"] = key("ready", "How far it must have come", '"ready"')


class LoginBudgetTable(Table):
    """How often a bot may log in."""

    count: Count = Field(description="At most this many starts; 0 = no limit", json_schema_extra={"shown": "required"}, ge=0, le=100_000)
    within: SomeTime = key(86400.0, "in this time", '"24h"')


class HealthTable(Table):
    """How it is seen whether a bot that runs does its work, and what follows when it does not."""

    http: Url | None = key(None, "A GET of this address answers 2xx or 3xx", "-")
    tcp: Annotated[int, Label("port")] | None = key(None, "127.0.0.1 accepts connections on this port", "-", ge=1, le=65535)
    exec: ProbeCommand | None = key(None, "This command, run as the bot, ends with 0; `./` is beside fleet.toml", "-")
    env: list[VariableName] = key(list, "Variables of the bot (`env`, `env_file`) that `exec` sees too", "[]")
    log_silence: SlowTime | None = key(None, "Nothing on stdout and stderr for so long is a failure", "-")
    every: SlowTime = key(10.0, "Time from one probe to the next", '"10s"')
    timeout: SomeTime | None = key(None, "Time for one probe; less than `every`", '`"5s"`, at most half of `every`')
    fail_after: Count = key(3, "So many failures in a row, and the bot is unhealthy", "3", ge=1, le=1000)
    pass_after: Count = key(1, "So many successes in a row, and the probe counts as passed", "1", ge=1, le=1000)
    grace: Duration = key(0.0, "Time after ready in which nothing is probed", '"0s"')
    settle: Duration = key(0.0, "Every check must have passed for so long before the bot is healthy", '"0s"')
    action: Literal["restart", "none"] = key("restart", "What follows when a check has failed; `none`: it is only shown", '"restart"')
    connected_within: SlowTime = key(120.0, "A native bot is connected while the last proof from its network is younger", '"2m"')


class LimitsTable(Table):
    """Limits of one bot; without a key the limit of psv itself is inherited."""

    nofile: Count | None = key(None, "Open files (RLIMIT_NOFILE)", "inherited", ge=16, le=1 << 30)
    nproc: Count | None = key(None, "Processes of its user (RLIMIT_NPROC)", "inherited", ge=1, le=1 << 30)
    memory: Size | None = key(None, "Memory of its process tree (cgroup memory.max; needs cgroups)", "none", ge=1 << 20)
    pids: Count = key(1024, "Processes and threads of its tree (pids.max, where cgroups have a pids controller)", "1024", ge=1, le=1 << 22)


class LogsTable(Table):
    """Log files of one bot, for each of stdout and stderr."""

    max: Size = key(10 << 20, "A segment is closed and compressed at this size", '"10MB"', ge=4096, le=1 << 40)
    keep: Count = key(5, "Segments kept, the active one included", "5", ge=1, le=1000)


class HookTable(Table):
    """One hook; a list stands for its command."""

    command: CommandLine = Field(description="The command; `./` is beside fleet.toml", json_schema_extra={"shown": "required"})
    timeout: SomeTime = key(10.0, "After this long its whole process tree is killed", '"10s"')
    env: list[VariableName] = key(list, "Variables of the bot (`env`, `env_file`) that it sees too", "[]")


Hook = Annotated[HookTable | None, *HOOK]


class HooksTable(Table):
    """Commands run around the steps of a bot."""

    before_start: Hook = key(None, "Before each start; one that fails or takes too long is a failed start", "-")
    after_start: Hook = key(None, "The process was started", "-")
    after_ready: Hook = key(None, "The bot is ready", "-")
    before_stop: Hook = key(None, "Before a stop that was asked for; takes at most half of `stop.timeout`", "-")
    after_stop: Hook = key(None, "The bot has ended as asked", "-")
    after_exit: Hook = key(None, "The process has ended, for whatever reason", "-")
    before_pause: Hook = key(None, "Before a native bot is asked to pause; at most 5 s", "-")
    after_pause: Hook = key(None, "It has paused", "-")
    before_resume: Hook = key(None, "Before it is asked to go on; at most 5 s", "-")
    after_resume: Hook = key(None, "It goes on", "-")
    after_config: Hook = key(None, "`psv up` applied other settings of this bot than those before", "-")


class ScheduleTable(Table):
    """When a task runs; exactly one of cron, every and at."""

    cron: Cron | None = key(None, "Five fields: minute, hour, day of the month, month, day of the week; or `@daily` and the like", "-")
    every: Interval | None = key(None, "So often, counted from when the task was first scheduled", "-")
    at: Moments | None = key(None, "At this time, or at each of these", "-")
    tz: ZoneName | None = key(None, "Time zone of `cron` and `at`", "that of the machine")
    missed: Literal["skip", "once", "all"] = key(
        "once", "What follows when its time came while the fleet was down: nothing, one run, or a run for each (at most 100)", '"once"'
    )
    overlap: Literal["skip", "queue", "kill"] = key(
        "skip", "When its time comes while it runs: leave that run out, do it afterwards, or stop the one that runs", '"skip"'
    )
    timeout: SomeTime | None = key(None, "A run that takes longer is stopped, reason `timeout`", "none")
    jitter: Duration = key(0.0, "Each run begins up to this much later, at random, and before the next is due", '"0s"')
    keep: Count = key(100, "Results of so many runs are kept", "100", ge=1, le=10000)


class RecycleTable(Table):
    """When a bot that runs well is started anew; each limit is taken up to `jitter` percent earlier."""

    max_age: SomeTime | None = key(None, "Its process is as old as this", "none")
    max_memory: Size | None = key(None, "Memory (PSS) of its processes; at the next quiet moment", "none", ge=1 << 20)
    max_memory_hard: Size | None = key(None, "Memory (PSS) of its processes; at once", "none", ge=1 << 20)
    max_messages: Count | None = key(None, "Messages that it has handled (native bots)", "none", ge=1)
    within: Duration = key(300.0, "How long a quiet moment is waited for at the most", '"5m"')
    jitter: Number = key(10.0, "Percent; it is drawn anew for each life of a bot", "10.0", ge=0, le=50)


class ScopeTable(Table):
    """Settings that stand in [global], [types.X] or [bots.X]."""

    run: RunName | None = key(None, "A native bot: attribute of a module beside fleet.toml, imported after the fork", "-")
    script: PathText | None = key(None, "An unmodified Python program, forked from a zygote and run as `__main__`", "-")
    command: CommandLine | None = key(None, 'Any program, fork + exec; `"python"` is the interpreter that psv runs on', "-")
    args: list[Text] = key(list, "Arguments of a script, or further ones of a command", "[]")
    python: PathText | None = key(None, "Interpreter, or the folder of a virtual environment, for a native bot or script", "psv's own")
    cwd: PathText | None = key(None, "Working folder", "the fleet folder")
    env: dict[VariableName, VariableValue] = key(
        dict,
        "Environment variables; merged, the bot's own win over its type's, those over [global]."
        " `env:NAME`, `file:path`, `cmd:program arg` and `secret:name` are read at the start; `literal:` before a text that only looks so",
        "{}",
    )
    env_file: Paths = key(list, "Files of NAME=value lines; weaker than `env`, a later file wins over an earlier one", "[]")
    inherit: list[VariableName] = key(
        lambda: ["PATH", "HOME", "LANG", "TZ"],
        "Variables taken over from the environment of psv; weaker than `env_file`",
        '["PATH", "HOME", "LANG", "TZ"]',
    )
    preload: list[ModuleName] = key(
        list, "Libraries imported once, in the zygote; those that a script imports are found by themselves", "[]"
    )
    lock: list[LockTable] = key(
        list, 'What must not be used twice on this machine: `[{ env = "BOT_TOKEN" }, { file = "my.session" }]`', "[]"
    )
    ready: ReadyTable | None = key(None, "How a program becomes ready (native bots say it themselves)", '{ after = "1s" }')
    start_timeout: SomeTime = key(60.0, "Time to become ready", '"60s"')
    hang_after: HangTime = key(
        30.0, "A bot whose event loop does not turn for this long, or that is stopped (SIGSTOP), is dumped and replaced; 0 = never", '"30s"'
    )
    health: HealthTable | None = key(None, "Whether it does its work", "ready is healthy")
    stop: StopTable = key(StopTable, "How it is asked to stop", "see below")
    restart: RestartTable = key(RestartTable, "When it is started again", "see below")
    schedule: ScheduleTable | None = key(None, "Makes it a task: it runs when its time comes, and ends", "-")
    recycle: RecycleTable = key(RecycleTable, "When it is started anew although it runs well", "see below")
    priority: Annotated[int, Label("whole number")] = key(
        0, "Who is started first when many wait: higher before lower, then in the order of the file", "0", ge=-1000, le=1000
    )
    depends_on: Annotated[list[DependencyTable], *DEPENDENCIES] = key(list, "Bots that must be there before it is started", "[]")
    restart_with: list[Filled] = key(list, "Bots with which it is restarted, once they are ready again", "[]")
    login_budget: Annotated[LoginBudgetTable | None, *BUDGET] = key(
        None,
        "Most starts in a time, counted for each `lock`",
        '{ count = 800, within = "24h" } for bots with a lock that import discord, else none',
    )
    essential: Flag = key(False, "When it ends for good, the whole fleet ends, with a status other than 0", "false")
    autostart: Flag = key(True, "Start it with the fleet until somebody says otherwise", "true")
    user: Filled | None = key(None, "Run as this system user (psv must run as root)", "the user who runs psv")
    umask: Umask | None = key(None, "File mode mask", "inherited")
    limits: LimitsTable = key(LimitsTable, "Limits", "see below")
    logs: LogsTable = key(LogsTable, "Log files", "see below")
    log_level: Literal["debug", "info", "warning", "error"] = key("info", "Least severe of its own log messages (native bots)", '"info"')
    hooks: HooksTable = key(HooksTable, "Commands run around the steps of the bot", "none")
    options: Options = key(
        dict, "The bot's own settings, anything it likes; dates become texts. Merged like `env`; texts may refer as in `env`", "{}"
    )


class BotTable(ScopeTable):
    """One bot: the settings of a scope, and the type it is of."""

    type: Filled | None = key(None, "The [types.X] whose settings it takes", "-")


SECTIONS: dict[str, type[Table]] = {"fleet": FleetTable, "web": WebTable, "control": ControlTable, "global": ScopeTable}
TOP_LEVEL = ("fleet", "global", "types", "bots", "web", "control", "notify")
