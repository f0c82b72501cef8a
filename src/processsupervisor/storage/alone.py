"""Who has some values of a bot to itself for a while: a message that others were faster than too often.

Nothing here keeps anybody from a commit, the comparison in it decides (values.py); this only has the others wait for their turn.
Everything happens on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from weakref import WeakValueDictionary

Key = tuple[str, str]


class Alone:
    """One holder at a time, known by the number of its message; those who wait to be it are served in order."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.holder = 0
        """0: nobody."""
        self.keys: frozenset[Key] = frozenset()
        """What the holder reads and changes."""
        self._freed = asyncio.Event()
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def has(self, keys: Iterable[Key]) -> bool:
        """Tell whether somebody has one of these keys to itself."""
        return self.holder != 0 and not self.keys.isdisjoint(keys)

    async def take(self, holder: int, keys: frozenset[Key]) -> None:
        """Wait for the turn of `holder`, then let it have these keys to itself; who has its turn gets these keys in place of others."""
        if self.holder != holder:
            await self._lock.acquire()
            self.holder = holder
            self._freed = asyncio.Event()
        self.keys = keys

    def give(self, holder: int) -> None:
        """Let the next one have its turn, if it is this one's."""
        if self.holder == holder:
            self.holder, self.keys = 0, frozenset()
            self._freed.set()
            self._lock.release()

    async def let_pass(self, key: Key) -> None:
        """Wait until who has the key to itself is through; for one of them only, so that a row of them keeps nobody out for ever."""
        if self.has((key,)):
            await self._freed.wait()

    def lock_of(self, key: Key) -> asyncio.Lock:
        """Return the lock of those who change a key outside of messages: many at once would overtake each other again and again."""
        return self._locks.setdefault(key, asyncio.Lock())
