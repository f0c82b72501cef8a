"""A real fleet in a folder of its own for one test: real keeper, psvd, logd and zygotes, driven over the control socket.

Nothing is faked. `stop` ends it in any state, kills included, and asserts that no process of it is left.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processsupervisor.config.applied import write_applied
from processsupervisor.config.content import pack
from processsupervisor.config.load import load_fleet
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code

PATIENCE_S = 30.0


def eventually(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Return the first true value of `condition`; fails with `what` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


def keeps_exit_status() -> bool:
    """Tell whether this kernel answers PIDFD_GET_INFO for a reaped process (Linux 6.15)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (6, 15)


class LiveFleet:
    """One fleet. Files are written before `up`; bots are reached through `bot` and `call`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = FleetPaths(folder)
        self.keeper: subprocess.Popen[bytes] | None = None
        self.canary_settle = "10s"
        """How long canaries of a change must be healthy."""
        self.log_total = "2GB"

    def write(self, name: str, text: str) -> Path:
        """Write a file of the fleet, dedented."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def configure(self, text: str, *, web: bool = False) -> None:
        """Write fleet.toml and apply it, as `psv up` does; mistakes inside one bot are allowed."""
        self.write("fleet.toml", self._head(web=web) + textwrap.dedent(text))
        loaded = load_fleet(self.folder)
        assert loaded.applied is not None, loaded.problems
        self.paths.ensure()
        write_applied(self.paths, loaded.applied)

    def _head(self, *, web: bool) -> str:
        page = "true\nlisten = '127.0.0.1:0'" if web else "false"
        fleet = f'[fleet]\nname = "test"\nsettle = "{self.canary_settle}"\nlog_total = "{self.log_total}"\n'
        return f"{fleet}[web]\nenabled = {page}\n"

    def apply(
        self, text: str, *, reason: str = "", base: int | None = None, now: bool = True, again: bool = False, web: bool = False
    ) -> dict[str, Any]:
        """Write another fleet.toml and have the running fleet apply it, as `psv config apply` does; returns the result."""
        path = self.write("fleet.toml", self._head(web=web) + textwrap.dedent(text))
        loaded = load_fleet(self.folder)
        assert loaded.applied is not None, loaded.problems
        candidates = self.paths.data / "candidates"
        candidates.mkdir(exist_ok=True)
        token = secrets.token_hex(8)
        (candidates / token).write_bytes(pack(loaded.applied, {"fleet.toml": path.read_text()}))
        args = {"token": token, "reason": reason, "base": base, "now": now, "again": again}
        with ControlClient(self.paths, timeout_s=120) as client:
            return dict(client.call("config.apply", args))

    def up(self, *, wait: bool = True, code: Code | None = None) -> None:
        """Start the keeper and wait until psvd answers, and by default until all that is wanted is ready or has failed.

        `code` is the package to run, the installed one by default; `psv up` itself runs a copy of it.
        """
        argv = (code or Code.own()).argv("processsupervisor.process.keeper", str(self.folder), "--foreground")
        self.keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(self.answers, "psvd answers")
        if wait:
            self.call("fleet.wait", timeout_s=PATIENCE_S)

    def answers(self) -> bool:
        """Tell whether psvd answers a ping."""
        try:
            self.call("ping")
        except PsvError:
            return False
        return True

    def call(self, op: str, **args: Any) -> Any:
        """Call one operation and return its result."""
        with ControlClient(self.paths, timeout_s=PATIENCE_S + 5) as client:
            return client.call(op, args)

    def bot(self, name: str) -> dict[str, Any]:
        """Return the bot object of one bot."""
        return dict(self.call("bot.list", names=[name])[0])

    def detail(self, name: str) -> dict[str, Any]:
        """Return the status object of one bot."""
        return dict(self.call("bot.status", names=[name])[0])

    def until(self, name: str, **wanted: Any) -> dict[str, Any]:
        """Wait until the bot's object has these values, and return it."""

        seen: dict[str, Any] = {}

        def looks() -> dict[str, Any] | None:
            try:
                seen.update(found := self.bot(name))
            except PsvError:
                return None
            return found if all(found[k] == v for k, v in wanted.items()) else None

        try:
            return dict(eventually(looks, f"{name} {wanted}"))
        except AssertionError as err:
            raise AssertionError(f"{err}; it is {seen}") from None

    def role_pid(self, role: str) -> int:
        """Return the pid of one own process."""
        found = [int(p["pid"]) for p in self.call("fleet.status")["processes"] if p["role"].startswith(role)]
        return found[0] if found else 0

    def kill_role(self, role: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to one own process and return its pid."""
        pid = self.role_pid(role)
        os.kill(pid, number)
        return pid

    def output(self, bot: str) -> str:
        """Return everything that the bot has written so far, raw."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.paths.bot_logs(bot).glob("std*.log")))

    def processes(self) -> list[int]:
        """Return the pids of every process that belongs to this fleet: by title, environment or argument."""
        return [pid for pid, _ in self._scan()]

    def copies(self, bot: str) -> list[int]:
        """Return the pids that carry the identity of one bot in a title or in PSV_BOT."""
        marks = (f"psv: bot {bot}\0".encode(), f"PSV_BOT={bot}\0".encode())
        return [pid for pid, text in self._scan() if any(m in text for m in marks)]

    def _scan(self) -> Iterator[tuple[int, bytes]]:
        folder = os.fsencode(self.folder)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes() + b"\0"
                here = os.fsencode(os.readlink(entry / "cwd"))
                state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except OSError:
                continue
            if state != b"Z" and (folder in text or here == folder or here.startswith(folder + b"/")):
                yield int(entry.name), text

    def down(self) -> dict[str, Any]:
        """Stop the fleet by command and wait for the keeper's end."""
        result = dict(self.call("fleet.down"))
        assert self.keeper is not None
        self.keeper.wait(PATIENCE_S)
        return result

    def stop(self) -> None:
        """End everything, whatever state the test left it in."""
        if self.keeper is not None and self.keeper.poll() is None:
            for _ in range(2):
                self.keeper.send_signal(signal.SIGTERM)
                try:
                    self.keeper.wait(12)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                self.keeper.kill()
                self.keeper.wait(5)
        for pid in [*self._role_holders(), *self.processes()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _role_holders(self) -> list[int]:
        """Return the pids of own processes that outlived their keeper: only their locks still show whose they are."""
        held = [lock.read_text() for lock in self.paths.run.glob("*.lock") if is_flocked(lock)]
        named = [str(json.loads(note)["pid"]) if note.startswith("{") else note.split()[-1] for note in held if note.strip()]
        return [int(pid) for pid in named if pid.isdigit()]


def spec_of(fleet: LiveFleet, bot: str) -> dict[str, Any]:
    """Return the spec that the present generation was started with."""
    return dict(json.loads((fleet.paths.bot_run(bot) / "spec.json").read_bytes()))
