"""What a person sees of `psv up` in the foreground: a line a bot, the page's address, hints, and how it ends.

Runs as a process of its own beside the keeper (`python -m processsupervisor.cli.progress FOLDER KEEPER_PID`), because
`psv up` becomes the keeper, which prints nothing. It commands nothing: Ctrl-C reaches the keeper by itself. It ends when
the fleet is down or its keeper gone, and outlives every psvd.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator

from processsupervisor.cli.session import safe
from processsupervisor.ipc.client import ControlClient, connect_unix
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.units import format_duration

RETRY_S = 0.05
ADDRESS_AFTER_S = 10.0
"""When the page's address is shown although not every bot has settled."""
_SETTLED = frozenset({"RUNNING", "PAUSED", "STOPPED", "FAILED", "TERMINATED", "RECOVERING", "UNKNOWN"})
_WORDS = {"RUNNING": "ready", "PAUSED": "paused", "STOPPED": "stopped", "FAILED": "FAILED", "RECOVERING": "restarts",
          "TERMINATED": "ended", "UNKNOWN": "UNKNOWN"}

prefix, command = "", "psv"
"""What stands before each line, and how `psv` is to be called for this fleet; output.py has others."""

_MOST_NAMES = 3
_TASK_WORDS = {"RUNNING": "runs", "TERMINATED": "waits for its time"}

Event = dict[str, object]


class Progress:
    """What is known of the bots and what has been said about them."""

    def __init__(self, paths: FleetPaths, start_mono: float) -> None:
        self._paths = paths
        self._start_mono = start_mono
        self._state: dict[str, str] = {}
        self._awaited: set[str] | None = None
        self._tasks: set[str] = set()
        self._is_announced = False
        self.is_stopping = False
        self.at_stop = 0
        self.stopped: int | None = None

    def take(self, event: Event) -> None:
        """Print what `event` of fleet.watch changes."""
        kind = event.get("kind")
        if kind == "snapshot":
            bots = event.get("bots")
            self._take_snapshot([bot for bot in bots if isinstance(bot, dict)] if isinstance(bots, list) else [])
        elif kind == "transition":
            self._change(str(event.get("bot")), str(event.get("to")), event.get("reason"), event.get("message"))
        elif kind == "down":
            number = event.get("stopped")
            self.stopped = number if isinstance(number, int) else self.running
        self.announce()

    def _take_snapshot(self, bots: list[Event]) -> None:
        is_first = self._awaited is None
        if is_first:
            self._awaited = {str(bot.get("name")) for bot in bots if bot.get("wanted") == "up"}
            if not bots:
                say("this fleet has no bots yet; add a [bots.NAME] table to fleet.toml")
        self._tasks |= {str(bot.get("name")) for bot in bots if bot.get("next_run_at") is not None}
        for bot in bots:
            name, state = str(bot.get("name")), str(bot.get("state"))
            if is_first and bot.get("wanted") != "up" and state == "STOPPED":
                self._state[name] = state
                say(f"{name}  stopped (not wanted; {command} start {name})")
            else:
                self._change(name, state, bot.get("reason"), None)

    def _change(self, name: str, state: str, reason: object, message: object) -> None:
        before = self._state.get(name)
        self._state[name] = state
        if state == before or state not in _WORDS:
            return
        line = f"{name}  {_TASK_WORDS.get(state, _WORDS[state]) if name in self._tasks else _WORDS[state]}"
        if state == "RUNNING" and name not in self._tasks and not self._is_announced:
            line += f" after {format_duration(time.monotonic() - self._start_mono)}"
        elif state in ("FAILED", "RECOVERING", "UNKNOWN") and reason:
            line += f": {message or reason}" + (f"; see {command} bot status {name}" if state == "FAILED" else "")
        say(line)

    @property
    def running(self) -> int:
        """Return how many bots are known to have a process."""
        return sum(state not in ("STOPPED", "FAILED", "TERMINATED", "RECOVERING", "INITIALIZING") for state in self._state.values())

    @property
    def announce_due_s(self) -> float | None:
        """Return the seconds until the address is shown in any case; None when it has been, or nothing is known yet."""
        if self._is_announced or self._awaited is None:
            return None
        return max(0.0, self._start_mono + ADDRESS_AFTER_S - time.monotonic())

    def announce(self) -> None:
        """Print the page's address and the fleet's hints once: when all bots have settled, at the latest after ADDRESS_AFTER_S."""
        if self._is_announced or self._awaited is None or self.is_stopping:
            return
        settled = all(self._state.get(name) in _SETTLED for name in self._awaited)
        if not settled and time.monotonic() < self._start_mono + ADDRESS_AFTER_S:
            return
        self._is_announced = True
        try:
            with ControlClient(self._paths) as client:
                address = client.call("fleet.status").get("web")
        except PsvError:
            self._is_announced = False  # psvd has just gone; its successor's snapshot comes through here again
            return
        if address:
            say(f"web {address}")
        for hint in (*talk_hint(self._paths, command), *read_hints(self._paths)):
            say(hint)


def talk_hint(paths: FleetPaths, psv: str = "psv") -> list[str]:
    """Return the line that says how to talk to the native bots of the applied configuration; none where the fleet's own hints do."""
    names = read_names(paths, "native")
    if not names or any(" chat " in hint for hint in read_hints(paths)):
        return []
    if len(names) == 1:
        return [f"talk to it: {psv} chat {names[0]}"]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return [f"talk to one of them: {psv} chat NAME ({', '.join(names[:_MOST_NAMES])}{more})"]


def read_hints(paths: FleetPaths) -> list[str]:
    """Return `[fleet] hints` of the applied configuration."""
    applied = read_json(paths.applied)
    fleet = applied.get("fleet") if isinstance(applied, dict) else None
    hints = fleet.get("hints") if isinstance(fleet, dict) else None
    return [str(hint) for hint in hints] if isinstance(hints, list) else []


def read_names(paths: FleetPaths, kind: str | None = None) -> list[str]:
    """Return the bots of the applied configuration, all or those of one kind."""
    applied = read_json(paths.applied)
    bots = applied.get("bots") if isinstance(applied, dict) else None
    rows = [bot for bot in bots if isinstance(bot, dict)] if isinstance(bots, list) else []
    return [str(bot["name"]) for bot in rows if kind is None or bot.get("kind") == kind]


def say(line: str) -> None:
    """Print one line at once; nobody reading any more is not this process's concern."""
    try:
        # Not through sys.stdout: a signal handler prints too, and a buffered stream refuses to be entered twice.
        os.write(1, (prefix + safe(line) + "\n").encode(errors="backslashreplace"))
    except OSError:
        os._exit(0)


def watch(paths: FleetPaths, keeper_fd: int, progress: Progress) -> None:
    """Follow the fleet over every psvd it has, until it is down or its keeper (a pidfd) gone."""
    while not _is_readable(keeper_fd, 0):
        try:
            connection = connect_unix(paths.socket("psv"), 5.0)
        except OSError:
            if progress.is_stopping:
                return  # the sockets are closed: the keeper has ended everything and waits for us
            _is_readable(keeper_fd, RETRY_S)
            continue
        with connection:
            for event in _events(connection, keeper_fd, progress):
                progress.take(event)
                if progress.stopped is not None:
                    return
        _is_readable(keeper_fd, RETRY_S)


def _events(connection: socket.socket, keeper_fd: int, progress: Progress) -> Iterator[Event]:
    """Yield the events of one fleet.watch until the connection or the keeper ends."""
    connection.sendall(json.dumps({"id": 1, "op": "fleet.watch", "args": {}}).encode() + b"\n")
    connection.setblocking(False)
    pending = bytearray()
    while True:
        due_s = progress.announce_due_s
        readable, _, _ = select.select([connection.fileno(), keeper_fd], [], [], due_s)
        if not readable:
            progress.announce()
        if connection.fileno() in readable:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            pending += data
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                answer = json.loads(line)
                if isinstance(answer.get("event"), dict):
                    yield answer["event"]
        elif keeper_fd in readable:
            return


def _is_readable(descriptor: int, timeout_s: float) -> bool:
    return bool(select.select([descriptor], [], [], timeout_s)[0])


def main(argv: list[str]) -> int:
    """Print the progress of the fleet in `argv[0]` whose keeper has the pid `argv[1]`."""
    progress = Progress(FleetPaths(argv[0]), time.monotonic())

    def on_signal(*_: object) -> None:
        if not progress.is_stopping:
            progress.is_stopping, progress.at_stop = True, progress.running
            say(f"stopping {count(progress.at_stop)}; once more: at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.getppid() != int(argv[1]):
        return 0  # the keeper was gone before it began
    keeper_fd = os.pidfd_open(int(argv[1]))
    try:
        watch(FleetPaths(argv[0]), keeper_fd, progress)
    except (OSError, ValueError) as err:
        say(f"progress is no longer shown: {err}; see psv status")
        return 0
    if progress.stopped is not None:
        say(f"stopped {count(progress.stopped)}")
    elif progress.is_stopping:
        say(f"stopped {count(progress.at_stop)}")
    else:
        say(f"the keeper is gone; bots go on without it: bring it back with {command} up")
    return 0


def count(bots: int) -> str:
    """Return "1 bot", "3 bots"."""
    return f"{bots} bot{'' if bots == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
