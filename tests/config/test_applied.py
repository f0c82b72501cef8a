"""config.applied: what psvd reads back is what was resolved, private, and never half of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.config.test_load import CONTRACT

from processsupervisor.config.applied import read_applied, write_applied
from processsupervisor.config.ondisk import FilesOnDisk
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.kernel.paths import FleetPaths


def test_applied_comes_back_as_written(load, folder):
    """Round trip, odd characters included; only the user may read it, it may hold tokens."""
    applied = load(CONTRACT + '[bots.x]\nscript = "main.py"\nenv = { T = "\\u2028ä\\"" }\n[bots.y]\nnope = 1\n').applied
    paths = FleetPaths(folder)
    write_applied(paths, applied)
    assert read_applied(paths) == applied
    assert os.stat(paths.applied).st_mode & 0o777 == 0o600 and os.stat(paths.data).st_mode & 0o777 == 0o700


def test_the_digest_tells_a_changed_file(load, folder):
    """Equal until fleet.toml changes; "" when it is gone."""
    paths = FleetPaths(folder)
    applied = load(CONTRACT).applied
    files = FilesOnDisk(paths, applied)
    assert files.digest() == applied["source_digest"]
    paths.config.write_bytes(paths.config.read_bytes() + b"\n")
    assert files.digest() not in ("", applied["source_digest"])
    paths.config.unlink()
    assert files.digest() == ""


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"version": 99}', b'{"version": 1, "fleet": {}}', b"[" * 100000])
def test_what_is_not_whole_is_refused(folder, content):
    """A broken file is an error of ours with a way out, whatever is in it."""
    paths = FleetPaths(folder)
    paths.ensure()
    paths.applied.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_applied(paths)
    assert caught.value.code == "applied-broken" and caught.value.hint


def test_nothing_applied_yet(folder):
    """A fleet that never was up has its own code."""
    with pytest.raises(ConfigError) as caught:
        read_applied(FleetPaths(folder))
    assert caught.value.code == "not-applied"


def test_the_daemons_part_needs_no_pydantic():
    """spec, applied, rules, problem and imports load the standard library only: psvd imports them."""
    code = (
        "import sys, json\n"
        "import processsupervisor.config.spec, processsupervisor.config.applied, processsupervisor.config.rules\n"
        "import processsupervisor.config.imports, processsupervisor.launch.envfile\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout))
    assert loaded.isdisjoint({"pydantic", "pydantic_core", "msgspec", "click"})
