"""The fleet that the chaos runs are let loose on: bots of all three kinds, their programs, and who runs there at this moment.

Native bots echo over the web connector; scripts and commands write numbered lines and keep the number of lines written in a
file that survives them. Processes are found by the locks they hold, never by what psvd says of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.identity import Identity
from processsupervisor.launch.locks import read_holder

OWN_ROLES = ("keeper", "psvd", "logd", "web", "zygote")

_ECHO = '''
    import asyncio
    from processsupervisor import Bot, Message

    bot = Bot()

    @bot.on_message
    async def answer(message: Message) -> str:
        if message.text.startswith("slow"):
            await asyncio.sleep(0.2)
        return f"echo {message.text}"
'''

_LINES = '''
    """main.py FOLDER LINES_A_TURN TURN_S WIDTH: writes lines "L LIFE NUMBER ..."; FOLDER/LIFE holds how many writes have returned."""
    import mmap, os, sys, time

    life = f"{os.getpid()}-{time.time_ns()}"
    with open(os.path.join(sys.argv[1], life), "wb+") as file:
        file.truncate(8)
        written = mmap.mmap(file.fileno(), 8)
    per_turn, turn_s, width = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    number = 0
    while True:
        lines = "".join(f"L {life} {n} ".ljust(width - 1, ".") + chr(10) for n in range(number, number + per_turn))
        os.write(1, lines.encode())  # at most PIPE_BUF: whole or not at all
        number += per_turn
        written[:8] = number.to_bytes(8, "little")
        time.sleep(turn_s)
'''


@dataclass(frozen=True, slots=True)
class Shape:
    """How many bots of each kind, and how much the programs write: `lines_a_turn` lines of `width` bytes each `turn_s`."""

    native: int
    script: int
    command: int
    lines_a_turn: int = 1
    turn_s: float = 0.05
    width: int = 48
    log_max: str = "64KB"
    log_keep: int = 1000

    @property
    def natives(self) -> list[str]:
        return [f"n{i:02}" for i in range(self.native)]

    @property
    def writers(self) -> list[str]:
        return [f"s{i:02}" for i in range(self.script)] + [f"c{i:02}" for i in range(self.command)]

    @property
    def bots(self) -> list[str]:
        return self.natives + self.writers


class ChaosFleet(LiveFleet):
    """A live fleet of one Shape whose keeper may be killed and brought again at any time."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        super().__init__(folder)
        self.shape = shape

    def lives(self, bot: str) -> Path:
        """Return the folder in which the lives of a writer count their lines."""
        return self.folder / "lives" / bot

    def prepare(self) -> None:
        """Write programs and fleet.toml; restarts are immediate and never given up, so that kills alone decide."""
        assert self.shape.lines_a_turn * self.shape.width <= 4096, "a turn must be one atomic write"
        self.write("bots.py", _ECHO)
        self.write("main.py", _LINES)
        for name in self.shape.writers:
            self.lives(name).mkdir(parents=True, exist_ok=True)
        logs = f'logs = {{ max = "{self.shape.log_max}", keep = {self.shape.log_keep} }}'
        head = f'[global]\nrestart = {{ initial = "0s", base = "0s", window = [] }}\nstart_timeout = "30s"\n{logs}\n'
        self.configure(head + "".join(self.section(name) for name in self.shape.bots), web=True)

    def section(self, name: str) -> str:
        """Return the table of a bot."""
        if name in self.shape.natives:
            return f'[bots.{name}]\nrun = "bots:bot"\n'
        args = json.dumps([str(self.lives(name)), str(self.shape.lines_a_turn), str(self.shape.turn_s), str(self.shape.width)])
        if name.startswith("s"):
            return f'[bots.{name}]\nscript = "main.py"\nargs = {args}\nready = {{ log = "^L " }}\n'
        return f'[bots.{name}]\ncommand = ["python", "main.py"]\nargs = {args}\nready = {{ after = "0s" }}\n'

    # -- who runs

    def bring_keeper(self) -> None:
        """Run a keeper, as `psv up` does at its end, and return at once."""
        argv = [sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(self.folder), "--foreground"]
        self.keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def call_when_up(self) -> None:
        """Wait until every bot is ready."""
        eventually(self.answers, "psvd answers")
        self.call("fleet.wait", timeout_s=60.0)

    def bot_process(self, bot: str) -> tuple[Identity, int] | None:
        """Return identity and generation of a bot's living process, by its own lock file; None when none lives."""
        holder = read_holder(self.paths.bot_run(bot) / "lock") or {}
        identity = Identity.from_json(holder)
        return (identity, int(holder["generation"])) if identity is not None and is_alive(identity) else None

    def role_process(self, role: str, index: int = 0) -> Identity | None:
        """Return the living holder of a role's lock; `index` chooses among the zygotes."""
        if role == "zygote":
            living = self.zygotes()
            return living[index % len(living)] if living else None
        return _holder(self.paths.role_lock(role))

    def zygotes(self) -> list[Identity]:
        """Return the living zygotes, in the order of their lock files' names."""
        found = [_holder(path) for path in sorted(self.paths.run.glob("zygote-*.lock"))]
        return [identity for identity in found if identity is not None]

    def processes_named(self) -> dict[str, Identity]:
        """Return the living own processes by role, zygotes as zygote-0, zygote-1…"""
        roles = {role: self.role_process(role) for role in OWN_ROLES if role != "zygote"}
        found = {role: identity for role, identity in roles.items() if identity is not None}
        return found | {f"zygote-{n}": identity for n, identity in enumerate(self.zygotes())}


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs (a zombie does not)."""
    return str(identity.liveness()) == "alive"


def _holder(path: Path) -> Identity | None:
    """Return who holds a role's lock; the note ends with a pid, or is an identity as JSON."""
    try:
        if not is_flocked(path):
            return None
        text = path.read_text()
        named = Identity.from_json(json.loads(text)) if text.startswith("{") else Identity.of(int(text.split()[-1]))
    except (OSError, ValueError, IndexError):
        return None
    return named if named is not None and is_alive(named) else None


def splits(total: int) -> tuple[int, int, int]:
    """Return how many native bots, scripts and commands make up `total`."""
    script = total * 3 // 10
    return total - 2 * script, script, script


def names(identities: Sequence[Identity]) -> str:
    """Return pids for a message."""
    return ", ".join(str(i.pid) for i in identities)
