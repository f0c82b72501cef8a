"""A message to a command of the operator's: JSON on stdin, a deadline, exit code 0 means delivered. Loaded by the sending process only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from processsupervisor.notify.job import Result
from processsupervisor.notify.message import Message

_MARGIN_S = 0.3
"""The command is ended before the sending process itself is."""


def run_command(command: Sequence[str], folder: str, variables: dict[str, str], message: Message, timeout_s: float) -> Result:
    """Run the command in the fleet folder; at the deadline its whole process group is killed. Raises OSError when it cannot be run."""
    argv = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    environment = variables | {"PSV_FLEET": folder, "PSV_HOOK": "notify"}
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(json.dumps(message).encode() + b"\n", timeout=max(0.1, timeout_s - _MARGIN_S))
        except (subprocess.TimeoutExpired, TimeoutError):
            return {"ok": False, "said": f"not done within {timeout_s:g} s", "retry_after_s": 0.0}
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left in the background and holds its output open
    lines = output[-4096:].decode("utf-8", "replace").strip().splitlines()
    code = process.returncode
    how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    return {"ok": code == 0, "said": f"{how}: {lines[-1]}" if lines else how, "retry_after_s": 0.0}
