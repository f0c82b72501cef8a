"""Every key of fleet.toml: kind, default, range, one line of help and effect. The reference page and the JSON Schema are made from this.

Scope settings ([global], [types.X], [bots.X]) are one model, read twice: each table by itself, then the merged result.
Only what was written counts in a merge, so the defaults stand here and nowhere else. No rule that looks outside one key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from processsupervisor.config.chattables import ChatTable, TelegramProxyTable
from processsupervisor.config.levels import LogLevels
from processsupervisor.config.tables import (
    DependencyTable,
    HealthTable,
    HooksTable,
    LimitsTable,
    LockTable,
    LoginBudgetTable,
    LogsTable,
    ReadyTable,
    RecycleTable,
    RestartTable,
    ScheduleTable,
    StopTable,
    Table,
    key,
)
from processsupervisor.config.values import (
    A_NAME,
    BUDGET,
    DEPENDENCIES,
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
    Networks,
    Number,
    Options,
    Paths,
    PathText,
    RunName,
    Size,
    SomeTime,
    TemplateVariable,
    Text,
    Umask,
    VariableName,
    VariableValue,
)

LISTEN_DEFAULT = "127.0.0.1:8450"


class FleetTable(Table):
    """The fleet as a whole."""

    name: FleetName = key(..., "Name of the fleet, shown everywhere", "required", effect="live")
    down_timeout: SomeTime = key(
        8.0, "`psv down`, SIGTERM and Ctrl-C: after this long whatever still runs is killed", '"8s"', effect="live"
    )
    log_total: Size = key(
        2 << 30, "Most disk space for the logs of all bots; the oldest closed segments go first", '"2GB"', effect="live", ge=1 << 20
    )
    disk_free_percent: Number = key(5.0, "Part of the disk that logs leave free", "5.0", effect="live", ge=0, le=90)
    release_watch: Duration = key(
        600.0, "A bot of a deploy that crash-loops so soon takes it back (`psv release`); 0 = never", '"10m"', effect="live"
    )
    hints: list[Text] = key([], "Lines that `psv up` prints when everything is ready", "[]", effect="live")
    watch: Flag = key(False, "Apply changed files of the configuration once they have been quiet for a moment", "false", effect="live")
    settle: Duration = key(
        10.0, "In a rollout the first bot of a type must be healthy for so long before others follow", '"10s"', effect="live"
    )


class WebTable(Table):
    """The page and the one listening port."""

    enabled: Flag = key(True, "Serve the page", "true if there is a table [web], else false", effect="live")
    listen: Listen = key(LISTEN_DEFAULT, "Address and port of the page; port 0 takes any free one", f'"{LISTEN_DEFAULT}"', effect="live")
    next_free: Flag = key(
        False, "When the port is taken, take a free one of the next 50 instead of going without a page", "false", effect="live"
    )


class ControlTable(Table):
    """Who may command the fleet."""

    group: Filled | None = key(
        None, "Members of this system group may command the fleet too (socket mode 0660)", "only the user who runs psv", effect="recreate"
    )


class ScopeTable(Table):
    """Settings that stand in [global], [types.X] or [bots.X]."""

    run: RunName | None = key(None, "A native bot: attribute of a module beside fleet.toml, imported after the fork", "-", effect="restart")
    script: PathText | None = key(None, "An unmodified Python program, forked from a zygote and run as `__main__`", "-", effect="restart")
    command: CommandLine | None = key(
        None, 'Any program, fork + exec; `"python"` is the interpreter that psv runs on', "-", effect="restart"
    )
    args: list[Text] = key(list, "Arguments of a script, or further ones of a command", "[]", effect="restart")
    python: PathText | None = key(
        None, "Interpreter, or the folder of a virtual environment, for a native bot or script", "psv's own", effect="restart"
    )
    source: Literal["folder", "releases"] = key(
        "folder", "Where its files come from: the fleet folder, or the release that was deployed last", '"folder"', effect="restart"
    )
    cwd: PathText | None = key(None, "Working folder", "the fleet folder", effect="restart")
    env: dict[VariableName, VariableValue] = key(
        dict,
        "Environment variables; merged, the bot's own win over its type's, those over [global]."
        " `env:NAME`, `file:path`, `cmd:program arg` and `secret:name` are read at the start; `literal:` before a text that only looks so",
        "{}",
        effect="restart",
    )
    env_file: Paths = key(
        list, "Files of NAME=value lines; weaker than `env`, a later file wins over an earlier one", "[]", effect="restart"
    )
    inherit: list[VariableName] = key(
        lambda: ["PATH", "HOME", "LANG", "TZ"],
        "Variables taken over from the environment of psv; weaker than `env_file`",
        '["PATH", "HOME", "LANG", "TZ"]',
        effect="restart",
    )
    preload: list[ModuleName] = key(
        list, "Libraries imported once, in the zygote; those that a script imports are found by themselves", "[]", effect="restart"
    )
    lock: list[LockTable] = key(
        list, 'What must not be used twice on this machine: `[{ env = "BOT_TOKEN" }, { file = "my.session" }]`', "[]", effect="restart"
    )
    ready: ReadyTable | None = key(
        None, "How a program becomes ready (native bots say it themselves)", '{ after = "1s" }', effect="restart"
    )
    start_timeout: SomeTime = key(60.0, "Time to become ready", '"60s"', effect="live")
    hang_after: HangTime = key(
        30.0,
        "A bot whose event loop does not turn for this long, or that is stopped (SIGSTOP), is dumped and replaced; 0 = never",
        '"30s"',
        effect="live",
    )
    health: HealthTable | None = key(None, "Whether it does its work", "ready is healthy", effect="restart")
    stop: StopTable = key(StopTable, "How it is asked to stop", "see below", effect="live")
    restart: RestartTable = key(RestartTable, "When it is started again", "see below", effect="live")
    schedule: ScheduleTable | None = key(None, "Makes it a task: it runs when its time comes, and ends", "-", effect="recreate")
    recycle: RecycleTable = key(RecycleTable, "When it is started anew although it runs well", "see below", effect="live")
    priority: Annotated[int, Label("whole number")] = key(
        0, "Who is started first when many wait: higher before lower, then in the order of the file", "0", effect="live", ge=-1000, le=1000
    )
    depends_on: Annotated[list[Annotated[DependencyTable, A_NAME]], *DEPENDENCIES] = key(
        list, "Bots that must be there before it is started", "[]", effect="live"
    )
    restart_with: list[Filled] = key(list, "Bots with which it is restarted, once they are ready again", "[]", effect="live")
    login_budget: Annotated[LoginBudgetTable | None, *BUDGET] = key(
        None,
        "Most starts in a time, counted for each `lock`",
        '{ count = 800, within = "24h" } for bots with a lock that import discord, else none',
        effect="live",
    )
    essential: Flag = key(False, "When it ends for good, the whole fleet ends, with a status other than 0", "false", effect="live")
    autostart: Flag = key(True, "Start it with the fleet until somebody says otherwise", "true", effect="live")
    user: Filled | None = key(None, "Run as this system user (psv must run as root)", "the user who runs psv", effect="recreate")
    umask: Umask | None = key(None, "File mode mask", "inherited", effect="restart")
    limits: LimitsTable = key(LimitsTable, "Limits", "see below", effect="restart")
    logs: LogsTable = key(LogsTable, "Log files", "see below", effect="restart")
    log_level: LogLevels = key(
        dict,
        'Least severe of its own log messages (native bots); of single loggers by `{ default = "info", "aiogram" = "warning" }`',
        '"info"',
        effect="live",
    )
    vars: dict[TemplateVariable, VariableValue] = key(
        dict, "What stands for `{NAME}` in the texts of a template of bots; merged like `env`", "{}", effect="live"
    )
    networks: Networks = key(
        dict,
        "The networks that a native bot is on besides the page, each with its settings: `networks.telegram = { token = \"secret:anna\" }`."
        " Merged like `env`; texts may refer as in `env`",
        "{}",
        effect="restart",
    )
    chat: ChatTable = key(ChatTable, "How a native bot holds its conversations", "see below", effect="restart")
    telegram_proxy: TelegramProxyTable | None = key(
        None, "A script or program gets a local Telegram Bot API in place of Telegram's, which loses nothing", "-", effect="restart"
    )
    hooks: HooksTable = key(HooksTable, "Commands run around the steps of the bot", "none", effect="live")
    options: Options = key(
        dict,
        "The bot's own settings, anything it likes; dates become texts. Merged like `env`; texts may refer as in `env`",
        "{}",
        effect="live",
    )


class TypeTable(ScopeTable):
    """A type of bots: the settings of a scope, and the type that it begins with."""

    extends: Filled | None = key(None, "The [types.X] whose settings it takes and says more to", "-", effect="live")


class BotTable(ScopeTable):
    """One bot: the settings of a scope, and the type it is of."""

    type: Filled | None = key(None, "The [types.X] whose settings it takes", "-", effect="live")
    count: Count | None = key(None, "So many bots are made of this table, whose name holds `{n}`", "-", effect="live", ge=1, le=10_000)
    first: Count = key(1, "The number of the first of them", "1", effect="live", ge=0, le=1_000_000)


SECTIONS: dict[str, type[Table]] = {"fleet": FleetTable, "web": WebTable, "control": ControlTable, "global": ScopeTable}
TOP_LEVEL = ("include", "fleet", "global", "types", "bots", "web", "control", "notify")
