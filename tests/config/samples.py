"""One sample of every key of fleet.toml: where it is written, a value that is not its default, and where that arrives.

A sample is (what else the table needs, the line with the key, {key of the spec: value}). Keys are written as people write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.schema import BotTable, ControlTable, FleetTable, WebTable
from processsupervisor.config.shape import table_of

SCRIPT = 'script = "main.py"\n'
NATIVE = 'run = "bots:helper"\n'
DAILY = 'schedule.cron = "0 4 * * *"\n'


class Sample(NamedTuple):
    """A key that changes, in a table that stands with `beside` before and after."""

    beside: str
    line: str
    arrives: dict[str, Any]


F = "FOLDER"
"""Stands for the fleet folder."""


def hook(name: str) -> Sample:
    return Sample(SCRIPT, f'hooks.{name} = ["./run.sh", "x"]', {f"hooks.{name}": {"command": [F + "/run.sh", "x"], "timeout_s": 10.0, "env": []}})


PROXY = 'telegram_proxy.token = "1:x"\n'
LOCK_ENV = 'env = { TOKEN = "1" }\n'
BOT_SAMPLES: dict[str, Sample] = {
    "run": Sample('run = "bots:bot"\n', NATIVE, {"run": "bots:helper"}),
    "script": Sample('script = "other.py"\n', SCRIPT, {"script": F + "/main.py"}),
    "command": Sample('command = ["sh"]\n', 'command = ["./run.sh", "x"]', {"command": [F + "/run.sh", "x"]}),
    "args": Sample(SCRIPT, 'args = ["-v"]', {"args": ["-v"]}),
    "source": Sample(SCRIPT, 'source = "releases"', {"source": "releases", "release": 1, "script": F + "/.psv/releases/1/files/main.py"}),
    "python": Sample(SCRIPT, 'python = "./run.sh"', {"python": F + "/run.sh"}),
    "cwd": Sample(SCRIPT, 'cwd = "sub"', {"cwd": F + "/sub"}),
    "env": Sample(SCRIPT, 'env = { A = "1", N = 5 }', {"env": {"A": "1", "N": "5"}}),
    "env_file": Sample(SCRIPT, 'env_file = ".env"', {"env_files": [F + "/.env"]}),
    "inherit": Sample(SCRIPT, 'inherit = ["PATH"]', {"inherit": ["PATH"]}),
    "preload": Sample(SCRIPT, 'preload = ["json"]', {"preload": ["json"]}),
    "lock": Sample(SCRIPT + LOCK_ENV, 'lock = [{ env = "TOKEN" }]', {"lock": [{"env": "TOKEN"}]}),
    "lock.env": Sample(SCRIPT + 'env = { TOKEN = "1", B = "2" }\n', 'lock = [{ env = "B" }]', {"lock": [{"env": "B"}]}),
    "lock.file": Sample(SCRIPT, 'lock = [{ file = "x.session" }]', {"lock": [{"file": F + "/x.session"}]}),
    "ready": Sample(SCRIPT, 'ready = { tcp = 80 }', {"ready": {"kind": "tcp", "value": 80}}),
    "ready.log": Sample(SCRIPT, "ready = { log = 'up' }", {"ready": {"kind": "log", "value": "up"}}),
    "ready.tcp": Sample(SCRIPT, "ready.tcp = 81", {"ready": {"kind": "tcp", "value": 81}}),
    "ready.http": Sample(SCRIPT, 'ready.http = "http://127.0.0.1:81/"', {"ready": {"kind": "http", "value": "http://127.0.0.1:81/"}}),
    "ready.after": Sample(SCRIPT, 'ready.after = "3s"', {"ready": {"kind": "after", "value": 3.0}}),
    "ready.notify": Sample(SCRIPT, "ready.notify = true", {"ready": {"kind": "notify", "value": None}}),
    "start_timeout": Sample(SCRIPT, 'start_timeout = "1m30s"', {"start_timeout_s": 90.0}),
    "hang_after": Sample(SCRIPT, "hang_after = 5", {"hang_after_s": 5.0}),
    "health": Sample(SCRIPT, "health = { tcp = 80 }", {"health.tcp": 80}),
    "health.http": Sample(SCRIPT, 'health.http = "http://127.0.0.1:1/"', {"health.http": "http://127.0.0.1:1/"}),
    "health.tcp": Sample(SCRIPT, "health.tcp = 90", {"health.tcp": 90}),
    "health.exec": Sample(SCRIPT, 'health.exec = ["./run.sh"]', {"health.exec": [F + "/run.sh"]}),
    "health.env": Sample(SCRIPT + LOCK_ENV + 'health.exec = ["./run.sh"]\n', 'health.env = ["TOKEN"]', {"health.env": ["TOKEN"]}),
    "health.log_silence": Sample(SCRIPT, 'health.log_silence = "10m"', {"health.log_silence_s": 600.0}),
    "health.every": Sample(SCRIPT + "health.tcp = 1\n", 'health.every = "40s"', {"health.every_s": 40.0}),
    "health.timeout": Sample(SCRIPT + "health.tcp = 1\n", 'health.timeout = "2s"', {"health.timeout_s": 2.0}),
    "health.fail_after": Sample(SCRIPT + "health.tcp = 1\n", "health.fail_after = 7", {"health.fail_after": 7}),
    "health.pass_after": Sample(SCRIPT + "health.tcp = 1\n", "health.pass_after = 7", {"health.pass_after": 7}),
    "health.grace": Sample(SCRIPT + "health.tcp = 1\n", 'health.grace = "250ms"', {"health.grace_s": 0.25}),
    "health.settle": Sample(SCRIPT + "health.tcp = 1\n", 'health.settle = "5s"', {"health.settle_s": 5.0}),
    "health.action": Sample(SCRIPT + "health.tcp = 1\n", 'health.action = "none"', {"health.action": "none"}),
    "health.connected_within": Sample(NATIVE + "health.tcp = 1\n", 'health.connected_within = "1h"', {"health.connected_within_s": 3600.0}),
    "stop": Sample(SCRIPT, 'stop = { timeout = "20s" }', {"stop.timeout_s": 20.0}),
    "stop.timeout": Sample(SCRIPT, "stop.timeout = 2.5", {"stop.timeout_s": 2.5}),
    "stop.signal": Sample(SCRIPT, 'stop.signal = "SIGINT"', {"stop.signal": "INT"}),
    "restart": Sample(SCRIPT, 'restart = { policy = "never" }', {"restart.policy": "never"}),
    "restart.policy": Sample(SCRIPT, 'restart.policy = "on-failure"', {"restart.policy": "on-failure"}),
    "restart.initial": Sample(SCRIPT, 'restart.initial = "1s"', {"restart.initial_s": 1.0}),
    "restart.base": Sample(SCRIPT, 'restart.base = "2s"', {"restart.base_s": 2.0}),
    "restart.factor": Sample(SCRIPT, "restart.factor = 3", {"restart.factor": 3.0}),
    "restart.max": Sample(SCRIPT, 'restart.max = "10m"', {"restart.max_s": 600.0}),
    "restart.stable_after": Sample(SCRIPT, 'restart.stable_after = "1d"', {"restart.stable_after_s": 86400.0}),
    "restart.window": Sample(SCRIPT, 'restart.window = []', {"restart.window": []}),
    "restart.window.count": Sample(
        SCRIPT + 'restart.window = [{ count = 4, within = "5m" }]\n', 'restart.window = [{ count = 3, within = "5m" }]', {"restart.window": [{"count": 3, "within_s": 300.0}]}
    ),
    "restart.window.within": Sample(
        SCRIPT + 'restart.window = [{ count = 3, within = "4m" }]\n', 'restart.window = [{ count = 3, within = "5m" }]', {"restart.window": [{"count": 3, "within_s": 300.0}]}
    ),
    "restart.retry_failed": Sample(SCRIPT, 'restart.retry_failed = "1h"', {"restart.retry_failed_s": 3600.0}),
    "schedule": Sample(SCRIPT, 'schedule = { cron = "0 4 * * *" }', {"schedule": {"cron": "0 4 * * *"}}),
    "schedule.cron": Sample(SCRIPT + DAILY, 'schedule.cron = "@daily"', {"schedule.cron": "@daily"}),
    "schedule.every": Sample(SCRIPT + "schedule.every = 5\n", 'schedule.every = "1h"', {"schedule.every_s": 3600.0}),
    "schedule.at": Sample(SCRIPT + "schedule.at = 2030-12-24T18:00:00\n", 'schedule.at = "2031-12-24T18:00:00"', {"schedule.at": ["2031-12-24T18:00:00"]}),
    "schedule.tz": Sample(SCRIPT + DAILY, 'schedule.tz = "UTC"', {"schedule.tz": "UTC"}),
    "schedule.missed": Sample(SCRIPT + DAILY, 'schedule.missed = "all"', {"schedule.missed": "all"}),
    "schedule.overlap": Sample(SCRIPT + DAILY, 'schedule.overlap = "kill"', {"schedule.overlap": "kill"}),
    "schedule.timeout": Sample(SCRIPT + DAILY, 'schedule.timeout = "2h"', {"schedule.timeout_s": 7200.0}),
    "schedule.jitter": Sample(SCRIPT + DAILY, 'schedule.jitter = "10s"', {"schedule.jitter_s": 10.0}),
    "schedule.keep": Sample(SCRIPT + DAILY, "schedule.keep = 9", {"schedule.keep": 9}),
    "recycle": Sample(SCRIPT, 'recycle = { max_age = "1d" }', {"recycle.max_age_s": 86400.0}),
    "recycle.max_age": Sample(SCRIPT, 'recycle.max_age = "2d"', {"recycle.max_age_s": 172800.0}),
    "recycle.max_memory": Sample(SCRIPT, 'recycle.max_memory = "256MB"', {"recycle.max_memory_bytes": 256 << 20}),
    "recycle.max_memory_hard": Sample(SCRIPT, 'recycle.max_memory_hard = "1.5 GiB"', {"recycle.max_memory_hard_bytes": 3 << 29}),
    "recycle.max_messages": Sample(NATIVE, "recycle.max_messages = 1000", {"recycle.max_messages": 1000}),
    "recycle.within": Sample(SCRIPT + 'recycle.max_age = "1d"\n', 'recycle.within = "1m"', {"recycle.within_s": 60.0}),
    "recycle.jitter": Sample(SCRIPT + 'recycle.max_age = "1d"\n', "recycle.jitter = 20", {"recycle.jitter": 0.2}),
    "priority": Sample(SCRIPT, "priority = -5", {"priority": -5}),
    "depends_on": Sample(SCRIPT, 'depends_on = ["db"]', {"depends_on": [{"bot": "db", "until": "ready"}]}),
    "depends_on.bot": Sample(SCRIPT + 'depends_on = []\n', 'depends_on = [{ bot = "db" }]', {"depends_on": [{"bot": "db", "until": "ready"}]}),
    "depends_on.until": Sample(SCRIPT + 'depends_on = ["db"]\n', 'depends_on = [{ bot = "db", until = "started" }]', {"depends_on": [{"bot": "db", "until": "started"}]}),
    "restart_with": Sample(SCRIPT, 'restart_with = ["db"]', {"restart_with": ["db"]}),
    "login_budget": Sample(SCRIPT, "login_budget = { count = 5 }", {"login_budget": {"count": 5, "within_s": 86400.0}}),
    "login_budget.count": Sample(SCRIPT + "login_budget.count = 5\n", "login_budget.count = 6", {"login_budget.count": 6}),
    "login_budget.within": Sample(SCRIPT + "login_budget.count = 5\n", 'login_budget.within = "1h"', {"login_budget.within_s": 3600.0}),
    "essential": Sample(SCRIPT, "essential = true", {"essential": True}),
    "autostart": Sample(SCRIPT, "autostart = false", {"autostart": False}),
    "user": Sample(SCRIPT, 'user = "nobody"', {"user": "nobody"}),
    "umask": Sample(SCRIPT, 'umask = "022"', {"umask": 0o022}),
    "limits": Sample(SCRIPT, "limits = { pids = 7 }", {"limits.pids": 7}),
    "limits.nofile": Sample(SCRIPT, "limits.nofile = 1000", {"limits.nofile": 1000}),
    "limits.nproc": Sample(SCRIPT, "limits.nproc = 1000", {"limits.nproc": 1000}),
    "limits.memory": Sample(SCRIPT, 'limits.memory = "1g"', {"limits.memory_bytes": 1 << 30}),
    "limits.pids": Sample(SCRIPT, "limits.pids = 8", {"limits.pids": 8}),
    "logs": Sample(SCRIPT, "logs = { keep = 2 }", {"logs.keep": 2}),
    "logs.max": Sample(SCRIPT, 'logs.max = "64 KB"', {"logs.max_bytes": 65536}),
    "logs.keep": Sample(SCRIPT, "logs.keep = 3", {"logs.keep": 3}),
    "log_level": Sample(NATIVE, 'log_level = { default = "debug", "aiogram.client" = "error" }', {"log_level": "debug", "log_levels": {"aiogram.client": "error"}}),
    "networks": Sample(NATIVE, 'networks = { telegram = { token = "1:x" } }', {"networks": {"telegram": {"token": "1:x"}}}),
    "chat": Sample(NATIVE, 'chat = { mode = "debounce" }', {"chat.mode": "debounce"}),
    "chat.mode": Sample(NATIVE, 'chat.mode = "interrupt"', {"chat.mode": "interrupt"}),
    "chat.debounce": Sample(NATIVE, 'chat.debounce = "500ms"', {"chat.debounce_s": 0.5}),
    "chat.at_once": Sample(NATIVE, "chat.at_once = 8", {"chat.at_once": 8}),
    "chat.deadline": Sample(NATIVE, 'chat.deadline = "2m"', {"chat.deadline_s": 120.0}),
    "chat.max_age": Sample(NATIVE, 'chat.max_age = "1h"', {"chat.max_age_s": 3600.0}),
    "chat.retries": Sample(NATIVE, "chat.retries = 0", {"chat.retries": 0}),
    "chat.replies": Sample(NATIVE, 'chat.replies = "at-most-once"', {"chat.replies": "at-most-once"}),
    "chat.groups": Sample(NATIVE, 'chat.groups = "all"', {"chat.groups": "all"}),
    "chat.typing": Sample(NATIVE, "chat.typing = false", {"chat.typing": False}),
    **{f"chat.{name}": Sample(NATIVE, f'chat.{name} = "Sorry."', {f"chat.{name}": "Sorry."}) for name in ("expired", "late", "failed", "unreadable")},
    "chat.max_file": Sample(NATIVE, 'chat.max_file = "1MB"', {"chat.max_file_bytes": 1 << 20}),
    "chat.max_contact": Sample(NATIVE, 'chat.max_contact = "2MB"', {"chat.max_contact_bytes": 2 << 20}),
    "chat.max_total": Sample(NATIVE, 'chat.max_total = "3MB"', {"chat.max_total_bytes": 3 << 20}),
    "telegram_proxy": Sample(SCRIPT, 'telegram_proxy = { token = "1:x" }', {"telegram_proxy.token": "1:x"}),
    "telegram_proxy.token": Sample(SCRIPT + 'telegram_proxy.token = "1:y"\n', 'telegram_proxy.token = "1:x"', {"telegram_proxy.token": "1:x"}),
    "telegram_proxy.env": Sample(SCRIPT + PROXY, 'telegram_proxy.env = "TOKEN"', {"telegram_proxy.env": "TOKEN"}),
    "telegram_proxy.url_env": Sample(SCRIPT + PROXY, 'telegram_proxy.url_env = "URL"', {"telegram_proxy.url_env": "URL"}),
    "telegram_proxy.url": Sample(SCRIPT + PROXY, 'telegram_proxy.url = "http://127.0.0.1:8081/"', {"telegram_proxy.url": "http://127.0.0.1:8081"}),
    "telegram_proxy.keep": Sample(SCRIPT + PROXY, 'telegram_proxy.keep = "1h"', {"telegram_proxy.keep_s": 3600.0}),
    "telegram_proxy.again": Sample(SCRIPT + PROXY, 'telegram_proxy.again = "1m"', {"telegram_proxy.again_s": 60.0}),
    "hooks": hook("after_exit"),
    **{f"hooks.{name}": hook(name) for name in ("before_start", "after_start", "after_ready", "before_stop", "after_stop", "after_exit", "after_config")},
    **{f"hooks.{name}": hook(name)._replace(beside=NATIVE) for name in ("before_pause", "after_pause", "before_resume", "after_resume")},
    "options": Sample(NATIVE, 'options = { greeting = "Ola", deep = { list = [1, 2.5, true] } }', {"options": {"greeting": "Ola", "deep": {"list": [1, 2.5, True]}}}),
    "type": Sample(SCRIPT, 'type = "helper"', {"type": "helper"}),
}
FLEET_SAMPLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "fleet.name": ("fleet", 'name = "other"', {"fleet.name": "other"}),
    "fleet.down_timeout": ("fleet", 'down_timeout = "20s"', {"fleet.down_timeout_s": 20.0}),
    "fleet.log_total": ("fleet", 'log_total = "1GB"', {"fleet.log_total_bytes": 1 << 30}),
    "fleet.disk_free_percent": ("fleet", "disk_free_percent = 7", {"fleet.disk_free_percent": 7.0}),
    "fleet.hints": ("fleet", 'hints = ["hi"]', {"fleet.hints": ["hi"]}),
    "fleet.watch": ("fleet", "watch = true", {"fleet.watch": True}),
    "fleet.release_watch": ("fleet", 'release_watch = "1h"', {"fleet.release_watch_s": 3600.0}),
    "fleet.settle": ("fleet", 'settle = "3s"', {"fleet.settle_s": 3.0}),
    "web.enabled": ("web", "enabled = false", {"web.enabled": False}),
    "web.listen": ("web", 'listen = "[::1]:99"', {"web.listen_host": "::1", "web.listen_port": 99}),
    "web.next_free": ("web", "next_free = true", {"web.next_free": True}),
    "control.group": ("control", 'group = "users"', {"fleet.control_group": "users"}),
}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every key of a table and of the tables in it, but not of a single hook: it is one value."""
    for name, info in model.model_fields.items():
        yield prefix + name
        inner = table_of(info.annotation)
        if inner is not None and not prefix.startswith("hooks."):
            yield from keys_of(inner, f"{prefix}{name}.")


TEMPLATE_KEYS = ("vars", "count", "first")
"""They say what bots are made, and arrive in what is made."""
BOT_KEYS = [key for key in keys_of(BotTable) if key not in TEMPLATE_KEYS]
TEMPLATE = """
[types.base]
script = "main.py"
preload = ["csv"]
[types.shop]
extends = "base"
[bots."shop-{n:02}"]
type = "shop"
count = 2
first = 7
vars = { city = "Oslo" }
args = ["{name}", "{city}"]
health = { tcp = "{n+8080}" }
start_timeout = "{n}s"
inherit = ["...", "TZ"]
lock = ["...", { file = "{name}.session" }]
preload = ["...", "json"]
"""
FLEET_KEYS = [*keys_of(FleetTable, "fleet."), *keys_of(WebTable, "web."), *keys_of(ControlTable, "control.")]
NOTIFY_KEYS = list(NotifyTable.model_fields)


def prepare(folder: Path) -> None:
    """Make the files that the samples name."""
    (folder / "sub").mkdir()
    (folder / ".env").write_text("A=1\n")
    code = folder / ".psv" / "releases" / "1" / "files"
    code.mkdir(parents=True)
    (code / "main.py").write_text("")
    (folder / ".psv" / "data").mkdir()
    (folder / ".psv" / "data" / "fleet.json").write_text('{"release": 1}')


def bot_file(sample: Sample, *, is_changed: bool) -> str:
    """Return a fleet.toml with and without the key of a sample; a line that repeats a key of `beside` takes its place."""
    lines = sample.beside.splitlines()
    if is_changed:
        key = sample.line.split("=")[0].strip()
        lines = [line for line in lines if line.split("=")[0].strip() != key]
        lines.append(sample.line)
    return "[types.helper]\n[bots.db]\nscript = 'main.py'\n[bots.a]\n" + "\n".join(lines) + "\n"
