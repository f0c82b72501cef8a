"""Telegram, over aiogram's client and types, which are imported when a bot with a token is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

BOT_FILE, BEGUN_FILE, DRAFTS_FILE = "telegram-bot.json", "telegram-begun.json", "telegram-drafts.json"
OF_DATABASE = (BOT_FILE, BEGUN_FILE, DRAFTS_FILE)
"""Files beside the database that speak of its rows and numbers: nothing in them is true of another one."""

if TYPE_CHECKING:
    from processsupervisor.connectors.telegram.connector import TelegramConnector


def make(settings: Mapping[str, object], name: str, folder: Path) -> TelegramConnector:
    """Return the connector of bot `name`, whose files lie below `folder`. Raises ConfigError for its settings, or without aiogram."""
    from processsupervisor.connectors.telegram.settings import read_settings
    from processsupervisor.kernel.errors import ConfigError

    checked = read_settings(settings, name)
    try:
        from processsupervisor.connectors.telegram.connector import TelegramConnector
    except ImportError as err:
        if err.name is None or err.name.partition(".")[0] not in ("aiogram", "aiohttp", "certifi"):
            raise
        hint = "pip install 'processsupervisor[telegram]' into the interpreter of this bot"
        fault = "which is not installed" if isinstance(err, ModuleNotFoundError) else "and a newer one than there is"
        raise ConfigError(f"bots.{name}.networks.telegram needs {err.name.partition('.')[0]}, {fault}", hint=hint) from err
    return TelegramConnector(checked, name, folder)
