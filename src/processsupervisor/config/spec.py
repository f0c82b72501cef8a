"""The settings of a fleet and of each bot after merging, as plain JSON shapes: what config writes and everyone else reads.

Standard library only: psvd, keeper and zygotes read these without pydantic. Every key is always present; durations are
seconds, sizes bytes, paths absolute.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

APPLIED_VERSION = 1

Kind = Literal["native", "script", "command"]
ReadyKind = Literal["said", "log", "tcp", "http", "after", "notify"]
Policy = Literal["always", "on-failure", "never"]
LogLevel = Literal["debug", "info", "warning", "error"]
Until = Literal["started", "ready", "healthy", "completed"]
Effect = Literal["live", "restart", "recreate"]
"""What a changed key asks for: nothing of the bot's process, a restart, or a stop and a start as if it were new."""


class ReadySpec(TypedDict):
    """How a bot becomes ready; `value`: regex, URL (str), port (int), seconds (float), None for said and notify."""

    kind: ReadyKind
    value: str | int | float | None


class StopSpec(TypedDict):
    """The polite part of the stop ladder; `signal` without SIG."""

    timeout_s: float
    signal: str


class WindowSpec(TypedDict):
    """At most `count` restarts within `within_s`."""

    count: int
    within_s: float


class RestartSpec(TypedDict):
    """Restart policy; the arithmetic is kernel.backoff."""

    policy: Policy
    initial_s: float
    base_s: float
    factor: float
    max_s: float
    stable_after_s: float
    window: list[WindowSpec]
    retry_failed_s: float


class DependencySpec(TypedDict):
    """What a bot waits for before it is started: another bot, and how far it must have come."""

    bot: str
    until: Until


class BudgetSpec(TypedDict):
    """At most `count` starts within `within_s`."""

    count: int
    within_s: float


class HealthSpec(TypedDict):
    """Checks of a bot that runs, None for those it has not; `env` names the bot's own variables that `exec` sees."""

    http: str | None
    tcp: int | None
    exec: list[str] | None
    env: list[str]
    log_silence_s: float | None
    every_s: float
    timeout_s: float
    fail_after: int
    pass_after: int
    grace_s: float
    settle_s: float
    action: Literal["restart", "none"]
    connected_within_s: float


class LimitsSpec(TypedDict):
    """Limits of one bot; None = as inherited."""

    nofile: int | None
    nproc: int | None
    memory_bytes: int | None
    pids: int


class LogsSpec(TypedDict):
    """Size of one log segment and how many are kept."""

    max_bytes: int
    keep: int


class HookSpec(TypedDict):
    """A command of the operator; `env` names the bot's own variables that it sees."""

    command: list[str]
    timeout_s: float
    env: list[str]


class ScheduleSpec(TypedDict):
    """When a task runs: exactly one of `cron`, `every_s`, `at` (ISO 8601) is set. `tz` None = the machine's zone."""

    cron: str | None
    every_s: float | None
    at: list[str] | None
    tz: str | None
    missed: Literal["skip", "once", "all"]
    overlap: Literal["skip", "queue", "kill"]
    timeout_s: float | None
    jitter_s: float
    keep: int


class RecycleSpec(TypedDict):
    """Limits at which a bot is started anew; None = no limit. `jitter` is a fraction."""

    max_age_s: float | None
    max_memory_bytes: int | None
    max_memory_hard_bytes: int | None
    max_messages: int | None
    within_s: float
    jitter: float


class ChatSpec(TypedDict):
    """How a native bot holds its conversations; None = the built-in sentence, no limit."""

    mode: Literal["queue", "debounce", "interrupt"]
    debounce_s: float
    at_once: int
    deadline_s: float
    max_age_s: float | None
    retries: int
    replies: Literal["at-least-once", "at-most-once"]
    groups: Literal["addressed", "all"]
    typing: bool
    expired: str | None
    late: str | None
    failed: str | None
    unreadable: str | None
    max_file_bytes: int
    max_contact_bytes: int
    max_total_bytes: int


class TelegramProxySpec(TypedDict):
    """A local Bot API for an unmodified bot: whose `token` it stands for, and the variables in which the bot is told."""

    token: str
    env: str
    url_env: str
    url: str
    keep_s: float
    again_s: NotRequired[float]


class BotSpec(TypedDict):
    """Everything that a start of one bot needs.

    Exactly one of `run`, `script`, `command` is set unless `error` is. `name` may break BOT_NAME_PATTERN, with `error`
    set: never build a path from it before the pattern was checked. `home` is the folder of fleet.toml where the fleet has another one
    (psv dev). `lock` holds `{"env": NAME}` and `{"file": path}`.
    `error` is one line; `error_rechecks` says that all of it lies outside fleet.toml (a missing file), so that
    rules.recheck may clear it at the next start.
    """

    name: str
    type: str | None
    template: NotRequired[str | None]
    source: NotRequired[Literal["folder", "releases"]]
    release: NotRequired[int | None]
    home: NotRequired[str]
    kind: Kind
    run: str | None
    script: str | None
    command: list[str] | None
    args: list[str]
    python: str | None
    cwd: str
    env: dict[str, str]
    env_files: list[str]
    inherit: list[str]
    preload: list[str]
    lock: list[dict[str, str]]
    ready: ReadySpec
    start_timeout_s: float
    hang_after_s: float
    health: HealthSpec | None
    stop: StopSpec
    restart: RestartSpec
    schedule: ScheduleSpec | None
    recycle: RecycleSpec
    priority: int
    depends_on: list[DependencySpec]
    restart_with: list[str]
    login_budget: BudgetSpec | None
    essential: bool
    autostart: bool
    user: str | None
    umask: int | None
    limits: LimitsSpec
    logs: LogsSpec
    stdin: Literal["null"]
    log_level: LogLevel
    log_levels: NotRequired[dict[str, str]]
    networks: NotRequired[dict[str, object]]
    chat: NotRequired[ChatSpec]
    telegram_proxy: NotRequired[TelegramProxySpec | None]
    hooks: dict[str, HookSpec]
    options: dict[str, object]
    error: str | None
    error_rechecks: bool
    is_elsewhere: bool
    """`error` says that the program runs under something else; set by `psv up`."""


class FleetSpec(TypedDict):
    """Settings of the fleet as a whole; what is not required an older psv did not write."""

    name: str
    down_timeout_s: float
    log_total_bytes: int
    disk_free_percent: float
    control_group: str | None
    release_watch_s: NotRequired[float]
    hints: list[str]
    watch: NotRequired[bool]
    settle_s: NotRequired[float]


class WebSpec(TypedDict):
    """Settings of the page; port 0 = any free one."""

    enabled: bool
    listen_host: str
    listen_port: int
    next_free: bool


NOTICE_WORDS = ("text", "title", "cause", "bot", "fleet", "host", "id")
"""What a webhook's template may name."""


class NotifySpec(TypedDict):
    """One channel that is told of trouble: [notify.NAME]. What is not of its kind `to` is None or empty."""

    name: str
    to: Literal["webhook", "telegram", "email", "command"]
    on: list[str]
    url: str | None
    url_env: str | None
    template: str | None
    token_env: str | None
    chat: str | None
    api: str
    server: str | None
    sender: str | None
    address: list[str]
    tls: Literal["starttls", "tls", "none"]
    user_env: str | None
    password_env: str | None
    command: list[str] | None
    env_files: list[str]
    timeout_s: float
    away_s: float
    heartbeat: str | None
    heartbeat_every_s: float
    repeat_s: float


class ProblemSpec(TypedDict):
    """One problem of a configuration as `psv check --json` prints it."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str


class SourceFile(TypedDict):
    """One file of the configuration: its path from the fleet folder, and the SHA-256 of its bytes."""

    path: str
    digest: str


class RuntimeValue(TypedDict):
    """A value set by command, stronger than every file. `name` is the type or bot, "" for global; `until` wall time, None = for good."""

    scope: Literal["global", "types", "bots"]
    name: str
    key: list[str]
    value: object
    author: str
    reason: str
    at: float
    until: float | None


class Change(TypedDict):
    """Who applied a configuration, and why."""

    author: str
    reason: str


class Applied(TypedDict):
    """The content of .psv/data/fleet.json; `source_digest` is of all files that it came from.

    What is not required is not there in what an older psv applied. `files` are in reading order, fleet.toml first; `includes` are the
    globs that named the others; `effects` say of each key of a BotSpec ("env", "restart.max_s") what a change of it asks for; `release`
    is the number that bots with `source = "releases"` run from; `number` is that of the version, given by psvd.
    """

    version: int
    fleet: FleetSpec
    web: WebSpec
    bots: list[BotSpec]
    notify: NotRequired[list[NotifySpec]]
    problems: list[ProblemSpec]
    source_digest: str
    files: NotRequired[list[SourceFile]]
    includes: NotRequired[list[str]]
    runtime: NotRequired[list[RuntimeValue]]
    effects: NotRequired[dict[str, Effect]]
    release: NotRequired[int | None]
    change: NotRequired[Change]
    number: NotRequired[int]
