"""runit and s6: a folder of service folders, a small supervisor process for each. Both wait a second between starts of a young service."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure
from benchmarks.peers.base import Program, System


def _package_version(package: str) -> str:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout or "unknown"


class _ServiceFolders(System):
    """What both have in common: `scan/NAME/run` is a shell script that becomes the program."""

    supervise: str

    def write_services(self, programs: Sequence[Program]) -> Path:
        scan = self.folder / "scan"
        scan.mkdir()
        for program in programs:
            service = scan / program.name
            service.mkdir()
            env = " ".join(f"{key}={shlex.quote(value)}" for key, value in program.env.items())
            script = service / "run"
            script.write_text(f"#!/bin/sh\nexec env {env} {shlex.join(program.argv)} >>{self.folder}/{program.name}.out 2>&1\n")
            script.chmod(0o755)
        return scan

    def own_pids(self) -> list[int]:
        own = []
        for pid in measure.tree(*self.roots()):
            name = Path(f"/proc/{pid}/comm")
            try:
                if name.read_text().strip() in (self.supervise, "runsvdir", "s6-svscan"):
                    own.append(pid)
            except OSError:
                continue
        return own

    def stop_services(self, argv: Sequence[str]) -> None:
        """Take every service down with `argv` (the folders are appended), then the scanner itself."""
        scan = self.folder / "scan"
        folders = [str(folder) for folder in scan.iterdir() if not folder.name.startswith(".")] if scan.is_dir() else []
        for at in range(0, len(folders), 100):
            subprocess.run([*argv, *folders[at:at + 100]], check=False, capture_output=True, timeout=60)


class Runit(_ServiceFolders):
    name = "runit"
    supervise = "runsv"

    @classmethod
    def version(cls) -> str | None:
        return _package_version("runit") if shutil.which("runsvdir") else None

    def start(self, programs: Sequence[Program]) -> None:
        self.spawn(["runsvdir", str(self.write_services(programs))])

    def list_command(self) -> list[str]:
        return ["sv", "status", *sorted(str(folder) for folder in (self.folder / "scan").iterdir())]

    def stop(self) -> None:
        self.stop_services(["sv", "-w", "20", "force-shutdown"])
        self.end()


class S6(_ServiceFolders):
    name = "s6"
    supervise = "s6-supervise"

    @classmethod
    def version(cls) -> str | None:
        return _package_version("s6") if shutil.which("s6-svscan") else None

    def start(self, programs: Sequence[Program]) -> None:
        self.spawn(["s6-svscan", "-c", "1000", str(self.write_services(programs))])

    def list_command(self) -> list[str]:
        # s6-svstat takes one service, so a person writes a loop.
        return ["sh", "-c", f"for s in {shlex.quote(str(self.folder))}/scan/*/; do s6-svstat $s; done"]

    def stop(self) -> None:
        self.end()
