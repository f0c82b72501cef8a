"""The virtual environment that holds the peers from PyPI, made once and kept: `.bench-venv` beside the checkout's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / ".bench-venv"
_PACKAGES = ("supervisor==4.3.0", "circus==0.18.0", "setuptools<81")


def bench_venv() -> Path:
    """Return the environment's bin folder; make and fill it first when it is not there."""
    stamp = FOLDER / ".installed"
    wanted = "\n".join(_PACKAGES)
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"making {FOLDER.name} with {', '.join(_PACKAGES)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        pip = [FOLDER / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *_PACKAGES], check=True)
        stamp.write_text(wanted)
    return FOLDER / "bin"
