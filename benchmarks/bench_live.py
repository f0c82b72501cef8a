"""A live setting for 200 running bots: from the command to the last bot whose own hook has seen the new value. Prints JSON.

    python benchmarks/bench_live.py [--bots 200] [--rounds 9] [--direct] [--folder DIR] [--write FILE]

Each round is one `psv config set --type live options.number N`: the whole command, the version in psv.db and the rollout are part of
it. `handlers_ms` ends when the last bot has told the benchmark (a datagram out of its hook on_config_change) that it saw N, `whole_ms`
when the command has ended. The goal is 1 s for the median of `handlers_ms`; no bot may have another pid or generation afterwards, and
each says the last value when it is asked by a message. With --direct the push alone is measured: psvd is killed, its keeper held, and
LiveConfig in this process takes the place of psvd on bot.sock; `whole_ms` is then the last answer over the links.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import facts
from benchmarks.measure import pss_mb
from benchmarks.peers.base import PROGRAMS, Program
from benchmarks.peers.psv import Psv
from benchmarks.rows.talk import talk_to_all
from processsupervisor.kernel.states import State
from processsupervisor.process.condition import Condition
from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.botlinks import BotLinks
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.liveconfig import LiveConfig

GOAL_MS = 1000.0
PATIENCE_S = 120.0


class LiveFleet(Psv):
    """One type of bots with a hook for other options."""

    def start(self, programs: Sequence[Program]) -> None:
        env = json.dumps(programs[0].env).replace(": ", " = ")
        text = f'[fleet]\nname = "bench"\n[web]\nenabled = false\n[types.live]\nrun = "live:bot"\nenv = {env}\noptions = {{ number = 0 }}\n'
        text += "".join(f'[bots.{program.name}]\ntype = "live"\n' for program in programs)
        (self.folder / "fleet.toml").write_text(text)
        shutil.copy(PROGRAMS / "live.py", self.folder)
        self.spawn(self.argv("up"))


class Ear:
    """Hears what the bots' hooks tell."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_S)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def hear(self, pids: dict[str, int], number: int) -> float:
        """Return when the last of these bots, in these processes, had told the number."""
        missing = set(pids)
        while missing:
            name, pid, told = self.socket.recv(200).decode().split()
            if int(told) == number and pids[name] == int(pid):
                missing.discard(name)
        return time.monotonic()


def set_by_command(system: Psv, ear: Ear, pids: dict[str, int], number: int) -> tuple[float, float]:
    """One round as an operator makes it; returns the seconds to the last handler and to the end of the command."""
    began = time.monotonic()
    command = subprocess.Popen(system.argv("config", "set", "--type", "live", "options.number", str(number)), env=system.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    heard = ear.hear(pids, number)
    said, _ = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, said
    return heard - began, time.monotonic() - began


class StandIn:
    """psvd reduced to the links of its bots."""

    def __init__(self, system: Psv) -> None:
        self._handles: dict[str, Any] = {}
        for bot in system.bots():
            spec = json.loads((system.paths.bot_run(bot["name"]) / "spec.json").read_bytes())
            handle = SimpleNamespace(
                name=bot["name"], spec=spec, generation=bot["generation"], secret_digest="", link=None, condition=Condition(),
                process=SimpleNamespace(pid=bot["pid"]), life=SimpleNamespace(state=State.RUNNING),
                say_ready=lambda: None, pausing=SimpleNamespace(follow=lambda: None),
            )  # fmt: skip
            handle.learn_secret = lambda digest, handle=handle: setattr(handle, "secret_digest", digest)
            self._handles[handle.name] = handle
        self._live = LiveConfig(Alerts(Events()))
        self._path = system.paths.socket("bot")

    async def rounds(self, ear: Ear, pids: dict[str, int], count: int) -> list[tuple[float, float]]:
        """Wait for all bots, then push to all of them `count` times."""
        self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._path))
        listener.listen(4096)
        links = BotLinks(self._handles.get, lambda *_: None, Events(), self._live)
        await links.serve(listener)
        while not all(handle.condition.is_known for handle in self._handles.values()):
            await asyncio.sleep(0.1)
        took = [await self._round(ear, pids, number) for number in range(1, count + 1)]
        links.close()
        while linked := [handle.link for handle in self._handles.values() if handle.link is not None]:
            for link in linked:
                link._writer.transport.abort()
            await asyncio.sleep(0.1)
        return took

    async def _round(self, ear: Ear, pids: dict[str, int], number: int) -> tuple[float, float]:
        heard = asyncio.get_running_loop().run_in_executor(None, ear.hear, pids, number)
        began = time.monotonic()
        for handle in self._handles.values():
            handle.spec = {**handle.spec, "options": {"number": number}}
        answers = await asyncio.gather(*(self._live.push(handle) for handle in self._handles.values()))
        answered = time.monotonic() - began
        assert not any(answers), set(answers)
        return await heard - began, answered


def push_directly(system: Psv, ear: Ear, pids: dict[str, int], count: int) -> list[tuple[float, float]]:
    """Measure LiveConfig alone; the keeper and a new psvd have the fleet again afterwards, but for the links of the bots."""
    assert system.process is not None
    stand_in, brain = StandIn(system), system.brain_pid()
    system.process.send_signal(signal.SIGSTOP)
    try:
        os.kill(brain, signal.SIGKILL)
        return asyncio.run(asyncio.wait_for(stand_in.rounds(ear, pids, count), PATIENCE_S))
    finally:
        system.process.send_signal(signal.SIGCONT)


def measure(folder: Path, bots: int, rounds: int, *, is_direct: bool) -> dict[str, object]:
    """Start the fleet, change the setting `rounds` times, and return what it took."""
    ear = Ear()
    env = {"TELL_PORT": str(ear.port), "LAST": str(rounds)}
    system = LiveFleet(folder)
    try:
        system.start([Program(f"b{n:04}", PROGRAMS / "live.py", env) for n in range(bots)])
        system.wait_until_up(bots, PATIENCE_S)
        before = {bot["name"]: bot["pid"] for bot in system.bots()}
        idle_mb = pss_mb(before.values()) / bots
        if is_direct:
            took = push_directly(system, ear, before, rounds)
        else:
            took = [set_by_command(system, ear, before, number) for number in range(1, rounds + 1)]
        after = {bot["name"]: bot["pid"] for bot in system.bots() if bot["generation"] == 1}
        assert after == before, f"{sum(after.get(name) != pid for name, pid in before.items())} bots were restarted"
        changed_mb = pss_mb(before.values()) / bots
        said = talk_to_all(system.paths, list(before)).count
        assert said == bots, f"only {said} of {bots} have the last value"
    finally:
        system.stop()
    handlers, whole = (sorted(1000 * seconds for seconds in column) for column in zip(*took, strict=True))
    return {
        "bots": bots, "rounds": rounds, "restarted": 0, "said_it": said,
        "handlers_ms": round(statistics.median(handlers), 1), "handlers_worst_ms": round(handlers[-1], 1),
        "whole_ms": round(statistics.median(whole), 1), "whole_worst_ms": round(whole[-1], 1),
        "pss_mb_each": round(idle_mb, 2), "pss_mb_each_after": round(changed_mb, 2),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="A live setting for many running bots.")
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--direct", action="store_true", help="the push alone, without the command")
    parser.add_argument("--folder", help="where to make the fleet (default: the system's temporary folder)")
    parser.add_argument("--write", help="keep the JSON in this file too")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="live-", dir=chosen.folder))
    try:
        found = measure(folder, chosen.bots, chosen.rounds, is_direct=chosen.direct)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {"machine": facts(), "way": "direct" if chosen.direct else "command", **found,
              "goal_ms": GOAL_MS, "is_met": float(str(found["handlers_ms"])) <= GOAL_MS}  # fmt: skip
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.write:
        Path(chosen.write).write_text(text + "\n")
    return 0 if result["is_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
