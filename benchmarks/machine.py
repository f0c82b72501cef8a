"""Facts about the machine and the moment, kept with every result: a number without them says little."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def facts() -> dict[str, object]:
    """Return date, commit, CPU, memory, kernel, Python and the load before the run (above 0.5 a core it was not quiet)."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory_kb = int(next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")).split()[1])
    load = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "cpu": models[0] if models else "", "cores": cores, "memory_gb": round(memory_kb / 2**20, 1), "kernel": platform.release(),
        "python": platform.python_version(), "load_before": round(load, 2), "quiet": load < 0.5 * cores,
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()
