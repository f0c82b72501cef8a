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


@pytest.mark.slow
def test_the_picture_of_top_shows_a_fleet_at_work(tmp_path: Path) -> None:
    """Every column, states of several kinds, messages a minute, logs of the selected bots and the keys; small, and of no other place."""
    subprocess.run([sys.executable, PROJECT / "docs" / "pictures" / "top.py", tmp_path], timeout=180, check=True, capture_output=True)
    made, kept = tmp_path / "top.svg", PROJECT / "docs" / "pictures" / "top.svg"
    for picture in (made, kept):
        text = picture.read_text().replace("&#160;", " ")
        for words in ("NAME", "MSG/MIN", "RUNNING", "RECOVERING", "STOPPED", "messages/min", "3 selected", "logs of orders, support, invoices", "noted", "Quit"):
            assert words in text, f"{words} in {picture}"
        assert "url(http" not in text and "/tmp" not in text
        assert picture.stat().st_size < 150_000
