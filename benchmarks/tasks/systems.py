"""The four systems as an experienced operator has them set up before the tasks: bots of one kind described once, logs and restarts on.

`begin` starts the system with its bots (or with none, for the bots that move here), `enter` says how to run a command where the system
is, `end` stops all of it.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import subprocess
import sys

from benchmarks import measure
from benchmarks.peers.base import first_line, kill_if_there
from benchmarks.peers.pm2 import Pm2 as MeasuredPm2
from benchmarks.tasks.boot import Booted, can_boot
from benchmarks.tasks.situation import SUPERVISORD, Situation, names, programs
from processsupervisor.version import __version__

_SUPERVISORD = f"""{SUPERVISORD}[include]
files=conf.d/*.conf
"""
_SUPERVISORD_KIND = """
[program:{kind}]
command={python} {kind}/bot.py {kind}-%(process_num)02d
process_name={kind}-%(process_num)02d
numprocs={count}
numprocs_start=1
directory=%(here)s
{setting}autorestart=true
stderr_logfile=%(here)s/logs/{kind}-%(process_num)02d.err
"""
_ECOSYSTEM = """const COUNT = {count};
const apps = [...Array(COUNT)].map((_, i) => {{
  const name = '{kind}-' + String(i + 1).padStart(2, '0');
  return {{
    name, namespace: '{kind}', script: '{kind}/bot.py', args: name, cwd: '{home}', interpreter: '{python}',
    env: {{{setting}}},
  }};
}});
module.exports = {{ apps }};
"""
_UNIT = """[Unit]
Description=%i
[Service]
WorkingDirectory={home}
{setting}ExecStart={python} {kind}/bot.py %i
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
"""


class System(abc.ABC):
    """One system in one situation."""

    name: str
    mark: str
    """How a bot knows that it runs under it: the beginning of a variable and its value."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.kinds = {"shop": situation.sizes.shop, "news": situation.sizes.news}

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str | None:
        """Return the version, or None when it cannot be had here."""

    @abc.abstractmethod
    def begin(self, is_empty: bool) -> None: ...

    @abc.abstractmethod
    def end(self) -> None: ...

    def enter(self) -> list[str]:
        """Return what stands before a command that is to run where the system is."""
        return []


class Psv(System):
    name = "psv"
    mark = "PSV_BOT="

    @classmethod
    def version(cls) -> str | None:
        return __version__

    def begin(self, is_empty: bool) -> None:
        if is_empty:
            return
        text = '[fleet]\nname = "tasks"\n'
        for kind in self.kinds:
            text += f'\n[types.{kind}]\nscript = "{kind}/bot.py"\n' + ('env_file = "shop.env"\n' if kind == "shop" else "")
        for kind, count in self.kinds.items():
            text += "".join(f'\n[bots.{name}]\ntype = "{kind}"\nargs = {json.dumps([name])}\n' for name in names(kind, count))
        (self.situation.home / "fleet.toml").write_text(text)
        self.situation.call("psv", "up", "--detach", "--wait")

    def end(self) -> None:
        if (self.situation.home / ".psv").is_dir():
            self.situation.call("psv", "down")


class Supervisord(System):
    name = "supervisord"

    @property
    def mark(self) -> str:  # type: ignore[override]
        return f"SUPERVISOR_SERVER_URL=unix://{self.situation.home}/s.sock"

    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def version(cls) -> str | None:
        return first_line([str(programs() / "supervisord"), "--version"])

    def begin(self, is_empty: bool) -> None:
        text = _SUPERVISORD
        if not is_empty:
            for kind, count in self.kinds.items():
                setting = 'environment=GREETING="hello"\n' if kind == "shop" else ""
                text += _SUPERVISORD_KIND.format(kind=kind, count=count, python=sys.executable, setting=setting)
        home = self.situation.home
        (home / "supervisord.conf").write_text(text)
        self._process = subprocess.Popen(
            [home / "bin/supervisord", "-n"], cwd=home, env=self.situation.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.situation.wait((home / "s.sock").exists, "supervisord listens")

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


class Pm2(System):
    name = "pm2"
    mark = "pm_id="

    @classmethod
    def version(cls) -> str | None:
        return MeasuredPm2.version()

    def begin(self, is_empty: bool) -> None:
        home = self.situation.home
        for kind, count in {} if is_empty else self.kinds.items():
            setting = " GREETING: 'hello' " if kind == "shop" else ""
            text = _ECOSYSTEM.format(kind=kind, count=count, home=home, python=sys.executable, setting=setting)
            (home / f"{kind}.config.js").write_text(text)
            self.situation.call("pm2", "start", f"{kind}.config.js")
        self.situation.call("pm2", "save", "--force")

    def end(self) -> None:
        members = []
        with contextlib.suppress(OSError, ValueError):
            members = measure.tree(int((self.situation.home / "pm2/pm2.pid").read_text()))
        with contextlib.suppress(subprocess.TimeoutExpired, RuntimeError):
            self.situation.call("pm2", "kill")
        for pid in members:
            kill_if_there(pid)


class Systemd(System):
    name = "systemd"
    mark = "INVOCATION_ID="
    _booted: Booted | None = None

    @classmethod
    def version(cls) -> str | None:
        return first_line(["sh", "-c", "systemctl --version | head -n 1"]) if can_boot() else None

    def begin(self, is_empty: bool) -> None:
        home = self.situation.home
        self._booted = Booted(f"psv-tasks-{os.getpid()}", home)
        if is_empty:
            return
        units = []
        for kind, count in self.kinds.items():
            unit = home / f"{kind}@.service"
            setting = f"EnvironmentFile={home}/shop.env\n" if kind == "shop" else ""
            unit.write_text(_UNIT.format(kind=kind, home=home, python=sys.executable, setting=setting))
            self.situation.call(*self.enter(), "cp", str(unit), "/etc/systemd/system/")
            units += [f"{kind}@{name}" for name in names(kind, count)]
        self.situation.call(*self.enter(), "systemctl", "enable", "--now", *units)

    def enter(self) -> list[str]:
        assert self._booted is not None
        return self._booted.enter()

    def end(self) -> None:
        if self._booted is not None:
            self._booted.end()


SYSTEMS: tuple[type[System], ...] = (Psv, Supervisord, Pm2, Systemd)
