"""process.hookrun: what is said of a command that cannot be run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from processsupervisor.launch.code import Code


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuchprogram", "cannot run nosuchprogram: it is not on PATH"),
        ("/nowhere/check.sh", "cannot run /nowhere/check.sh: No such file or directory"),
    ],
)
def test_a_command_that_cannot_be_run_is_told_in_words(tmp_path: Path, program: str, words: str) -> None:
    """Not with a number, nor with the last folder of PATH, where it was looked for in vain."""
    limits = {"nofile": None, "nproc": None, "memory_bytes": None, "pids": 64}
    ground = {"name": "a", "kind": "command", "cwd": str(tmp_path), "user": None, "umask": None, "env": {}, "env_files": [], "limits": limits}
    spec = ground | {"folder": str(tmp_path), "inherited": {"PATH": os.environ["PATH"]}}
    job = {"command": [program], "timeout_s": 20.0, "env": [], "event": {"hook": "probe"}, "spec": spec}
    argv = Code.own().argv("processsupervisor.process.hookrun")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(json.dumps(job).encode() + b"\n")
        runner.stdin.flush()
        assert json.loads(runner.stdout.readline()) == {"outcome": "failed", "code": 126, "tail": [words]}
