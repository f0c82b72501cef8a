"""psvd's side of a change of settings: real bot processes on a real bot.sock, one answer to every push."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bot.running import BotProcess
from tests.process.newborn import GivenLauncher, SilentKeeper

from processsupervisor.config.load import load_fleet
from processsupervisor.ipc.client_async import open_unix
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import State, Trigger
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.livevalues import digest_of, live_values
from processsupervisor.process.surroundings import Surroundings
from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.botlinks import BotLinks
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.letters import LetterDesk
from processsupervisor.supervisor.liveconfig import ALERT, SUPERSEDED, LiveConfig

SOURCE = """
import asyncio, pathlib, time
from processsupervisor import Bot, Refused
bot = Bot()

@bot.on_config_change
async def changed(old, new):
    with open("asked", "a") as file:
        file.write(f"{old['n']}-{new['n']}\\n")
    if new["n"] == 13:
        raise Refused("13 brings bad luck")
    while new["n"] == 15 and not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    while new["n"] == 16 and not pathlib.Path("go").exists():
        time.sleep(0.01)
"""
WITHOUT = SOURCE.replace("@bot.on_config_change\n", "")
PATIENCE_S = 20.0


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition on this loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


class Desk:
    """psvd reduced to its links: one bot, its handle, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = FleetPaths(folder)
        self.events = Events()
        self.told: list[Event] = []
        self.events.listen(self.told.append)
        self.alerts = Alerts(self.events)
        self.bot: BotProcess | None = None
        self.handles: dict[str, BotHandle] = {}
        (folder / "fleet.toml").write_text('[fleet]\nname = "t"\n[bots.alice]\nrun = "bots:bot"\noptions = { n = 1 }\n')
        (folder / "bots.py").write_text(SOURCE)
        loaded = load_fleet(folder)
        assert loaded.applied is not None, loaded.problems
        self.spec = loaded.applied["bots"][0]
        self.begin_psvd()

    def begin_psvd(self) -> None:
        """Begin to listen; a second call is the next psvd, which knows nothing of what the one before did."""
        self.live = LiveConfig(self.alerts)
        self.links = BotLinks(self.handles.get, lambda *_: None, self.events, self.live, LetterDesk())

    async def listen(self) -> None:
        """Serve bot.sock."""
        path = self.paths.socket("bot")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(8)
        await self.links.serve(listener)

    async def run(self, source: str = SOURCE, pid: int | None = None, **spec: Any) -> BotHandle:
        """Start the bot (or take a process for it) and wait until it runs, linked if it is one."""
        if pid is None:
            values = {"options": self.spec["options"], "settings_digest": digest_of(live_values(self.spec)), **spec}
            self.bot = BotProcess(self.folder, source, **values)
            pid = (await asyncio.to_thread(self.bot.start)).process.pid  # type: ignore[union-attr]
        self.paths.bot_run("alice").mkdir(parents=True, exist_ok=True)
        await self.adopt(pid)
        if self.bot is not None:
            await until(lambda: self.handle.life.state is State.RUNNING and self.handle.condition.is_known, "the bot is linked")
        return self.handle

    async def adopt(self, pid: int) -> None:
        """Have a handle for the process as psvd has."""
        identity = Identity.of(pid)
        assert identity is not None
        around = Surroundings(
            paths=self.paths, launcher=GivenLauncher(identity), keeper=SilentKeeper(), on_transition=lambda _: None, on_born=lambda *_: None,
            on_refused=lambda *_: None, on_end=lambda *_: None, known_pids=tuple,
        )  # type: ignore[arg-type]  # fmt: skip
        self.handle = BotHandle(self.spec, around)
        self.handle.start()
        self.handle.secret_digest = hashlib.sha256(b"0" * 32).hexdigest()
        self.handles["alice"] = self.handle
        await until(lambda: self.handle.process is not None, "it is born")

    def want(self, **values: Any) -> None:
        """Change the spec as a change of the fleet does."""
        self.handle.spec = {**self.handle.spec, **values}  # type: ignore[typeddict-item]

    async def push(self, n: int, timeout_s: float = 10.0) -> str:
        """Push another value of the option."""
        self.want(options={"n": n})
        return await self.live.push(self.handle, timeout_s)

    def asked(self) -> list[str]:
        """Return what the hook noted."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def holds(self, n: int) -> bool:
        """Tell whether the bot said that it holds this value."""
        values = live_values({**self.handle.spec, "options": {"n": n}})  # type: ignore[typeddict-item]
        return self.handle.condition.settings == digest_of(values)

    def close(self) -> None:
        """End everything."""
        self.links.close()
        if self.bot is not None:
            self.bot.close()
        for handle in self.handles.values():
            handle.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "go").unlink(missing_ok=True)
    found = Desk(tmp_path)
    found.paths.ensure()
    await found.listen()
    yield found
    found.close()


@pytest.fixture
def idler() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    found = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield found
    found.kill()
    found.wait()


async def test_what_is_pushed_is_taken_once(desk: Desk) -> None:
    """The answer is the bot's own; what it holds already is not sent, and what its handle said at first needs no push."""
    handle = await desk.run()
    assert desk.live.takes_options(handle)
    assert await desk.live.push(handle) == "" and desk.asked() == []
    assert await desk.push(2) == "" and desk.holds(2)
    assert await desk.push(2) == ""
    assert desk.asked() == ["1-2"]


async def test_a_refusal_comes_back_with_its_words(desk: Desk) -> None:
    """And the bot holds what it held."""
    await desk.run()
    assert await desk.push(13) == "refused: 13 brings bad luck"
    assert desk.holds(1)
    assert await desk.push(15, 0.2) == "refused: on_config_change took longer than 0.2 s"
    assert desk.holds(1) and desk.told == []


async def test_without_a_hook_only_log_levels_are_taken(desk: Desk) -> None:
    """psvd knows it before it asks."""
    handle = await desk.run(WITHOUT)
    assert not desk.live.takes_options(handle)
    desk.want(log_level="debug", log_levels={"x": "error"})
    assert await desk.live.push(handle) == ""
    assert "on_config_change" in await desk.push(2)


async def test_a_blocked_loop_gives_no_answer_and_is_brought_in_line_when_it_turns_again(desk: Desk) -> None:
    """The change was given up and the spec is the old one again: what the bot takes late is taken back."""
    await desk.run()
    assert await desk.push(16, 0.2) == "no answer within 0.2 s"
    assert desk.handle.condition.settings is None
    desk.want(options={"n": 1})
    (desk.folder / "go").touch()
    await until(lambda: desk.holds(1), "it has the old value again")
    assert desk.asked() == ["1-16", "16-1"]


async def test_a_stopped_process_gives_no_answer(desk: Desk) -> None:
    """Nor does it hold up the push of the values that it had before: nobody knows what it will take."""
    handle = await desk.run()
    os.kill(handle.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
    assert await desk.push(2, 0.1) == "no answer within 0.1 s"
    assert await desk.push(1, 0.1) == "no answer within 0.1 s"
    os.kill(handle.process.pid, signal.SIGCONT)  # type: ignore[union-attr]
    await until(lambda: desk.holds(1), "it has answered the last")


async def test_a_newer_push_takes_the_place_of_one_that_waits(desk: Desk) -> None:
    """Every one of many gets an answer at once, the last one the bot's; the same values twice are one change."""
    await desk.run()
    waiting: list[Awaitable[str]] = [asyncio.ensure_future(desk.push(15))]
    await until(lambda: desk.asked() == ["1-15"], "the hook runs")
    for n in (2, 3, 4, 5, 5):
        waiting.append(asyncio.ensure_future(desk.push(n)))
        await asyncio.sleep(0)
    (desk.folder / "go").touch()
    assert await asyncio.gather(*waiting) == [SUPERSEDED] * 4 + ["", ""]
    assert desk.asked() == ["1-15", "15-5"] and desk.holds(5)


async def test_a_push_waits_for_a_link_that_comes_back(desk: Desk) -> None:
    """The bot's links are cut and made again; only a bot that stays away has none."""
    handle = await desk.run()
    desk.want(options={"n": 15})
    push = asyncio.ensure_future(desk.live.push(handle))
    await until(lambda: desk.asked() == ["1-15"], "the hook runs")
    handle.link._writer.transport.abort()  # type: ignore[union-attr]
    await until(lambda: handle.link is None, "the link is lost")
    (desk.folder / "go").touch()
    assert await push == "" and desk.asked() == ["1-15"]
    os.kill(handle.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
    handle.link._writer.transport.abort()  # type: ignore[union-attr]
    await until(lambda: handle.link is None, "the link is lost")
    assert await desk.push(2, 0.1) == "it has no link to psvd now"


async def test_a_bot_that_comes_with_other_settings_is_given_those_of_its_spec(desk: Desk) -> None:
    """As after a psvd that was killed over a change; if it refuses them, somebody should look, until it takes some."""
    desk.spec["options"] = {"n": 13}
    await desk.run(options={"n": 1}, settings_digest="of another psvd")
    await until(lambda: desk.alerts.is_open("alice", ALERT), "an alert")
    assert [event["message"] for event in desk.told] == ["runs with other settings than its fleet: refused: 13 brings bad luck"]
    desk.want(options={"n": 1})
    desk.handle.link._writer.transport.abort()  # type: ignore[union-attr]
    await until(lambda: not desk.alerts.is_open("alice", ALERT), "it is over")
    assert desk.asked() == ["1-13"] and desk.holds(1)


async def test_who_takes_no_options_keeps_them_until_its_next_start_without_an_alert(desk: Desk) -> None:
    """psv up with another fleet.toml lets such bots run on; that is no trouble."""
    desk.spec["options"] = {"n": 2}
    handle = await desk.run(WITHOUT, options={"n": 1}, settings_digest="of another psvd")
    assert "on_config_change" in await desk.live.push(handle)
    assert desk.told == []


async def test_options_without_bounds_are_not_sent(desk: Desk) -> None:
    """A line of the link has a limit; the bot keeps its link."""
    handle = await desk.run()
    desk.want(options={"n": 2, "text": "x" * (1 << 20)})
    assert "too many" in await desk.live.push(handle)
    assert await desk.push(3) == ""


async def test_a_bot_of_an_older_psv_is_not_asked(desk: Desk, idler: subprocess.Popen[bytes]) -> None:
    """Its hello says nothing of settings: it takes none, and nothing is sent to it."""
    handle = await desk.run(pid=idler.pid)
    reader, writer = await open_unix(desk.paths.socket("bot"), PATIENCE_S)
    hello = {"op": "hello", "bot": "alice", "generation": handle.generation, "secret": "0" * 32, "pid": 1, "protocol": 1}
    writer.write(json.dumps(hello).encode() + b'\n{"op": "ready"}\n')
    assert json.loads(await reader.readline())["op"] == "welcome"
    await until(lambda: handle.life.state is State.RUNNING, "it is ready")
    assert not desk.live.takes_options(handle)
    assert "older psv" in await desk.push(2)
    writer.close()
    assert await reader.read() == b"", "nothing was sent"


async def test_who_does_not_run_has_nothing_to_take(desk: Desk) -> None:
    """It reads its settings when it starts."""
    handle = await desk.run()
    handle.rest(Trigger.STOP, "admin")
    assert await desk.push(2) == ""
