"""A live fleet whose processes are of a test build, and what must hold on its disk whenever all is quiet."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.crash.doubles import Doubles
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.journal import read
from processsupervisor.kernel.crashing import STRUCK
from processsupervisor.kernel.crashpoints import CrashPoint
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.identity import read_stat

BOTS = ("script", "native", "program", "bystander")
CONFIG = """
    [global]
    restart = { stable_after = "0s", window = [{ count = 10000, within = "10m" }] }
    stop = { timeout = "3s" }
    [bots.script]
    script = "main.py"
    ready = { log = "^up " }
    [bots.native]
    run = "echo:bot"
    [bots.program]
    command = ["sh", "-c", "echo up $$; sleep 1000 & wait"]
    ready = { log = "^up " }
    [bots.bystander]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
SCRIPT = """
    import os, signal, sys, time
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
    print("up", os.getpid(), flush=True)
    time.sleep(1000)
"""
NATIVE = """
    from processsupervisor import Bot, Message
    bot = Bot()

    @bot.on_message
    async def answer(message: Message) -> str:
        return message.text
"""


class CrashFleet(LiveFleet):
    """A live fleet whose processes are of a test build."""

    def __init__(self, folder: Path, points: Path, *, web: bool) -> None:
        super().__init__(folder)
        self.points = points
        self.web = web
        self.write("main.py", SCRIPT)
        self.write("echo.py", NATIVE)
        self.configure(CONFIG, web=web)
        self.doubles = Doubles(folder, list(BOTS))
        self.doubles.start()
        self.spawn_keeper()
        self.settle()

    def spawn_keeper(self) -> None:
        """Run a keeper, as psv up does, and do not wait for it."""
        argv = [sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(self.folder), "--foreground"]
        self.keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def settle(self) -> dict[str, dict[str, Any]]:
        """Wait until a keeper, a psvd and every bot are where they should be, and return the bots."""
        try:
            return dict(eventually(self._is_settled, "every bot reaches what is wanted"))
        except AssertionError as err:
            raise AssertionError(f"{err}: {self._describe()}") from err

    def _describe(self) -> str:
        """Return what stands where, for a person."""
        try:
            bots = [(b["name"], b["wanted"], b["state"], b["pid"], b["reason"]) for b in self.call("bot.list")]
            status = self.call("fleet.status")
            return f"{bots}, {status['processes']}, web {status['web']}, notes {status['notes']}"
        except PsvError as err:
            return str(err)

    def _is_settled(self) -> dict[str, dict[str, Any]] | None:
        try:
            status = self.call("fleet.status")
            bots = {str(b["name"]): dict(b) for b in self.call("bot.list")}
        except PsvError:
            return None
        roles = {str(p["role"]): int(p["pid"]) for p in status["processes"]}
        goals = {"up": "RUNNING", "down": "STOPPED"}
        is_there = self.keeper is not None and roles.get("keeper") == self.keeper.pid and "logd" in roles
        if not is_there or (self.web and not status["web"]):
            return None
        is_as_wanted = all(b["state"] == goals[b["wanted"]] for b in bots.values())
        # A bot that ended is RUNNING for the moment in which psvd waits for its status; one whose ready line came before the word of
        # its birth has no pid yet.
        is_whole = all(b["state"] != "RUNNING" or (b["pid"] and _lives(b["pid"])) for b in bots.values())
        return bots if is_as_wanted and is_whole else None

    def arm(self, point: CrashPoint, passes: int) -> None:
        """Let the next process that reaches `point` die there, after `passes`."""
        (self.points / f"{STRUCK}{point}").unlink(missing_ok=True)
        (self.points / point).write_bytes(b"." * passes)

    def struck(self, point: CrashPoint) -> int:
        """Return the pid that died at `point`, 0 while none has."""
        try:
            return int((self.points / f"{STRUCK}{point}").read_text() or 0)
        except FileNotFoundError:
            return 0

    def is_keeper_dead(self) -> bool:
        """Tell whether the keeper that was last run has ended."""
        return self.keeper is not None and self.keeper.poll() is not None

    def ask(self, op: str, **args: Any) -> dict[str, Any] | None:
        """Return the answer to a command, None when its psvd died first."""
        try:
            found = self.call(op, **args)
        except PsvError:
            return None
        return dict(found[0] if isinstance(found, list) else found)

    def psvd_pid(self) -> int:
        """Return psvd's pid from its lock."""
        return int(self.paths.role_lock("psvd").read_text().split()[-1])

    def stop(self) -> None:
        """See LiveFleet; nobody dies at a point any more."""
        for armed in self.points.iterdir():
            armed.unlink()
        self.doubles.stop()
        super().stop()

    # -- what must hold

    def check_disk(self, bots: dict[str, dict[str, Any]]) -> None:
        """Journal whole, one row an exit, FIFOs and locks of present generations only."""
        numbers = [entry.sequence for entry in read(self.paths.journal)]
        assert numbers == sorted(set(numbers)), "the journal has each exit once"
        with sqlite3.connect(self.paths.database) as db:
            twice = db.execute("SELECT bot, generation, count(*) FROM exits GROUP BY bot, generation HAVING count(*) > 1").fetchall()
        assert twice == [], "an exit is noted once"
        for name, bot in bots.items():
            wanted = {f"{s}-{bot['generation']}" for s in ("out", "err")} if bot["pid"] else set()
            eventually(lambda: self._fifos(name) == wanted, f"FIFOs of {name}: {wanted}, not {self._fifos(name)}")
            assert is_flocked(self.paths.bot_run(name) / "lock") == bool(bot["pid"])

    def _fifos(self, bot: str) -> set[str]:
        return {p.name for p in self.paths.bot_run(bot).glob("*-*") if p.is_fifo()}

    def exit_of(self, bot: str, generation: int) -> dict[str, Any]:
        """Return the noted exit of one generation."""
        with sqlite3.connect(self.paths.database) as db:
            rows = db.execute("SELECT record FROM exits WHERE bot = ? AND generation = ?", (bot, generation)).fetchall()
        assert len(rows) == 1, f"the exit of {bot} {generation} is noted once: {rows}"
        return dict(json.loads(rows[0][0]))


def _lives(pid: int) -> bool:
    facts = read_stat(pid)
    return facts is not None and facts[0] not in "ZX"
