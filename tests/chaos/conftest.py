"""A folder for one chaotic fleet, with the machine user's runtime folder inside it, so that every process can be told by it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty fleet folder."""
    found = tmp_path / "fleet"
    (found / "runtime").mkdir(parents=True)
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(found / "runtime"))
    return found
