"""How a case of the law is written and run: it gets a rig and an engine, in an event loop of its own, without any plugin of pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from processsupervisor.testing.lawrig import Ability, Engine, Rig

Case = Callable[[Any, Rig, Engine], Awaitable[None]]


class LawBase:
    """A part of the law. A test class of yours derives from the whole (connectorlaw.py) and gives `rig` and `abilities`."""

    abilities: ClassVar[frozenset[Ability]] = frozenset()
    """What your network has; cases that need more are left out."""

    def rig(self, folder: Path) -> AbstractAsyncContextManager[Rig]:
        """Return the network with one person at it; `folder` is empty and yours."""
        raise NotImplementedError

    def __init_subclass__(cls, **keys: Any) -> None:
        super().__init_subclass__(**keys)
        if cls.__module__.startswith("processsupervisor.testing."):
            return  # a part of the law, or the whole
        if not cls.abilities:
            raise TypeError(f"{cls.__name__} needs abilities: what your network has, out of Ability (testing/lawrig.py)")
        for name in dir(cls):
            needs = getattr(getattr(cls, name), "needs", None)
            if name.startswith("test_") and needs is not None and not needs <= cls.abilities:
                setattr(cls, name, None)  # pytest does not take it for a test


def case(*needs: Ability) -> Callable[[Case], Callable[[Any, Path], None]]:
    """Make a test of a case that holds where the network has all of `needs`."""

    def make(function: Case) -> Callable[[Any, Path], None]:
        def run(self: LawBase, tmp_path: Path) -> None:
            asyncio.run(_run(function, self, tmp_path))

        run.__name__ = function.__name__
        run.__qualname__ = function.__qualname__
        run.__doc__ = function.__doc__
        run.__module__ = function.__module__
        run.needs = frozenset(needs)  # type: ignore[attr-defined]  # read by LawBase
        return run

    return make


async def _run(function: Case, law: LawBase, folder: Path) -> None:
    async with law.rig(folder) as rig:
        engine = Engine(rig.connect(folder / "bot"), folder / "bot")
        try:
            await engine.start()
            await function(law, rig, engine)
        finally:
            await engine.stop()


def successor(rig: Rig, engine: Engine) -> Engine:
    """Return the next life of a bot that ended: another connector on the same data, not started."""
    return Engine(rig.connect(engine.folder), engine.folder)
