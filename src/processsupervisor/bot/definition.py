"""What a bot is made of, as the pump and the service read it. Authors meet it as `Bot` (bot/api.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from processsupervisor.bot.config import Config, hold, read_options, table_of
from processsupervisor.bot.context import Running
from processsupervisor.bot.http import Http
from processsupervisor.bot.routers import Router


class Definition(Router):
    """A bot's name, options, handlers and hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "bot"
        """The name in fleet.toml, known once the bot runs."""
        self.config: Config[Any] = Config()
        """The bot's own options table of fleet.toml, known once the bot runs: always the values that hold now."""
        self._http: Http | None = None
        self.start_hooks: list[Callable[[], Awaitable[None]]] = []
        self.ready_hooks: list[Callable[[], Awaitable[None]]] = []
        self.pause_hooks: list[Callable[[], Awaitable[None]]] = []
        self.resume_hooks: list[Callable[[], Awaitable[None]]] = []
        self.stop_hooks: list[Callable[[], Awaitable[None]]] = []
        self.exit_hooks: list[Callable[[], Awaitable[None]]] = []
        self.config_hook: Callable[[dict[str, Any], dict[str, Any]], Awaitable[None]] | None = None
        self.running: Running | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """The same values as one table, which stays as it is when others come to hold."""
        return table_of(self.config)

    @options.setter
    def options(self, table: Mapping[str, Any]) -> None:
        """Give a bot that runs alone its options; in a fleet those of fleet.toml take their place."""
        hold(self.config, dict(table))

    @property
    def http(self) -> Http:
        """What handlers ask the web by."""
        if self._http is None:
            self._http = Http()
        return self._http

    async def close(self) -> None:
        """Close what handlers have opened, at the end of a life."""
        if self._http is not None:
            await self._http.close()

    def resolve(self) -> None:
        """Read what handlers ask for, and the options through their types. Raises ConfigError for the first that cannot be given."""
        self.registry.resolve()
        self.check_options(table_of(self.config))

    def check_options(self, table: Mapping[str, Any]) -> None:
        """Raise ConfigError unless a table of options fits every Config[T] of the handlers."""
        for shape in self.registry.shapes_of_config():
            read_options(shape, table)
