"""Runs bot.runner.main as a forked child would, in a process of its own: `child.py FOLDER NAME RUN [JSON of spec keys]`."""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from processsupervisor.bot.runner import main
from processsupervisor.kernel.paths import FleetPaths


@dataclass
class Context:
    spec: dict[str, Any]
    generation: int
    secret_fd: int
    paths: FleetPaths


if __name__ == "__main__":
    folder, name, run = sys.argv[1:4]
    more = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    sys.path[0] = folder
    os.chdir(folder)
    spec = {"name": name, "run": run, "options": {}, "log_level": "info", "stop": {"timeout_s": 5.0, "signal": "TERM"}, **more}
    read_end, write_end = os.pipe()
    os.write(write_end, b"0" * 32)
    os.close(write_end)
    sys.exit(main(Context(spec, int(os.environ.get("GENERATION", "1")), read_end, FleetPaths(folder))))
