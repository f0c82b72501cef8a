"""The folder in which a task is done: bots that write who they are, and what of it must be true when the task is done.

Each bot holds a lock on `seen/NAME.lock` while it lives and writes `seen/NAME.json` when it begins; one that finds its lock taken leaves
`seen/NAME.twice`. So what is checked is what the bots themselves say, under whichever system.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.venv import bench_venv

HERE = Path(__file__).parent
PATIENCE_S = 180.0
SUPERVISORD = """[unix_http_server]
file=%(here)s/s.sock
[supervisord]
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/s.sock
"""
_OLD_BOT = """
[program:{name}]
command={python} old/bot.py {name}
directory={home}
environment=GREETING="from {name}"
autorestart=true
"""


@dataclass(frozen=True)
class Sizes:
    """How many bots there are of each kind."""

    shop: int = 40
    news: int = 10
    old: int = 30


def names(kind: str, count: int) -> list[str]:
    return [f"{kind}-{number:02}" for number in range(1, count + 1)]


def programs() -> Path:
    """Return the folder that holds supervisord: that of the tests' packages, else one made for the benchmarks."""
    beside = Path(sys.executable).parent
    return beside if (beside / "supervisord").exists() else bench_venv()


class Situation:
    """One folder; `end` stops the old supervisor, when one was begun. The systems are stopped by themselves."""

    def __init__(self, home: Path, sizes: Sizes) -> None:
        self.home = home
        self.sizes = sizes
        self._old: subprocess.Popen[bytes] | None = None
        for name in ("bin", "seen", "die", "logs", "conf.d", "old", "releases/1", "releases/2", "releases/3", "runtime"):
            (home / name).mkdir(parents=True)
        text = (HERE / "bot.py").read_text()
        (home / "releases/1/bot.py").write_text(text)
        (home / "old/bot.py").write_text(text)
        (home / "releases/2/bot.py").write_text(text.replace('VERSION = "1"', 'VERSION = "2"'))
        (home / "releases/3/bot.py").write_text("import a_library_that_is_not_there\n")
        for link in ("shop", "news"):
            (home / link).symlink_to("releases/1")
        (home / "shop.env").write_text("GREETING=hello\n")
        (home / "bin/psv").symlink_to(Path(sys.executable).parent / "psv")
        for program in ("supervisord", "supervisorctl"):
            (home / "bin" / program).symlink_to(programs() / program)

    def environment(self) -> dict[str, str]:
        """Return what a task's script and the systems see."""
        sizes = self.sizes
        return {
            "PATH": f"{self.home}/bin:{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8", "PYTHON": sys.executable,
            "PSV_RUNTIME_DIR": str(self.home / "runtime"), "PM2_HOME": str(self.home / "pm2"), "PM2_DISCRETE_MODE": "true",
            "NEW": f"shop-{sizes.shop + 1:02}", "DEAD": f"shop-{min(17, sizes.shop):02}", "NEWS": str(sizes.news), "COUNT": str(sizes.old),
        }  # fmt: skip

    def call(self, *argv: str, timeout_s: float = PATIENCE_S) -> None:
        """Run a command of the preparation: not counted; what it says is raised when it fails."""
        done = subprocess.run(argv, cwd=self.home, env=self.environment(), capture_output=True, text=True, timeout=timeout_s, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")

    def begin_old(self) -> None:
        """Run the bots of `move` where they are before it: under a supervisord of their own."""
        bots = names("old", self.sizes.old)
        sections = [_OLD_BOT.format(name=name, python=sys.executable, home=self.home) for name in bots]
        (self.home / "old/supervisord.conf").write_text(SUPERVISORD + "".join(sections))
        argv = [str(self.home / "bin/supervisord"), "-n", "-c", "old/supervisord.conf"]
        self._old = subprocess.Popen(argv, cwd=self.home, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        self.wait(lambda: self.run_all(bots), "the old bots run")

    def end(self) -> None:
        """End the old supervisor, when it still runs."""
        if self._old is not None and self._old.poll() is None:
            self._old.terminate()
            self._old.wait(30)

    def old_is_gone(self) -> bool:
        return self._old is None or self._old.poll() is not None

    def said(self, name: str) -> dict[str, Any]:
        """Return what a bot wrote when it began last."""
        try:
            found: dict[str, Any] = json.loads((self.home / f"seen/{name}.json").read_bytes())
        except OSError:
            return {"started": 0.0}
        return found

    def run_all(self, bots: Sequence[str], since: float = 0.0, **facts: str) -> bool:
        """Tell whether all of these run, began after `since` and said `facts`; raises AssertionError for one that was started twice."""
        twice = [path.name for path in (self.home / "seen").glob("*.twice")]
        assert not twice, f"started beside themselves: {twice}"
        for name in bots:
            said = self.said(name)
            if said["started"] <= since or any(said.get(key) != value for key, value in facts.items()) or not self._lives(name):
                return False
        return True

    def _lives(self, name: str) -> bool:
        with open(self.home / f"seen/{name}.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @staticmethod
    def wait(is_true: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> float:
        """Wait until it is true and return how long that took."""
        began = time.monotonic()
        while not is_true():
            if time.monotonic() - began > timeout_s:
                raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(0.05)
        return time.monotonic() - began
