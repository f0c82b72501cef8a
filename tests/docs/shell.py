"""A reader's shell: commands run one after the other in a folder and with an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND_TIMEOUT_S = 90


class Shell:
    """Runs the blocks of one page in a folder of its own, as a reader would; `cd` in one command counts for the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outside = folder.parent
        home, runtime = self._outside / "home", self._outside / "runtime"
        for made in (home, runtime):
            made.mkdir(mode=0o700)
        self._env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "USER": "reader",
            "PSV_RUNTIME_DIR": str(runtime),
        }

    def write(self, name: str, text: str) -> None:
        """Write a file in the folder."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, command: str, expected: int = 0) -> str:
        """Run one command and return its output; a wrong exit status fails with all that it said."""
        place = self._outside / "cwd"
        script = f"{command}\nstatus=$?\npwd > {place}\nexit $status"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
            text=True,
            check=False,
        )
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\nexit status {done.returncode}, expected {expected}"
        if place.is_file():
            self._folder = Path(place.read_text().strip())
        return done.stdout

    def run_python(self, text: str) -> None:
        """Run a program in the folder."""
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=self._folder, env=self._env, capture_output=True, timeout=COMMAND_TIMEOUT_S, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Stop what a page has left running."""
        if (self._folder / ".psv").is_dir():
            subprocess.run(["psv", "down"], cwd=self._folder, env=self._env, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
