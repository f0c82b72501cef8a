"""Fixtures of the web room: a fleet with the web process running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.web.webfleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose web process runs; bots and psvd are started by the test."""
    made = Fleet(tmp_path / "fleet")
    made.start_web()
    yield made
    made.close()
