"""The package's root: lazy, typed, and nothing more."""

from __future__ import annotations

import json
import subprocess
import sys


def loaded_by(code: str) -> list[str]:
    script = f"import sys, json\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    return json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30).stdout)


def test_a_bare_import_loads_nothing_but_the_version():
    """`import processsupervisor` costs nothing."""
    assert set(loaded_by("import processsupervisor")) <= {"processsupervisor", "processsupervisor.version", "__future__", "typing"} | set(
        loaded_by("import typing, __future__")
    )


def test_the_author_api_is_what_all_names_say():
    """Every promised name is there; an unknown one is an AttributeError."""
    names = loaded_by("from processsupervisor import *\nimport processsupervisor\nassert Bot() and Duration(1.5) == 1.5\n"
                      "assert all(getattr(processsupervisor, name).__name__ == name for name in ('Reply', 'Store', 'Http', 'Router'))")
    assert "processsupervisor.bot.api" in names
    failed = subprocess.run([sys.executable, "-c", "from processsupervisor import Robot"], capture_output=True, text=True, timeout=30, check=False)
    assert "cannot import name 'Robot'" in failed.stderr


def test_a_bot_needs_no_unix():
    """The console works where fcntl, uvloop, resource and pidfd are not to be had."""
    code = """
import sys, os, io
for name in ("fcntl", "resource", "uvloop", "pwd", "termios", "setproctitle", "psutil"):
    sys.modules[name] = None
for name in ("pidfd_open", "O_PATH"):
    if hasattr(os, name): delattr(os, name)
from processsupervisor import Bot
import processsupervisor.bot.runner, processsupervisor.connectors.web
"""
    assert "processsupervisor.bot.runner" in loaded_by(code)
