"""A fleet folder with the files that the examples name, and short ways to load a text in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from processsupervisor.config.load import Loaded, load_fleet

Load = Callable[[str], Loaded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet folder with a native bot's module, a script and a program."""
    (tmp_path / "bots.py").write_text("helper = None\n")
    (tmp_path / "main.py").write_text("import asyncio\n")
    (tmp_path / "other.py").write_text("")
    program = tmp_path / "run.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """Write a text as fleet.toml (behind a [fleet] with a name, unless it has one) and load it."""

    def load_text(text: str) -> Loaded:
        head = "" if "[fleet]" in text else '[fleet]\nname = "demo"\n'
        (folder / "fleet.toml").write_text(head + text, encoding="utf-8")
        return load_fleet(folder)

    return load_text


def as_nobody(claim: Callable[[], bool]) -> bool:
    """Return what `claim` says when asked without root: here, or in a fork that gave up root."""
    if os.geteuid() != 0:
        return claim()
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            os.setgroups([])
            os.setuid(65534)
            status = 0 if claim() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
