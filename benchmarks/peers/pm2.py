"""pm2 from npm: its daemon detaches itself; everything it writes goes into the folder through PM2_HOME."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure
from benchmarks.peers.base import Program, System, kill_if_there


class Pm2(System):
    name = "pm2"

    @classmethod
    def version(cls) -> str | None:
        # Asking pm2 itself would leave a daemon behind.
        program = shutil.which("pm2")
        if program is None:
            return None
        package = Path(program).resolve().parent.parent / "package.json"
        return str(json.loads(package.read_text())["version"]) if package.is_file() else "unknown"

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PM2_HOME": str(self.folder / "pm2"), "PM2_DISCRETE_MODE": "true"}

    def start(self, programs: Sequence[Program]) -> None:
        apps = [{"name": p.name, "script": p.argv[-1] if not p.command else p.argv[0], "args": p.argv[1:] if p.command else [],
                 "interpreter": "none" if p.command else p.argv[0], "env": p.env, "exec_mode": "fork", "autorestart": True,
                 "max_restarts": 100000, "min_uptime": 0, "restart_delay": 0, "cwd": str(self.folder)} for p in programs]
        config = self.folder / "ecosystem.config.json"
        config.write_text(json.dumps({"apps": apps}))
        argv = ["pm2", "start", str(config)] if apps else ["pm2", "ping"]
        self.spawn(argv)

    def roots(self) -> list[int]:
        try:
            return [int((self.folder / "pm2" / "pm2.pid").read_text())]
        except (OSError, ValueError):
            return []

    def list_command(self) -> list[str]:
        return ["pm2", "list"]

    def stop(self) -> None:
        members = measure.tree(*self.roots())
        with contextlib.suppress(subprocess.TimeoutExpired):  # a thousand programs take it minutes
            subprocess.run(["pm2", "kill"], env=self.environment(), check=False, capture_output=True, timeout=120)
        for pid in members:
            kill_if_there(pid)
        self.end()
