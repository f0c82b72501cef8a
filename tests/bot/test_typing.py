"""The author API has types that help: mypy passes what is right, and finds what is wrong, line by line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """{file: lines with an error} as mypy --strict says it to somebody who has installed the package."""
    pytest.importorskip("mypy", reason="needs mypy")
    assert (SOURCES / "processsupervisor" / "py.typed").is_file()
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", str(tmp_path_factory.mktemp("mypy")),
         str(HERE / "good.py"), str(HERE / "bad.py")],
        capture_output=True, text=True, timeout=110, check=False, cwd=HERE, env={"MYPYPATH": str(SOURCES), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert not ended.stderr, ended.stderr
    lines: dict[str, dict[int, str]] = {"good.py": {}, "bad.py": {}}
    for line in ended.stdout.splitlines():
        match = re.match(r"(?:.*/)?(\w+\.py):(\d+): error: (.*)", line)
        if match and match[1] in lines:
            lines[match[1]][int(match[2])] = match[3]
        else:
            assert ": note: " in line or "/src/processsupervisor/" in line, line
    return lines


def test_what_authors_write_passes(found):
    """Every decorator, every injected type, every kind of answer."""
    assert found["good.py"] == {}


def test_what_is_wrong_is_found_where_it_stands(found):
    """In each marked line, and in no other."""
    marked = {number for number, line in enumerate((HERE / "bad.py").read_text().splitlines(), 1) if line.endswith("# error")}
    assert set(found["bad.py"]) == marked, {number: found["bad.py"].get(number) for number in marked ^ set(found["bad.py"])}
