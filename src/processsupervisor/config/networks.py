"""Rules on `networks`, `chat` and `telegram_proxy`: which kind of bot they are for, what must be there for them, and what may be in them.

Networks are found as connectors are: by the entry points of installed packages. Standard library only; no connector is imported, only
what a package gives to check its settings by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol, cast

from processsupervisor.config.problem import Finding, nearest, printable, quoted
from processsupervisor.config.scopes import Merged
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.references import has_references

CONNECTOR_GROUP = "processsupervisor.connectors"
SETTINGS_GROUP = "processsupervisor.settings"
"""What a package checks the table of its network by, beside the connector itself: a function that needs none of its libraries."""
_CHECKS = {"telegram": "processsupervisor.connectors.telegram.settings"}
"""Where our own are. A room above: named, not imported."""
Check = Callable[[Mapping[str, object]], Iterable[tuple[str, str, str]]]
_LIBRARIES = {"telegram": "aiogram"}
"""What a network of ours needs besides psv: imported once, in the zygote."""
_WARM = {"telegram": "processsupervisor.connectors.telegram.warm"}
"""What makes there all that its bots can share besides, when it is imported."""
_OF_PROXY = "aiohttp"
"""The web process speaks to Telegram by it, in psv's own interpreter."""
_OF_NATIVE = {
    "networks": "a program speaks to its networks by itself: remove this, or run a native bot",
    "chat": "a program holds its conversations by itself: remove this, or run a native bot",
}


def network_libraries(spec: Mapping[str, Any]) -> list[str]:
    """Return the modules that a zygote imports for the networks of a bot."""
    return [library for name in spec.get("networks") or {} for library in (_LIBRARIES.get(name), _WARM.get(name)) if library]


def network_findings(values: dict[str, Any], merged: Merged) -> Iterator[Finding]:
    """Yield what is of another kind of bot; `values` (of `merged`) loses what [global] says for other bots only."""
    for_others = dict(_OF_NATIVE) if "run" not in values else {"telegram_proxy": "a native bot has networks.telegram: use that"}
    for key, hint in for_others.items():
        if key not in values:
            continue
        if values[key] and merged.scope_of(key) != "global":
            what = "a native bot (run)" if "run" in values else "a program"
            yield Finding((key,), "wrong-kind", f"found {key} on {what}", hint)
        del values[key]
    if "run" in values and "schedule" not in values:
        yield from _without_token(values.get("networks"))


def _without_token(networks: object) -> Iterator[Finding]:
    table = networks.get("telegram") if isinstance(networks, dict) else None
    if isinstance(table, dict) and not table.get("token"):
        text = "found networks.telegram without a token, expected the one that @BotFather gave"
        yield Finding(("networks", "telegram"), "token-missing", text, 'psv secret set NAME, then token = "secret:NAME"')


@cache
def known_networks() -> tuple[str, ...]:
    """Return the names of all networks for which this interpreter has a connector."""
    return tuple(sorted({point.name for point in entry_points(group=CONNECTOR_GROUP)}))


class Site(Protocol):
    """The place where rules look (rules.Site), as far as it is asked here."""

    def is_installed(self, module: str) -> bool: ...


def networks_are_known(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """Yield the networks without a connector or its library; a bot with an interpreter of its own is left alone."""
    if spec.get("telegram_proxy") and find_spec(_OF_PROXY) is None:
        hint = 'pip install "processsupervisor[telegram]"'
        text = f"found telegram_proxy, which needs {_OF_PROXY}, which is not installed"
        yield Finding(("telegram_proxy",), "library-missing", text, hint, outside=True)
    if spec["python"]:
        return
    for name in spec.get("networks") or {}:
        path = ("networks", name)
        if name not in known_networks():
            close = nearest(name, known_networks())
            there_are = f"install a package with a connector for it; there are: {', '.join(known_networks())}"
            hint = f"did you mean {close}?" if close else there_are
            text = f"found network {quoted(name)}, for which there is no connector"
            yield Finding(path, "network-unknown", printable(text), printable(hint), outside=True)
        elif name in _LIBRARIES and not site.is_installed(_LIBRARIES[name]):
            yield Finding(
                path, "library-missing", f"network {name} needs {_LIBRARIES[name]}, which is not installed",
                f'pip install "processsupervisor[{name}]"', outside=True,
            )  # fmt: skip


def settings_of_networks_fit(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """Yield what is wrong in the tables of networks; a bot with an interpreter of its own is left alone."""
    networks = {} if spec["python"] else spec.get("networks") or {}
    for name, table in networks.items():
        if not isinstance(table, dict):
            continue
        known = {key: None if has_references(value) else value for key, value in table.items()}
        try:
            check = _check_of(name)
            faults = list(check(known)) if check is not None else []
        except Exception as err:  # noqa: BLE001 - of another package; what is wrong its connector tells at the start
            text = f"the settings of network {quoted(name)} cannot be checked: {type(err).__name__}"
            yield Finding(("networks", name), "network-settings", text, "tell it to the makers of its connector", warning=True)
            continue
        for key, text, hint in faults:
            yield Finding(("networks", name, key), "network-settings", printable(f"networks.{name}{text}"), printable(hint))


def _check_of(network: str) -> Check | None:
    """Return what checks the table of a network, None where nothing does. Raises whatever its package raises."""
    if network in _CHECKS:
        return cast(Check, import_module(_CHECKS[network]).check)
    found = list(entry_points(group=SETTINGS_GROUP, name=network))
    return cast(Check, found[0].load()) if len(found) == 1 else None
