"""What a change of each setting asks for: `live`, `restart` or `recreate`, by the keys of BotSpec as a plan names them.

The effect of a key stands in the schema. Here it is found for the keys of a spec, which has its own names for some, and decided for
those that nobody writes: what another kind of program makes of a bot, for one. Used while loading; psvd reads it out of Applied.
"""

from __future__ import annotations

from functools import cache

from processsupervisor.config.chattables import ChatTable, TelegramProxyTable
from processsupervisor.config.schema import BotTable, ControlTable, FleetTable, WebTable
from processsupervisor.config.spec import (
    BotSpec,
    BudgetSpec,
    ChatSpec,
    Effect,
    FleetSpec,
    HealthSpec,
    LimitsSpec,
    LogsSpec,
    ReadySpec,
    RecycleSpec,
    RestartSpec,
    ScheduleSpec,
    StopSpec,
    TelegramProxySpec,
    WebSpec,
)
from processsupervisor.config.tables import (
    HealthTable,
    HooksTable,
    LimitsTable,
    LoginBudgetTable,
    LogsTable,
    RecycleTable,
    RestartTable,
    ScheduleTable,
    StopTable,
    Table,
)

_INNER: dict[str, tuple[type, type[Table]]] = {
    "health": (HealthSpec, HealthTable),
    "stop": (StopSpec, StopTable),
    "restart": (RestartSpec, RestartTable),
    "schedule": (ScheduleSpec, ScheduleTable),
    "recycle": (RecycleSpec, RecycleTable),
    "login_budget": (BudgetSpec, LoginBudgetTable),
    "limits": (LimitsSpec, LimitsTable),
    "logs": (LogsSpec, LogsTable),
    "chat": (ChatSpec, ChatTable),
    "telegram_proxy": (TelegramProxySpec, TelegramProxyTable),
}
_CALLED = {"env_files": "env_file", "log_levels": "log_level", "listen_host": "listen", "listen_port": "listen"}
"""Keys of a spec that are called otherwise in the file by more than their unit."""
_UNITS = ("_bytes", "_s")
_UNWRITTEN: dict[str, tuple[str, Effect]] = {
    # Another kind of program: chat, messages, link and checks of the one before are nothing to it.
    "kind": ("run, script or command", "recreate"),
    "name": ("name", "recreate"),
    "template": ("[bots.NAME]", "live"),
    "release": ("the release", "restart"),
    "home": ("the folder", "restart"),
    "stdin": ("stdin", "restart"),
    # What was found wrong outside of the file: a start looks again.
    "error": ("error", "live"),
    "error_rechecks": ("error", "live"),
    "is_elsewhere": ("error", "live"),
}


def effects() -> dict[str, Effect]:
    """Return the effect of every key of a BotSpec; of tables also of each key inside ("restart.max_s")."""
    return {key: effect for key, (_, effect) in _of_bots().items()}


def fleet_effects() -> dict[str, Effect]:
    """Return the effect of what is of no bot, as a plan names it ("web.listen_port"); of a channel by "notify" alone.

    `live`: the process that uses it takes it over or is started anew, no bot notices. `recreate`: it holds from the next `psv up` on.
    """
    return {key: effect for key, (_, effect) in _of_fleet().items()}


def shown_key(spec_key: str) -> str:
    """Return the key that people write for one of a spec: "restart.max" for "restart.max_s", "web.listen" for "web.listen_port"."""
    known = {**_of_fleet(), **_of_bots()}
    if spec_key in known:
        return known[spec_key][0]
    head, dot, rest = spec_key.partition(".")
    return known[head][0] + dot + rest if head in known else spec_key


@cache
def _of_bots() -> dict[str, tuple[str, Effect]]:
    found: dict[str, tuple[str, Effect]] = {}
    for key in BotSpec.__annotations__:
        found[key] = _UNWRITTEN.get(key) or _fact(BotTable, key)
        if key in _INNER:
            spec, table = _INNER[key]
            found |= _facts(key, spec, table)
    found |= {f"ready.{key}": found["ready"] for key in ReadySpec.__annotations__}
    return found | {f"hooks.{key}": _fact(HooksTable, key, "hooks.") for key in HooksTable.model_fields}


@cache
def _of_fleet() -> dict[str, tuple[str, Effect]]:
    group = _fact(ControlTable, "group", "control.")
    return {
        **{f"fleet.{k}": _fact(FleetTable, k, "fleet.") for k in FleetSpec.__annotations__ if k != "control_group"},
        "fleet.control_group": group,
        **_facts("web", WebSpec, WebTable),
        "notify": ("notify", "live"),
        "release": _UNWRITTEN["release"],
    }


def _facts(at: str, spec: type, table: type[Table]) -> dict[str, tuple[str, Effect]]:
    return {f"{at}.{key}": _fact(table, key, f"{at}.") for key in spec.__annotations__}


def _fact(table: type[Table], spec_key: str, prefix: str = "") -> tuple[str, Effect]:
    """Return the written key and the effect that the schema declares for one key of a spec."""
    key = _CALLED.get(spec_key, spec_key)
    for unit in _UNITS:
        if key not in table.model_fields:
            key = key.removesuffix(unit)
    extra = table.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)  # key() is the one way to declare a key
    effect: Effect = extra["effect"]  # type: ignore[assignment]
    return prefix + key, effect
