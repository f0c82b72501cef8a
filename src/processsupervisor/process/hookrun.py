"""One run of a hook: a process between psvd and the operator's command, which ends with everything below it, whatever happens.

`boot.py processsupervisor.process.hookrun`: reads one JSON line (the job) from stdin and writes one (how it ended) to stdout. It takes
user, folder and limits of the bot, so that psvd neither waits for a file system nor reads a secret. It is the subreaper of all that
the command starts: at the end, at the deadline, or when psvd dies (end of file on stdin) nothing of that is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import PsvError, is_exhausted
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_LAUNCH_FAILED
from processsupervisor.launch.context import LaunchContext
from processsupervisor.launch.environment import compose
from processsupervisor.launch.steps import become, fork_with_signals_blocked, reset_signals, restore_signals_for_exec, set_limits
from processsupervisor.launch.subreaper import become_subreaper, has_children

TAIL_BYTES = 4096
"""Of the output of a hook so much is kept: its end."""
_END_WITHIN_S = 5.0
_MARKS = ("PSV_BOT", "PSV_EXIT_NOTE", "NOTIFY_SOCKET")
"""What makes a process one of the bot's; a hook is none."""


def main(_argv: list[str]) -> int:
    """Run the job on stdin; returns 0 whenever it could say how that ended."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0  # psvd died before it had said all
    answer = run(json.loads(line))
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(answer).encode() + b"\n")
    return 0


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the command of `job` and return `{outcome, code, tail}`; outcome is ok, failed, timed-out, let-go or exhausted."""
    become_subreaper()
    reading, writing = os.pipe()
    try:
        pid = fork_with_signals_blocked()
    except OSError as err:
        return not_run(err)
    if pid == 0:
        _be_hook(job, writing)
    os.close(writing)
    os.set_blocking(reading, False)
    pidfd = os.pidfd_open(pid)
    output = _Tail(reading)
    outcome = _wait(pidfd, output, mono() + float(job["timeout_s"]))
    _, status = (0, 0) if outcome else os.waitpid(pid, 0)
    _end_all()
    output.read()
    code = os.waitstatus_to_exitcode(status)
    return {"outcome": outcome or ("failed" if code else "ok"), "code": None if outcome else code, "tail": output.lines()}


def not_run(err: OSError) -> dict[str, Any]:
    """Return the answer for a command that the system did not let begin; `exhausted`: it may when there is room again."""
    return {"outcome": "exhausted" if is_exhausted(err) else "failed", "code": None, "tail": [f"cannot run it: {err.strerror or err}"]}


class _Tail:
    """The end of what the command prints, to stdout and stderr alike."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_open = True
        self._kept = b""

    def read(self) -> None:
        """Take what is there now."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                data = os.read(self.descriptor, 65536)
                if not data:
                    self.is_open = False
                    return
                self._kept = (self._kept + data)[-TAIL_BYTES:]

    def lines(self) -> list[str]:
        """Return the last lines that are not empty."""
        return [line for line in self._kept.decode(errors="replace").splitlines() if line.strip()][-20:]


def _wait(pidfd: int, output: _Tail, deadline: float) -> str:
    """Wait for the end of the command; returns "" for that, else why it is ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(0, select.POLLIN)
    poll.register(output.descriptor, select.POLLIN)
    while True:
        left_s = deadline - mono()
        if left_s <= 0:
            return "timed-out"
        ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
        if output.descriptor in ready:
            output.read()
            if not output.is_open:
                poll.unregister(output.descriptor)
        if 0 in ready:
            return "let-go"  # psvd says nothing more: it is gone, or does not want the rest
        if pidfd in ready:
            return ""


def _end_all() -> None:
    """SIGKILL everything below this process until nothing is left, at most for a few seconds."""
    deadline = mono() + _END_WITHIN_S
    stopped: set[Identity] = set()
    while has_children() and mono() < deadline:
        from processsupervisor.process.tree import family  # here: most hooks leave nothing

        own = Identity.of(os.getpid())
        below = family(own, ())[1:] if own is not None else []
        moving = [identity for identity in below if identity not in stopped]
        for identity in moving or below:
            send_signal(identity, signal.SIGSTOP if moving else signal.SIGKILL)
        stopped.update(moving)
        if not moving:
            time.sleep(0.005)


def _be_hook(job: dict[str, Any], output: int) -> None:
    """Be the child: take what the bot has, become the command; never returns."""
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.setsid()
        context = LaunchContext(job["spec"], 0, -1, FleetPaths(job["spec"]["folder"]))
        event = os.memfd_create("event")
        os.write(event, json.dumps(job["event"]).encode() + b"\n")
        os.lseek(event, 0, os.SEEK_SET)
        os.dup2(event, 0)
        environment = environment_of(job)
        set_limits(context)
        reset_signals()
        become(context)
        restore_signals_for_exec()
        os.execvpe(job["command"][0], job["command"], environment)
    except PsvError as err:
        os.write(2, f"{err}\n".encode())
    except OSError as err:  # exec names the last folder of PATH, which says nothing
        is_lost = isinstance(err, FileNotFoundError) and "/" not in job["command"][0]
        os.write(2, f"cannot run {job['command'][0]}: {'it is not on PATH' if is_lost else err.strerror}\n".encode())
    except BaseException as err:  # noqa: BLE001 - a forked child must never return
        os.write(2, f"cannot run {job['command'][0]}: {err}\n".encode())
    finally:
        os._exit(EXIT_LAUNCH_FAILED)


def environment_of(job: dict[str, Any]) -> dict[str, str]:
    """Return what a hook sees: what the bot inherits and PSV_*, and of the bot's own variables only those that the hook names.

    Raises LaunchFailed for a bad env file, which is read only when a variable is named.
    """
    spec = job["spec"]
    environment = compose(spec | {"env": {}, "env_files": []})
    if job["env"]:
        whole = compose(spec | {"env": {name: text for name, text in spec["env"].items() if name in job["env"]}})
        environment |= {name: whole[name] for name in job["env"] if name in whole}
    for name in _MARKS:
        environment.pop(name, None)
    return environment | {"PSV_HOOK": str(job["event"]["hook"]), "PSV_HOOK_BOT": str(spec["name"])}
