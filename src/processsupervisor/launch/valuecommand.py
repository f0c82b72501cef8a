"""Running the commands of `cmd:` references, all at once: what each prints is a value.

Runs in a process of its own that ends with them (config/valuehelper.py) and is the subreaper of all that they start: at the deadline, or
when a command has ended, nothing of it is left. Standard library only.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import PsvError, is_exhausted
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.subreaper import become_subreaper, end_all_below
from processsupervisor.launch.values import MOST_BYTES, text_of

_END_WITHIN_S = 3.0
_BY_HAND = "run it by hand to see why: what it prints to stderr is not kept, since it may hold the value"
Failure = tuple[str, str, str]
"""Reason, message and hint; the message goes on behind the name of the command."""


def run_commands(
    commands: Mapping[str, Sequence[str]], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> tuple[dict[str, str], dict[str, Failure]]:
    """Return the values and the failures of `commands` by their keys."""
    become_subreaper()
    running: dict[str, _Running] = {}
    failures: dict[str, Failure] = {}
    values: dict[str, str] = {}
    for key, argv in commands.items():
        try:
            running[key] = _Running(argv, folder, environment)
        except OSError as err:
            # Without room it may be run later; a program that is not there has to be put there.
            reason = Reason.START_FAILED if is_exhausted(err) else Reason.CONFIG
            failures[key] = reason, f"cannot be run: {err.strerror}", "name a program on PATH of psv, or a path relative to fleet.toml"
    _read_all(list(running.values()), mono() + timeout_s)
    for key, one in running.items():
        try:
            values[key] = one.value(timeout_s)
        except PsvError as err:
            failures[key] = Reason.START_FAILED, err.message, err.hint
    end_all_below(_END_WITHIN_S)
    return values, failures


class _Running:
    """One command: its process, and what it printed so far."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        program = sys.executable if argv[0] == "python" else argv[0]
        self.process = subprocess.Popen(
            [program, *argv[1:]], cwd=folder, env=dict(environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.descriptor = self.process.stdout.fileno()
        os.set_blocking(self.descriptor, False)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.printed = b""

    def read(self) -> bool:
        """Take what is there now; False at the end, or when it is too much."""
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return True
        self.printed += data
        return bool(data) and len(self.printed) <= MOST_BYTES + 2

    def value(self, timeout_s: float) -> str:
        """Return the value; raises PsvError that says what went wrong, never what was printed."""
        status = self.process.poll()
        if len(self.printed) > MOST_BYTES + 2:
            raise PsvError(f"printed more than {MOST_BYTES} bytes", hint="a value is small")
        if status is None:
            raise PsvError(f"was not done within {timeout_s:g} s and was ended", hint="it is tried again")
        if status != 0:
            how = f"ended with exit code {status}" if status > 0 else f"was killed by signal {-status}"
            raise PsvError(how, hint=_BY_HAND)
        text = text_of(self.printed).strip()
        if not text:
            raise PsvError("printed nothing", hint=_BY_HAND)
        return text


def _read_all(running: Sequence[_Running], deadline: float) -> None:
    """Read until every command has ended, at the latest at `deadline`; who holds the output of one that has ended is not waited for."""
    with selectors.DefaultSelector() as selector:
        for one in running:
            selector.register(one.pidfd, selectors.EVENT_READ, one)
            selector.register(one.descriptor, selectors.EVENT_READ, one)
        while selector.get_map() and (left_s := deadline - mono()) > 0:
            for key, _ in selector.select(left_s):
                one = key.data
                if key.fd == one.pidfd:
                    while one.read() and _has_more(one.descriptor):
                        pass
                    one.process.wait()
                    _drop(selector, one.pidfd, one.descriptor)
                elif one.descriptor in selector.get_map() and not one.read():
                    too_much = len(one.printed) > MOST_BYTES + 2
                    _drop(selector, *((one.pidfd, one.descriptor) if too_much else (one.descriptor,)))


def _has_more(descriptor: int) -> bool:
    with selectors.PollSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _drop(selector: selectors.BaseSelector, *descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor in selector.get_map():
            selector.unregister(descriptor)
