"""How a case of the law is written and run: it gets a rig and an engine, in an event loop of its own, without any plugin of pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from processsupervisor.testing.lawengine import Engine
from processsupervisor.testing.lawrig import Ability, Rig

_LAW = "processsupervisor.testing."
Case = Callable[[Any, Rig, Engine], Awaitable[None]]


class LawBase:
    """A part of the law. A test class of yours derives from the whole (connectorlaw.py) and gives `rig` and `abilities`."""

    abilities: ClassVar[frozenset[Ability]] = frozenset()
    """What your network has; what it lacks has cases of its own."""

    def rig(self, folder: Path) -> AbstractAsyncContextManager[Rig]:
        """Return the network with one person at it; `folder` is empty and yours."""
        raise NotImplementedError

    def __init_subclass__(cls, **keys: Any) -> None:
        super().__init_subclass__(**keys)
        if cls.__module__.startswith(_LAW):
            return  # a part of the law, or the whole
        if not cls.abilities:
            raise TypeError(f"{cls.__name__} needs abilities: what your network has, out of Ability (testing/lawrig.py)")
        if (Ability.SENDS in cls.abilities) == (Ability.PULLS in cls.abilities):
            raise TypeError(f"the abilities of {cls.__name__} need one of SENDS and PULLS: rows are sent, or taken by readers")
        if not cls.abilities & {Ability.KEEPS, Ability.REFUSES}:
            raise TypeError(f"the abilities of {cls.__name__} need KEEPS or REFUSES: what is not taken comes again, or the person is told")
        law = [kind for kind in cls.__mro__ if kind.__module__.startswith(_LAW)]
        for name, function in [(name, made) for kind in law for name, made in vars(kind).items() if hasattr(made, "needs")]:
            if getattr(cls, name) in (None, function):  # None: a class between lacks what this one has. Else it is a test of its own
                setattr(cls, name, function if _holds(function, cls.abilities) else None)  # pytest takes None for no test


def _holds(function: Any, abilities: frozenset[Ability]) -> bool:
    return bool(function.needs <= abilities and not function.lacks & abilities)


def case(*needs: Ability, lacks: Ability | None = None) -> Callable[[Case], Callable[[Any, Path], None]]:
    """Make a test of a case that holds where the network has all of `needs`, and has not what it `lacks`."""

    def make(function: Case) -> Callable[[Any, Path], None]:
        def run(self: LawBase, tmp_path: Path) -> None:
            asyncio.run(_run(function, self, tmp_path))

        run.__name__ = function.__name__
        run.__qualname__ = function.__qualname__
        run.__doc__ = function.__doc__
        run.__module__ = function.__module__
        run.needs = frozenset(needs)  # type: ignore[attr-defined]  # both are read by LawBase
        run.lacks = frozenset() if lacks is None else frozenset({lacks})  # type: ignore[attr-defined]
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
