"""docs/reference/failures.md promises nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "reference" / "failures.md"
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and not line.startswith(("| case", "|---"))]
NAMED = re.findall(r"`(\S+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_the_page_names_exists(path: str, name: str) -> None:
    """A renamed or removed test must take its row along."""
    source = (PROJECT / "tests" / path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)


def test_every_row_is_shown_or_says_that_it_is_not_handled() -> None:
    """No claim without proof."""
    for row in ROWS:
        assert "::" in row or "not handled" in row or "not noticed yet" in row, row
    assert len(ROWS) >= 28
