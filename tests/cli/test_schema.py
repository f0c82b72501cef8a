"""Laws of `psv config schema`: one JSON document, wherever one is, and whoever reads it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import PSV, Psv, environment

from processsupervisor.config.jsonschema import json_schema


def test_prints_the_schema_where_there_is_no_fleet(psv: Psv, tmp_path: Path) -> None:
    """Nothing but JSON, in ASCII, the same as the package has; nothing is written."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done = psv("config", "schema", cwd=empty)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.isascii()
    assert json.loads(done.stdout) == json_schema()
    assert list(empty.iterdir()) == []


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    """As in `psv config schema | head -1`."""
    line = f"{' '.join(PSV)} config schema | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("{\n", "")
