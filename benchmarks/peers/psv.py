"""psv itself, through its command line and its control socket, as a user would drive it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import INTERPRETER, PROGRAMS, Program, System
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.version import __version__

_HEAD = """[fleet]
name = "bench"
[global]
restart = {{ initial = "0s", base = "0s", window = [] }}
preload = {preload}
{policy}
"""


class Psv(System):
    """`preload` is what native bots have imported for them; scripts need none, their imports are found by reading them.

    `policy` is added to [global] of fleet.toml.
    """

    name = "psv"

    def __init__(self, folder: Path, preload: Sequence[str] = (), policy: str = "") -> None:
        super().__init__(folder)
        self.policy = policy
        self.paths = FleetPaths(folder)
        self.preload = list(preload)

    @classmethod
    def version(cls) -> str | None:
        return __version__

    def start(self, programs: Sequence[Program]) -> None:
        text = _HEAD.format(preload=json.dumps(self.preload), policy=self.policy)
        for program in programs:
            kind = f'run = "{program.script.stem}:bot"' if program.native else f'script = "{program.script}"'
            if program.command:
                kind = f'command = {json.dumps(program.command)}\nready = {{ after = "0s" }}'
            env = ", ".join(f'{key} = "{value}"' for key, value in program.env.items())
            text += f"[bots.{program.name}]\n{kind}\nenv = {{ {env} }}\n" + _settings(program)
        (self.folder / "fleet.toml").write_text(text)
        for script in {program.script for program in programs if program.native}:
            shutil.copy(script, self.folder)
        self.spawn(self.argv("up"))

    def argv(self, *words: str) -> list[str]:
        return [str(Path(INTERPRETER).parent / "psv"), "-C", str(self.folder), *words]

    def client(self) -> ControlClient:
        """Return a connection to psvd as soon as one can be had; NoSupervisor after 30 s."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return ControlClient(self.paths, 30)
            except Exception:
                if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                    raise
                time.sleep(0.01)

    def bots(self) -> list[dict[str, Any]]:
        with self.client() as client:
            bots: list[dict[str, Any]] = client.call("bot.list")
            return bots

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until every bot is ready; raises AssertionError naming those that are not."""
        with self.client() as client:
            result = client.call("fleet.wait", {"timeout_s": timeout_s}, timeout_s=timeout_s + 10)
        assert not result["not_ready"], f"not ready: {result['not_ready'][:5]}"

    def wait_until_up(self, count: int, timeout_s: float = 120.0) -> None:
        if count:
            self.wait_until_ready(timeout_s)
        else:
            self.client().close()

    def roles(self) -> dict[str, int]:
        """Return {role: pid} of psv's own processes; several zygotes are numbered."""
        with self.client() as client:
            found: dict[str, int] = {}
            for process in client.call("fleet.status")["processes"]:
                if process["pid"]:
                    role = process["role"]
                    found[role if role not in found else f"{role}-{process['pid']}"] = process["pid"]
        return found

    def own_pids(self) -> list[int]:
        return list(self.roles().values())

    def brain_pid(self) -> int:
        return self.roles()["psvd"]

    def bring_back(self) -> None:
        """The keeper does that."""

    def pid_of(self, program: Program) -> int:
        return int(next(bot["pid"] for bot in self.bots() if bot["name"] == program.name))

    def list_command(self) -> list[str]:
        return self.argv("bot", "list")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            subprocess.run(self.argv("down"), check=False, capture_output=True, timeout=120)
        self.end()


def _settings(program: Program) -> str:
    lines = {"python": program.python, "cwd": str(program.cwd or "")}
    text = "".join(f'{key} = "{value}"\n' for key, value in lines.items() if value)
    text += f"ready = {program.ready}\n" if program.ready else ""
    text += f'stop = {{ signal = "{program.stop_signal}" }}\n' if program.stop_signal else ""
    return text + program.settings


def native(name: str, number: int) -> Program:
    return Program(name, PROGRAMS / "bots.py", {"BOT_TOKEN": f"{number}:native"}, native=True)
