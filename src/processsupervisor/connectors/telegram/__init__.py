"""Telegram, over aiogram's client and types, which are imported when a bot with a token is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processsupervisor.connectors.telegram.connector import TelegramConnector


def make(settings: Mapping[str, object], name: str, folder: Path) -> TelegramConnector:
    """Return the connector of bot `name`, whose files lie below `folder`. Raises ConfigError for its settings, or without aiogram."""
    from processsupervisor.connectors.telegram.settings import read_settings
    from processsupervisor.kernel.errors import ConfigError

    checked = read_settings(settings, name)
    try:
        from processsupervisor.connectors.telegram.connector import TelegramConnector
    except ModuleNotFoundError as err:
        if err.name is None or err.name.partition(".")[0] not in ("aiogram", "aiohttp"):
            raise
        hint = "pip install 'processsupervisor[telegram]' into the interpreter of this bot"
        raise ConfigError(f"bots.{name}.networks.telegram needs aiogram, which is not installed", hint=hint) from err
    return TelegramConnector(checked, name, folder)
