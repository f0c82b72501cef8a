"""The reference page of fleet.toml, made from the schema: `python -m processsupervisor.config.reference [--check FILE]`.

Nothing of the page is written by hand elsewhere; a test compares the committed page with what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from processsupervisor.config.chattables import ChatTable, TelegramProxyTable
from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.schema import BotTable, ControlTable, FleetTable, ScopeTable, TypeTable, WebTable
from processsupervisor.config.shape import table_of
from processsupervisor.config.tables import (
    DependencyTable,
    HealthTable,
    HooksTable,
    HookTable,
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
    WindowTable,
)
from processsupervisor.config.values import Label
from processsupervisor.kernel.paths import BOT_NAME_PATTERN
from processsupervisor.kernel.units import parse_size

_INTRO = f"""# fleet.toml

Every key of fleet.toml with its type, default and meaning, and what a change of it asks of a bot that runs. This page is generated
from the schema by `python -m processsupervisor.config.reference`; do not edit it by hand. `psv config schema` prints the same for
[editors](../howto/settings-and-tokens.md#an-editor-that-knows-the-keys).

```toml
[fleet]
name = "demo"

[global]                             # first scope; types and bots inherit
stop = {{ timeout = "10s" }}

[types.helper]                       # what several bots share
run = "bots:helper"

[bots.alice]                         # a bot
type = "helper"
```

## How the file is read

- It is TOML 1.0 in UTF-8; a byte order mark and CRLF line ends are accepted. Only `fleet.name` has no default.
- `include = ["bots.d/*.toml"]` before the first table reads further files; see [Many bots alike](../howto/scopes.md).
- Unknown keys are errors. `psv check` names every problem of all files at once, each with `file:line:column`.
- A mistake outside `[bots.X]` and nothing starts. A mistake inside one `[bots.X]`, or a file that its settings name and that is
  not there, and that bot alone is FAILED with reason `config`; the others run.
- Names of bots and types match `{BOT_NAME_PATTERN}`.
- A **duration** is a text such as `"250ms"`, `"30s"`, `"10m"`, `"1h30m"`, `"2d"`, or a number of seconds. A **size** is a text such as
  `"256MB"`, `"2GB"` (powers of 1024), or a number of bytes. A **path** is relative to the folder of fleet.toml; `~` is the home folder.
  Nothing else is expanded, but in templates of bots.

## Scopes

What holds for a bot comes from `[global]`, then its type (what that extends first), then the bot itself. Tables (`env`, `options`,
`vars`, `networks`, `chat`, `health`, `stop`, `restart`, `limits`, `logs`, `log_level`, `hooks`, `recycle`, `telegram_proxy`) are merged
key by key; lists and everything else replace what an outer scope says. The text `"..."` as an element of a list stands for what the outer
scopes say there. Three choices are replaced as a whole: `ready`, `schedule`, and the program (`run`, `script` or `command`, together with
`args`). A bot must end up with exactly one program. `ready` in `[global]` holds for programs and is passed over for native bots; a type
or bot that has both `run` and `ready` is an error. A bot with a `schedule` is a task; what [global] says of `ready`, `restart`, `recycle`
and `essential` is passed over for it. A text as `log_level` is the level of its `default`: it leaves the loggers that outer scopes name
as they are.

An environment variable is taken from the strongest place that has it: `env` of the bot, `env` of its type, `env` of `[global]`,
`env_file`, the variables named by `inherit`.
"""

_EFFECTS = """
## What a change asks for

The column *a change* says what a changed key asks of a bot that runs:

- **live**: psvd or the bot takes it over; no process is started anew. Deadlines and limits count from when they are next looked at.
  `options` are live for a native bot with a handler [`@bot.on_config_change`](bots.md), any other is restarted; `log_level` is live for
  every native bot, programs have none. In `[web]` and `[notify.X]` the page or the notifier is started anew; bots do not notice.
- **restart**: the bot is restarted, in a rollout of all bots that changed.
- **recreate**: the bot is stopped for good, its counters are forgotten, and it is begun as if it were new; its data and logs stay. For keys
  of the fleet: it holds from the next `psv up` after a `psv down`.

| effect | keys |
|---|---|
"""

_REASONS = """
Why these, where it is not plain:

- `run`, `script`, `command`, `args`, `python`, `source`, `cwd`, `env`, `env_file`, `inherit`, `umask`, `limits`, `preload`: a process is
  born with them. Another kind of program (`script` in place of `run`) is **recreate**: it has other checks, another link and another chat.
- `lock`: a process takes its locks before it does anything else, and holds them for life.
- `ready`: only a start shows whether it is right.
- `health.http`, `tcp`, `exec`, `env`, `log_silence`: psvd could ask otherwise at once, and a wrong check would end every bot that has it.
  So the first bot of each type tries it in a rollout, before it is the others' turn. How often and how patiently is asked is live.
- `logs`: logd is told of them with the pipes of a start.
- `user`: what the process of one user leaves (sockets, files) is not the other's to go on with.
- `schedule`, added or taken away: a bot is to be up, a task ends; what is wanted and what was counted mean something else. Inside a
  schedule every key is live: the next time is reckoned anew.
- `type`, `extends`, `vars`, `count`, `first` and `include` ask for nothing by themselves. What follows from them does: bots that come or
  go, and keys that get other values.
- `control.group`: the keeper made its sockets for that group. What else the keeper knows is live but for this: SIGTERM and Ctrl-C, which it
  hears, keep to the `fleet.down_timeout` of the last `psv up` (`psv down` does not), and `psv fleets` shows the name of then.
"""

_SECTIONS: tuple[tuple[str, type[Table], str], ...] = (
    ("[fleet]", FleetTable, "The fleet as a whole."),
    (
        "[web]",
        WebTable,
        "The page and the one listening port. An address other than loopback gets a warning: whoever reaches it uses every bot.",
    ),
    ("[control]", ControlTable, "Who may command the fleet."),
    ("[global], [types.X], [bots.X]", ScopeTable, "Settings of bots, in any scope."),
    ("[types.X] only", TypeTable, ""),
    ("[bots.X] only", BotTable, "`count` and `first` make the table a template: [Many bots alike](../howto/scopes.md)."),
    ("ready", ReadyTable, "Exactly one of these."),
    ("health", HealthTable, "Each check that is given must pass; see [health](../howto/health.md)."),
    ("stop", StopTable, ""),
    (
        "restart",
        RestartTable,
        "The first restart waits `initial`; the n-th further one a random time up to `base × factor^(n-1)`, at most `max`. "
        "Windows do not forget when a bot was stable.",
    ),
    ("restart.window[]", WindowTable, "A bot is failed when any one of the windows is full."),
    ("depends_on[]", DependencyTable, 'A text instead of a table is the name of the bot: `"db"` is `{ bot = "db" }`.'),
    (
        "login_budget",
        LoginBudgetTable,
        'At the limit the bot is FAILED with reason `budget` until the next start is due. `"off"` takes a default away.',
    ),
    (
        "schedule",
        ScheduleTable,
        "Exactly one of `cron`, `every` and `at`. A time that does not exist (spring) is taken right after the gap; one that comes twice "
        "(autumn) counts once, unless the hour of `cron` begins with `*`: then both. See [Run something by the clock](../howto/tasks.md).",
    ),
    (
        "recycle",
        RecycleTable,
        "One bot of a type at a time, never during a rollout. See [Start bots anew](../howto/recycling.md).",
    ),
    (
        "lock[]",
        LockTable,
        "Exactly one of these in each entry. The second user of the same lock, in whichever fleet of this machine user, stays `lock-held`.",
    ),
    ("limits", LimitsTable, ""),
    ("logs", LogsTable, ""),
    (
        "hooks",
        HooksTable,
        'Each is a command as a list (`["./notify.sh"]`) or a table; see [hooks](../howto/hooks.md).',
    ),
    ("hooks.*", HookTable, ""),
    ("chat", ChatTable, "How conversations go, see [Conversations](../howto/conversations.md)."),
    (
        "telegram_proxy",
        TelegramProxyTable,
        "For `script` and `command`; see [Put a proxy before an unmodified bot](../howto/telegram-proxy.md).",
    ),
    (
        "[notify.NAME]",
        NotifyTable,
        "A channel that is told of trouble; any number of them. Each kind has keys of its own: [Be told of trouble](../howto/notify.md).",
    ),
)

_ENV_FILE = """
## Files named by env_file

One `NAME=value` a line, in UTF-8. `export` in front is passed over, empty lines and lines beginning with `#` too; so is
everything from a `#` after white space on. A value in single quotes stands as it is; in double quotes `\\n`, `\\t`, `\\r`, `\\"`,
`\\\\` and `\\$` are escapes; both may span lines. Of a name given twice the last one counts.
No shell reads the file: `$HOME` or `` `date` `` stay as they are written.
"""


def page() -> str:
    """Return the whole page."""
    parts = [_INTRO, _EFFECTS, *(f"| {effect} | {keys} |\n" for effect, keys in _by_effect().items()), _REASONS]
    for title, table, text in _SECTIONS:
        parts.append(f"\n## {title}\n\n" + (f"{text}\n\n" if text else "") + "\n".join(_rows(table)) + "\n")
    return "".join(parts) + _ENV_FILE


def _rows(table: type[Table]) -> Iterator[str]:
    yield "| key | type | default | a change | meaning |"
    yield "|---|---|---|---|---|"
    inherited = ScopeTable.model_fields if table in (BotTable, TypeTable) else {}
    for name, info in table.model_fields.items():
        if name not in inherited:
            cells = (f"`{name}`", _kind(info) + _range(info), _default(info), _effect(info), info.description or "")
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _by_effect() -> dict[str, str]:
    """Return the keys of each effect, as words; a table whose keys all have the same one stands for them."""
    found: dict[str, list[str]] = {"live": [], "restart": [], "recreate": []}
    _sort_in(found, FleetTable, "fleet.")
    _sort_in(found, WebTable, "web.")
    _sort_in(found, ControlTable, "control.")
    _sort_in(found, NotifyTable, "notify.X.")
    _sort_in(found, BotTable, "")
    return {effect: ", ".join(keys) for effect, keys in found.items()}


def _sort_in(found: dict[str, list[str]], table: type[Table], prefix: str) -> None:
    effects = {name: _effect(info) for name, info in table.model_fields.items()}
    if prefix and len(set(effects.values())) == 1:
        found[next(iter(effects.values()))].append(f"`{prefix}{'*' if len(effects) > 1 else next(iter(effects))}`")
        return
    for name, info in table.model_fields.items():
        inner = table_of(info.annotation)
        if inner is None or get_origin(info.annotation) is list or name in ("ready", "login_budget"):
            found[effects[name]].append(f"`{prefix}{name}`")
        else:
            if effects[name] not in {_effect(field) for field in inner.model_fields.values()}:
                found[effects[name]].append(f"`{prefix}{name}` as a whole")
            _sort_in(found, inner, f"{prefix}{name}.")


def _effect(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    return str(extra["effect"]) if isinstance(extra, dict) else ""


def _kind(info: FieldInfo) -> str:
    labels = [part.text for part in info.metadata if isinstance(part, Label)]
    return labels[0] if labels else _words(info.annotation)


def _words(annotation: object) -> str:
    """Return the words for an annotation whose label pydantic left inside (unions, lists, dicts)."""
    inner = [argument for argument in get_args(annotation) if argument is not type(None)]
    origin = get_origin(annotation)
    if labels := [part.text for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Label)]:
        return labels[0]
    if origin is Literal:
        return " or ".join("true" if value is True else f'`"{value}"`' for value in inner)
    if table_of(annotation):
        return "list of tables" if origin is list else "table"
    if origin in (Union, UnionType):
        return _words(inner[0])
    if origin is list:
        return f"list of {_words(inner[0])}s"
    if origin is dict:
        return f"table of {_words(inner[-1])}s"
    raise AssertionError(f"no words for {annotation!r}")


def _range(info: FieldInfo) -> str:
    limits: dict[str, object] = {}
    for part in info.metadata:
        limits.update({name: getattr(part, name) for name in ("ge", "le", "max_length") if hasattr(part, name)})
    is_size = _kind(info) == "size"
    least, most = (_size(limits[name]) if is_size and name in limits else limits.get(name) for name in ("ge", "le"))
    if "ge" in limits and "le" in limits:
        return f", {least} to {most}"
    if "ge" in limits:
        return f", at least {least}"
    return f", at most {limits['max_length']}" if "max_length" in limits else ""


def _size(count: object) -> str:
    """Return a number of bytes as people write it, in the largest unit that leaves it whole."""
    size = int(str(count))
    unit = next((unit for unit in ("TB", "GB", "MB", "KB", "B") if size % parse_size(f"1{unit}") == 0), "B")
    return f"{size // parse_size(f'1{unit}')}{unit}"


def _default(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    shown = str(extra["shown"]) if isinstance(extra, dict) else ""
    is_toml = shown[:1] in ('"', "[", "{") or shown in ("true", "false") or shown.replace(".", "").isdigit()
    return f"`{shown}`" if is_toml else shown


def main(arguments: list[str]) -> int:
    """Print the page, or with `--check FILE` compare it; returns the exit status."""
    match arguments:
        case []:
            sys.stdout.write(page())
            return 0
        case ["--check", name]:
            if Path(name).is_file() and Path(name).read_text(encoding="utf-8") == page():
                return 0
            sys.stderr.write(f"{name} is not current: python -m processsupervisor.config.reference > {name}\n")
            return 1
    sys.stderr.write("usage: python -m processsupervisor.config.reference [--check FILE]\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
