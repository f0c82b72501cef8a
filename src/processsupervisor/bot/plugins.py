"""Connectors, responders and stores of installed packages, found by their entry points and loaded when they are asked for.

Each entry point names a function `make(settings, name, folder)`: a table, the bot's name, and the folder of its data.
What a package does wrong there is told in one line with its name; values of the settings are in none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from processsupervisor.bot.failure import place_of_error
from processsupervisor.bot.message import Message
from processsupervisor.bot.reply import Answer
from processsupervisor.connectors.base import Connector
from processsupervisor.kernel.errors import ConfigError, PsvError

CONNECTORS = "processsupervisor.connectors"
RESPONDERS = "processsupervisor.responders"
STORES = "processsupervisor.stores"
_OWN = {(CONNECTORS, "telegram"): "processsupervisor.connectors.telegram"}
"""Where our own are: a search of all installed packages costs each bot 15 ms and a fifth of a megabyte."""

Responder = Callable[[Message], Awaitable[Answer]]
"""What a responder's `make` returns: answers each message that no other handler of the bot is for."""


class StoreBackend(Protocol):
    """What a store's `make` returns: JSON texts by key, of the whole bot, kept wherever the package keeps them."""

    async def open(self) -> None:
        """Be ready; called once, before the bot is. What it raises ends the start."""

    async def read(self, key: str) -> str | None:
        """Return the text under a key, None when there is none."""

    async def write(self, key: str, text: str | None) -> None:
        """Keep the text before this returns; None forgets the key."""

    async def keys(self) -> Iterable[str]:
        """Return all keys."""

    async def close(self) -> None:
        """End; called once, behind the bot's last handler."""


def make(group: str, plugin: str, settings: Mapping[str, object], name: str, folder: Path, needed: Iterable[str]) -> Any:
    """Return what the package's `make` returns, with all attributes `needed`. Raises ConfigError, and a PsvError of the package."""
    where, load = _found(group, plugin)
    try:
        made = load()(settings, name, folder)
    except PsvError:
        raise
    except Exception as err:
        raise ConfigError(f"the {where} cannot be made: {place_of_error(err)}") from err
    missing = [attribute for attribute in needed if not hasattr(made, attribute)]
    if missing:
        raise ConfigError(f"the {where} is a {type(made).__name__} without {', '.join(missing)}")
    return made


def make_connectors(networks: Mapping[str, object], name: str, folder: Path) -> list[Connector]:
    """Return a connector for each table of `networks`. Raises ConfigError for one that is not there or cannot be made."""
    return [_make_connector(network, settings, name, folder) for network, settings in networks.items()]


def _make_connector(network: str, settings: object, name: str, folder: Path) -> Connector:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"networks.{network} is not a table")
    needed = ("capabilities", "close", "fetch", "has_network", "identify", "is_pulled", "network", "open", "publish", "send", "typing")
    made: Connector = make(CONNECTORS, network, settings, name, folder, needed)
    if made.network != network:
        raise ConfigError(f'the connector "{network}" says that its network is "{made.network}"')
    return made


def make_responder(plugin: str, settings: Mapping[str, object], name: str, folder: Path) -> Responder:
    """Return a responder. Raises ConfigError for one that is not there or cannot be made."""
    made: Responder = make(RESPONDERS, plugin, settings, name, folder, ("__call__",))
    return made


def make_store(plugin: str, settings: Mapping[str, object], name: str, folder: Path) -> StoreBackend:
    """Return a store that is not open yet. Raises ConfigError for one that is not there or cannot be made."""
    made: StoreBackend = make(STORES, plugin, settings, name, folder, ("close", "keys", "open", "read", "write"))
    return made


def _found(group: str, plugin: str) -> tuple[str, Callable[[], Callable[..., Any]]]:
    """Return what a plugin is called in messages, and what loads it."""
    own = _OWN.get((group, plugin))
    kind = group.rpartition(".")[2].removesuffix("s")
    if own is not None:
        return f'{kind} "{plugin}"', lambda: import_module(own).make
    from importlib.metadata import entry_points  # when it is needed: most bots have no plugin

    found = {(point.dist.name if point.dist is not None else point.value): point for point in entry_points(group=group, name=plugin)}
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group=group)})) or "none"
        raise ConfigError(f'there is no {kind} "{plugin}", there is: {known}', hint="install the package that has it")
    if len(found) > 1:
        raise ConfigError(f'more than one package has a {kind} "{plugin}": {", ".join(sorted(found))}', hint="remove one")
    [(package, point)] = found.items()
    return f'{kind} "{plugin}" of {package}', point.load
