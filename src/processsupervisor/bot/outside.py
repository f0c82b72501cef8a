"""What a bot takes from installed packages: a responder for its messages, and stores besides its own. See plugins.py for what these are.

They are made when the bot starts, so that a file which names one can be imported where it is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processsupervisor.bot.message import Message
from processsupervisor.bot.plugins import Responder, StoreBackend, make_responder, make_store
from processsupervisor.bot.reply import Answer
from processsupervisor.bot.written import json_of
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.storage.values import MAX_KEY_CHARS, MAX_VALUE_CHARS


class OutsideResponder:
    """A responder of a package, once the bot has started."""

    def __init__(self, plugin: str, settings: Mapping[str, object]) -> None:
        self._plugin, self._settings = plugin, settings
        self._made: Responder | None = None

    def make(self, name: str, folder: Path) -> None:
        """Make it for a life of the bot. Raises ConfigError."""
        self._made = make_responder(self._plugin, self._settings, name, folder)

    async def answer(self, message: Message) -> Answer:
        """Return the responder's answer."""
        if self._made is None:
            raise Refused("the bot does not run yet")
        return await self._made(message)


class OutsideStore:
    """Values by key in a store of a package: anything JSON can hold. Written at once, and not together with a reply.

    So a handler that is tried again writes again.
    """

    def __init__(self, plugin: str, settings: Mapping[str, object]) -> None:
        self._plugin, self._settings = plugin, settings
        self._open: StoreBackend | None = None

    async def begin(self, name: str, folder: Path) -> None:
        """Make and open it for a life of the bot. Raises ConfigError, and what the package raises."""
        backend = make_store(self._plugin, self._settings, name, folder)
        await backend.open()
        self._open = backend

    async def end(self) -> None:
        """Close it."""
        backend, self._open = self._open, None
        if backend is not None:
            await backend.close()

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under `key`, or `default`."""
        found = await self._backend.read(key)
        return default if found is None else json.loads(found)

    async def set(self, key: str, value: Any) -> None:
        """Put a value under `key`. Raises UsageError when it is too big or not JSON."""
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARS:
            raise UsageError(f"a key is a text of 1 to {MAX_KEY_CHARS} characters")
        text = json_of(value, f'the value for "{key}"', f'"{key}"')
        if len(text) > MAX_VALUE_CHARS:
            text = f'the value for "{key}" has {len(text)} characters as JSON, at most {MAX_VALUE_CHARS} are kept'
            raise UsageError(text, found=(f'"{key}"',))
        await self._backend.write(key, text)

    async def delete(self, key: str) -> None:
        """Forget a key; an unknown one is fine."""
        await self._backend.write(key, None)

    async def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return sorted(await self._backend.keys())

    @property
    def _backend(self) -> StoreBackend:
        if self._open is None:
            raise Refused("the bot does not run yet", hint="use it in a handler or in @bot.on_start")
        return self._open
