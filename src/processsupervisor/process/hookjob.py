"""Giving one job to a process between (process/hookrun.py), which runs a command as the bot and ends all of it, whatever happens.

psvd never waits for it but by its loop. Who is cancelled, or dies, lets go of the job: that ends the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.launch.values import origin
from processsupervisor.process.hookrun import not_run
from processsupervisor.process.patience import Countdown

_ANSWER_GRACE_S = 10.0
"""What the process between may take beyond the deadline to end the command and to say so."""
_LOST = {"outcome": "failed", "code": None, "tail": ["the process that ran the command gave no answer"]}
_GROUND = ("name", "kind", "cwd", "user", "umask", "env", "env_files", "limits", "home")
"""What of a bot's spec a command runs with."""

Result = dict[str, Any]


async def run_job(
    paths: FleetPaths, spec: BotSpec, command: Sequence[str], timeout_s: float, *, env: Sequence[str], event: Mapping[str, object]
) -> Result:
    """Run `command` as the bot of `spec` and return `{outcome, code, tail}`; outcome is ok, failed, timed-out, let-go or exhausted.

    `env` names variables of the bot that it sees too. `event` is what it reads on stdin, `event["hook"]` what marks its processes.
    """
    job = {
        "command": [sys.executable if command[0] == "python" else command[0], *command[1:]],
        "timeout_s": timeout_s,
        "env": list(env),
        "event": dict(event),
        "spec": _ground(paths, spec),
    }
    environment = os.environ | {"PSV_FLEET": str(paths.folder), "PSV_HOOK": str(event["hook"]), "PSV_HOOK_BOT": spec["name"]}
    try:
        runner = await asyncio.create_subprocess_exec(
            *Code.own().argv("processsupervisor.process.hookrun"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
    except OSError as err:
        return not_run(err)
    return await _answer_of(runner, job, timeout_s + _ANSWER_GRACE_S)


def _ground(paths: FleetPaths, spec: BotSpec) -> dict[str, object]:
    inherited = {key: os.environ[key] for key in spec["inherit"] if key in os.environ}
    more = {"folder": str(paths.folder), "inherited": inherited, **origin(None)}
    return {name: value for name, value in spec.items() if name in _GROUND} | more


async def _answer_of(runner: asyncio.subprocess.Process, job: Result, patience_s: float) -> Result:
    """Give a job to the process between and return its answer. Its stdin stays open until then: closing it ends the command."""
    assert runner.stdin is not None
    assert runner.stdout is not None

    def give_up() -> None:
        with contextlib.suppress(ProcessLookupError):
            runner.kill()  # it ends its pipe, and strays.py what the command leaves

    countdown = Countdown(patience_s, give_up)
    try:
        runner.stdin.write(json.dumps(job).encode() + b"\n")
        line = await runner.stdout.readline()
        return dict(json.loads(line)) if line else _LOST
    except (OSError, ValueError):
        return _LOST
    finally:
        countdown.cancel()
        runner.stdin.close()
