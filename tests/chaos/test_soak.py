"""The soak in short: three minutes of a kill a second under 1 MB/s of logs, and nothing grows. `make soak` takes thirty."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.soak import Soak

MINUTES = 3.0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_own_processes_do_not_grow(folder: Path) -> None:
    """Memory, descriptors and threads of keeper, psvd, logd, web and zygotes."""
    result, is_flat = Soak(folder, 50, seed=1, warm_up_s=30.0).run(MINUTES)
    assert is_flat, result["violations"]
    assert result["kills"] > 60
