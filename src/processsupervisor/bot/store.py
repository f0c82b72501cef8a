"""`message.store`, `bot.store`, `Store[T]` and `BotStore[T]`: small JSON values that last, for one conversation or for the whole bot.

Inside a handler changes are seen by it at once and committed together with its reply, or not at all; outside they are
committed when the call returns. Handlers of one conversation never overlap; those of several do: what one reads of
`bot.store` is noted, and one that also changes it is committed only if it is still that (contention.py), else run again.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast, overload

from processsupervisor.bot.shapes import Misfit, Shape
from processsupervisor.bot.work import open_work, told
from processsupervisor.bot.written import json_of
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes
from processsupervisor.storage.values import BOT_SCOPE, MAX_KEY_CHARS, MAX_VALUE_CHARS

_WAYS_OUT = 'give new fields a default; for another type use another key, or delete the old value: await store.delete("{key}")'
T = TypeVar("T")
D = TypeVar("D")


class Store(Generic[T]):
    """Values of one conversation by key: of the type T, or without one anything JSON can hold. A value has at most 1 MiB as JSON."""

    __slots__ = ("_database", "_scope", "_shape")

    def __init__(self, database: BotDatabase, scope: str, shape: Shape | None = None) -> None:
        self._database = database
        self._scope = scope
        self._shape = shape

    @overload
    async def get(self, key: str) -> T | None: ...

    @overload
    async def get(self, key: str, default: T) -> T: ...

    @overload
    async def get(self, key: str, default: D) -> T | D: ...

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under `key`, or `default`. Raises Misfit when it is not of the type T."""
        return self._loaded(key, await told("get", f"{self._scope} {key}", lambda: self._read(key)), default)

    def _loaded(self, key: str, found: str | None, default: Any) -> Any:
        if found is None:
            return default
        value = json.loads(found)
        if self._shape is None:
            return value
        try:
            return self._shape.load(value)
        except Misfit as err:
            raise Misfit(f'the value under "{key}" cannot be read: {err.message}', hint=_WAYS_OUT.format(key=key)) from err

    async def _read(self, key: str) -> str | None:
        work = open_work()
        place = (self._scope, key)
        if work is not None and place in work.changes.values:
            return work.changes.values[place]
        found = await self._database.read_value(self._scope, key)
        if work is not None and self._scope == BOT_SCOPE:
            work.note_read(self._scope, key, found)
        return found

    async def set(self, key: str, value: T) -> None:
        """Put a value under `key`. Raises UsageError when it is too big or not JSON, Misfit when it is no T."""
        await self._write(key, self._dumped(key, value))

    def _dumped(self, key: str, value: T) -> str:
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARS:
            raise UsageError(f"a key is a text of 1 to {MAX_KEY_CHARS} characters")
        plain: object = value
        if self._shape is not None:
            try:
                plain = self._shape.dump(value)
            except Misfit as err:
                raise Misfit(f'the value for "{key}" is not kept: {err.message}') from err
        text = json_of(plain, f'the value for "{key}"', f'"{key}"')
        if len(text) > MAX_VALUE_CHARS:
            text = f'the value for "{key}" has {len(text)} characters as JSON, at most {MAX_VALUE_CHARS} are kept'
            raise UsageError(text, found=(f'"{key}"',))
        return text

    @overload
    async def update(self, key: str, change: Callable[[T], T], default: T) -> T: ...

    @overload
    async def update(self, key: str, change: Callable[[T | None], T]) -> T: ...

    async def update(self, key: str, change: Callable[[Any], T], default: Any = None) -> T:
        """Put what `change` makes of the value under `key` (of `default` when there is none) in its place, and return it.

        Nothing that others change meanwhile is lost, outside of a handler too; `change` is a plain function and may be called more than
        once. Raises what it raises, and what get and set raise.
        """
        if open_work() is not None:
            value = _changed(change, await self.get(key, default))
            await self.set(key, value)
            return value
        place = (self._scope, key)
        async with self._database.alone.lock_of(place):
            await self._database.alone.let_pass(place)
            was = await self._database.read_value(*place)
            while True:  # a handler's commit may come in between
                value = _changed(change, self._loaded(key, was, copy.deepcopy(default)))
                is_written, was = await self._database.swap_value(*place, was, self._dumped(key, value))
                if is_written:
                    return value

    async def delete(self, key: str) -> None:
        """Forget a key; an unknown one is fine."""
        await self._write(key, None)

    async def append(self, key: str, value: Any) -> int:
        """Add a value to the list under `key` (made when missing) and return its new length."""

        def add(values: Any) -> Any:
            if not isinstance(values, list):
                raise UsageError(f'the value under "{key}" is not a list', found=(f'"{key}"',))
            return [*values, value]

        return len(cast(list[Any], await self.update(key, add, cast(T, []))))

    async def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return await told("keys", self._scope, self._read_keys)

    async def _read_keys(self) -> list[str]:
        found = set(await self._database.read_keys(self._scope))
        work = open_work()
        if work is not None:
            for (scope, key), value in work.changes.values.items():
                if scope == self._scope:
                    (found.discard if value is None else found.add)(key)
        return sorted(found)

    async def _write(self, key: str, text: str | None) -> None:
        await told("set", f"{self._scope} {key}", lambda: self._put(key, text))

    async def _put(self, key: str, text: str | None) -> None:
        work = open_work()
        if work is not None:
            work.changes.values[(self._scope, key)] = text
        else:
            await self._database.alone.let_pass((self._scope, key))
            await self._database.write_values(Changes(values={(self._scope, key): text}))


def _changed(change: Callable[[Any], T], value: Any) -> T:
    made = change(value)
    if inspect.iscoroutine(made):
        made.close()
        raise UsageError("update takes a plain function", hint="what has to be awaited comes before it")
    return made


class BotStore(Store[T]):
    """Values of the whole bot by key; see Store."""

    __slots__ = ()
