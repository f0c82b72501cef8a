"""A bot's own settings as its author reads them: one table that is replaced as a whole, never changed in part.

Who replaces it is settings.py; authors meet it as `bot.config`, `bot.options` and `Config[T]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from processsupervisor.bot.shapes import Misfit, Shape
from processsupervisor.kernel.errors import ConfigError

T = TypeVar("T")


class Config(Mapping[str, Any], Generic[T]):
    """A live, read-only view of the settings: each look is at those that hold now."""

    __slots__ = ("_table",)

    def __init__(self) -> None:
        self._table: dict[str, Any] = {}

    @property
    def now(self) -> T:
        """All settings that hold now as a T; without a type as the table itself."""
        value: Any = table_of(self)
        return value  # type: ignore[no-any-return]

    def __getitem__(self, key: str) -> Any:
        return table_of(self)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(table_of(self))

    def __len__(self) -> int:
        return len(table_of(self))

    def __repr__(self) -> str:
        return repr(table_of(self))


class TypedConfig(Config[T]):
    """The same settings through a type of the author's, which is read once for each table that comes to hold."""

    __slots__ = ("_of", "_read", "_seen", "_shape")

    def __init__(self, of: Config[Any], shape: Shape) -> None:
        self._of, self._shape = of, shape
        self._seen: dict[str, Any] | None = None
        self._read: Any = None

    @property
    def now(self) -> T:
        """All settings that hold now as a T. Raises ConfigError when they are none, which a start and a change have ruled out."""
        table = table_of(self)
        if table is not self._seen:
            self._read, self._seen = read_options(self._shape, table), table
        value: T = self._read
        return value


def read_options(shape: Shape, table: Mapping[str, Any]) -> Any:
    """Return a table of options as the author's type. Raises ConfigError."""
    try:
        return shape.load(dict(table))
    except Misfit as err:
        raise ConfigError(f"the options do not fit: {err.message}", hint="mend options in fleet.toml") from err


def hold(config: Config[Any], table: dict[str, Any]) -> None:
    """Let `table` hold from now on; whoever has the one before keeps that whole."""
    config._table = table


def table_of(config: Config[Any]) -> dict[str, Any]:
    """Return the table that holds now."""
    return table_of(config._of) if isinstance(config, TypedConfig) else config._table
