"""A bot's own settings as its author reads them: one table that is replaced as a whole, never changed in part.

Who replaces it is settings.py; authors meet it as `bot.config` and `bot.options`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Config(Mapping[str, Any]):
    """A live, read-only view of the settings: each look is at those that hold now."""

    __slots__ = ("_table",)

    def __init__(self) -> None:
        self._table: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return repr(self._table)


def hold(config: Config, table: dict[str, Any]) -> None:
    """Let `table` hold from now on; whoever has the one before keeps that whole."""
    config._table = table


def table_of(config: Config) -> dict[str, Any]:
    """Return the table that holds now."""
    return config._table
