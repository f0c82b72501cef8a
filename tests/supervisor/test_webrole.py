"""The web process's keeper in psvd: whatever refuses its start, it is tried again."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.supervisor import ownrole
from processsupervisor.supervisor.webrole import WebRole


class _Keeper:
    """Starts whatever is asked for."""

    pid: int | None = os.getpid()

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        return {"pid": 12}

    def tell(self, op: str, **fields: Any) -> None:
        pass


async def test_without_a_descriptor_the_page_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the role cannot be looked at: said in status, and tried again by itself."""
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "test"\n[web]\nenabled = true\n[bots.a]\ncommand = ["true"]\n')
    loaded = load_fleet(tmp_path)
    assert loaded.applied is not None
    calls = 0

    async def refuse_once(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ownrole, "end_holder", refuse_once)
    web = WebRole(FleetPaths(tmp_path), _Keeper(), loaded.applied["web"])
    web.start()
    async with asyncio.timeout(10):
        while not web.problem:
            await asyncio.sleep(0.01)
        assert "Too many open files" in web.problem
        while web.pid is None:
            await asyncio.sleep(0.01)
    assert calls == 2
    web.close()
