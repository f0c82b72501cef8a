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

from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.schema import (
    BotTable,
    ControlTable,
    DependencyTable,
    FleetTable,
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
    ScopeTable,
    StopTable,
    Table,
    TypeTable,
    WebTable,
    WindowTable,
)
from processsupervisor.config.shape import table_of
from processsupervisor.config.values import Label
from processsupervisor.kernel.paths import BOT_NAME_PATTERN

_INTRO = f"""# fleet.toml

Every key of fleet.toml with its type, default and meaning. This page is generated from the schema by
`python -m processsupervisor.config.reference`; do not edit it by hand.

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

What holds for a bot comes from `[global]`, then its type (what that extends first), then the bot itself. Tables (`env`, `options`, `vars`,
`health`, `stop`, `restart`, `limits`, `logs`, `hooks`, `recycle`) are merged key by key; lists and everything else replace what an outer
scope says. The text `"..."` as an element of a list stands for what the outer scopes say there. Three choices are replaced as a whole:
`ready`, `schedule`, and the program (`run`, `script` or `command`, together with `args`). A bot must end up with exactly one program.
`ready` in `[global]` holds for programs and is passed over for native bots; a type or bot that has both `run` and `ready` is an error.
A bot with a `schedule` is a task; what [global] says of `ready`, `restart`, `recycle` and `essential` is passed over for it.

An environment variable is taken from the strongest place that has it: `env` of the bot, `env` of its type, `env` of `[global]`,
`env_file`, the variables named by `inherit`.
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
    parts = [_INTRO]
    for title, table, text in _SECTIONS:
        parts.append(f"\n## {title}\n\n" + (f"{text}\n\n" if text else "") + "\n".join(_rows(table)) + "\n")
    return "".join(parts) + _ENV_FILE


def _rows(table: type[Table]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    inherited = ScopeTable.model_fields if table in (BotTable, TypeTable) else {}
    for name, info in table.model_fields.items():
        if name not in inherited:
            cells = (f"`{name}`", _kind(info) + _range(info), _default(info), info.description or "")
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


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
    if "ge" in limits and "le" in limits:
        return f", {limits['ge']} to {limits['le']}"
    if "ge" in limits:
        return f", at least {limits['ge']}"
    return f", at most {limits['max_length']}" if "max_length" in limits else ""


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
