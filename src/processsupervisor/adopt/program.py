"""What every reader of a foreign file returns: programs as that file describes them, and what it says that psv cannot carry over.

A reader takes a path and gives a `Source`. It runs nothing, imports nothing of the user's and writes nothing; what is wrong with the
file is a `CannotRead` with the place. Values stay as they were written, but for variables that the file itself defines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.kernel.errors import EXIT_USAGE, PsvError


class CannotRead(PsvError):
    """A file that cannot be adopted: the message has the place, what was found and what was expected."""

    code = "cannot-adopt"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; `line` counts from 1, 0 is the file as a whole."""

    path: Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that was not carried over, or carried over otherwise than it stood there."""

    place: Place
    what: str
    """As it stands in the file, without secrets: `stdout_logfile=/var/log/x.log`."""
    why: str
    """What psv does instead, or what the user has to do."""


@dataclass(slots=True)
class Lock:
    """What must not be used twice: the variable of a network token, or a session file."""

    env: str | None = None
    file: str | None = None


@dataclass(slots=True)
class Found:
    """One program of a foreign file. None or empty = the file says nothing, so psv's default applies.

    `argv` is the whole command as a list; `shell` the line instead when only a shell can run it (a pipe, `&&`, expansion).
    """

    name: str
    place: Place
    argv: list[str] = field(default_factory=list)
    shell: str = ""
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    env_files: list[Path] = field(default_factory=list)
    files_win: bool = False
    """What `env_files` have is stronger than `env`, as in systemd."""
    inherit: list[str] = field(default_factory=list)
    """Variables it had from its supervisor and that psv would not pass on by itself."""
    port: str = ""
    """What its supervisor gives it as PORT; it is written when the program reads that."""
    user: str | None = None
    umask: int | None = None
    autostart: bool | None = None
    priority: int | None = None
    """As psv means it: higher is started first."""
    depends_on: list[str] = field(default_factory=list)
    """Names of other programs of the same source."""
    depends_until: dict[str, str] = field(default_factory=dict)
    """How far one of these must have come, where that is not "ready"."""
    stop_signal: str | None = None
    """Without SIG: "INT"."""
    stop_timeout_s: float | None = None
    restart: str | None = None
    """"always", "on-failure" or "never"."""
    restart_delay_s: float | None = None
    restart_max_s: float | None = None
    recycle_bytes: int | None = None
    """Started anew at this much memory."""
    ready: dict[str, object] = field(default_factory=dict)
    """As psv's table `ready`: {"after": "1s"}, {"notify": True}, {"log": "..."}."""
    memory_bytes: int | None = None
    nofile: int | None = None
    log_max_bytes: int | None = None
    log_keep: int | None = None
    locks: list[Lock] = field(default_factory=list)
    keep_command: bool = False
    """It looks like a Python file, but must be run as the command it was."""


@dataclass(slots=True)
class Source:
    """One foreign file with all that it includes."""

    kind: str
    """"python", "supervisord", "pm2", "systemd", "procfile" or "compose"."""
    path: Path
    programs: list[Found] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
