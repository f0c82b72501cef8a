"""psvd's eye on its files: nothing that happens to them, or that asks for them while a change is under way, may stop it (I4)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.supervisor import reloader

SLEEPER = '[bots.a]\ncommand = ["sleep", "1000"]\nenv = {{ COLOUR = "{}" }}\n'


def test_sighup_during_a_change(fleet: LiveFleet) -> None:
    """psvd goes on to answer; the files are read again when the change is at its end."""
    fleet.configure(SLEEPER.format("red"))
    fleet.up()
    psvd = fleet.role_pid("psvd")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(fleet.apply, SLEEPER.format("blue") + 'ready = { after = "2s" }\n')
        eventually(lambda: fleet.call("config.running")["rollout"], "it is under way")
        for _ in range(20):
            os.kill(psvd, signal.SIGHUP)
            fleet.call("ping")
        assert asking.result(60)["ok"]
    fleet.write("fleet.toml", fleet._head(web=False) + SLEEPER.format("green"))
    os.kill(psvd, signal.SIGHUP)
    eventually(lambda: fleet.call("config.running")["number"] == 3, "version 3 runs")
    assert fleet.role_pid("psvd") == psvd


def test_a_watched_file_becomes_something_else(fleet: LiveFleet) -> None:
    """A FIFO that nobody writes, a folder, a broken link, nothing, and the file again, with other settings: psvd answers all the time."""
    fleet.canary_settle = '10s"\nwatch = true #'
    fleet.configure(SLEEPER.format("red"))
    fleet.up()
    path = fleet.paths.config
    text = path.read_text()
    psvd = fleet.role_pid("psvd")
    for make in (os.mkfifo, os.mkdir, lambda p: os.symlink("nowhere", p)):
        path.unlink()
        make(path)
        eventually(lambda: fleet.call("fleet.status")["config"]["differs"], "it is seen")
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_text(text)
        eventually(lambda: not fleet.call("fleet.status")["config"]["differs"], "the file is back")
    path.write_text(text.replace("red", "blue"))
    eventually(lambda: fleet.call("config.running")["number"] == 2, "version 2 runs")
    assert fleet.role_pid("psvd") == psvd


def test_an_ended_value_that_cannot_be_left_out_is_not_tried_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try may restart bots: after one that changed nothing the next is a long time off (I8)."""
    monkeypatch.setattr(reloader, "LOOK_EVERY_S", 0.001)
    is_adopted = asyncio.Event()
    is_adopted.set()
    fleet: Any = SimpleNamespace(can_start=True, is_going_down=False, is_adopted=is_adopted, settings={})
    changes: Any = SimpleNamespace(is_under_way=False, is_rolling=lambda: False, next_end=1.0, source_digest="x")
    tries: list[str] = []

    class Counting(reloader.Reloader):
        """One whose child changes nothing."""

        async def _reload(self, reason: str, *options: str) -> None:
            tries.append(reason)

    async def look() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await Counting(fleet, changes).run()

    asyncio.run(look())
    assert len(tries) == 1
