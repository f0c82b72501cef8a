"""The generated page is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from processsupervisor.cli.reference import PAGE, render
from processsupervisor.cli.tree import verbs

ROOT = Path(__file__).parents[2]


def test_page_is_current() -> None:
    """docs/reference/cli.md is what the registry says; the fix is named."""
    done = subprocess.run([sys.executable, "-m", "processsupervisor.cli.reference", "--check"], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


def test_check_finds_an_old_page(tmp_path: Path) -> None:
    """An edited or missing page is not current."""
    page = tmp_path / "cli.md"
    argv = [sys.executable, "-m", "processsupervisor.cli.reference", str(page)]
    assert subprocess.run([*argv, "--check"], timeout=60, check=False, capture_output=True).returncode == 1
    assert subprocess.run(argv, timeout=60, check=False).returncode == 0
    assert page.read_text() == render() == (ROOT / PAGE).read_text()
    page.write_text("old")
    assert subprocess.run([*argv, "--check"], timeout=60, check=False, capture_output=True).returncode == 1


def test_every_form_is_on_the_page() -> None:
    """Every form of every verb is on the page."""
    text = render()
    assert all(f"psv {verb}" in text for verb in verbs())
