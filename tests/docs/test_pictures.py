"""The pictures of README.md can be made again: the script runs the real demo, a real terminal and a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.page import PROJECT


@pytest.mark.slow
@pytest.mark.browser
def test_the_pictures_show_the_demo(tmp_path: Path) -> None:
    """The terminal shows what was typed and answered, and loads nothing from elsewhere; the page is a picture of some size."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    if not Path(os.environ.get("CHROMIUM", "/usr/bin/chromium")).exists():
        pytest.skip("needs chromium")

    subprocess.run([sys.executable, PROJECT / "docs" / "pictures.py", tmp_path], timeout=180, check=True)

    terminal = (tmp_path / "terminal.svg").read_text().replace("&#160;", " ")
    assert "1. buy milk" in terminal
    assert "docs/howto/what-happens-when.md#when-psvd-is-killed" in terminal
    assert "url(http" not in terminal
    assert (tmp_path / "page.png").stat().st_size > 20_000
