"""The @reboot line of a fleet in a user's crontab: added and removed exactly, every other byte stays.

The line stands first, so that neither a missing line end at the end of the crontab nor its settings matter. It is known by the
mark at its end. What cannot be read for certain is never written.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from processsupervisor.cli.unit import psv_argv
from processsupervisor.kernel.errors import PsvError, Refused

_LONGEST_COMMAND = 990
"""cron(8) of Debian cuts a command at 1,000 bytes."""
_PATIENCE_S = 30.0
_NO_CRONTAB = re.compile(rb"no crontab for|No such file or directory")


def mark_of(folder: Path) -> str:
    """Return the comment by which a fleet's line is known."""
    return f"# psv-service {hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def line_for(folder: Path, environment: Mapping[str, str]) -> str:
    """Return the line that starts the fleet with these variables; `fits` tells whether cron takes it."""
    settings = "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(environment.items()))
    command = f"{settings}{shlex.join(psv_argv(folder, 'up', '--detach'))} >/dev/null"
    # Percent signs are line ends to cron; what is printed on stderr is mailed by it.
    return "@reboot " + command.replace("%", "\\%") + " " + mark_of(folder)


def fits(line: str) -> bool:
    """Tell whether cron takes a line of this length."""
    return len(os.fsencode(line)) <= _LONGEST_COMMAND


def with_line(content: bytes, folder: Path, line: str | None) -> bytes:
    """Return the crontab with exactly this line for the fleet, or with none; all else is as it was."""
    mark = mark_of(folder).encode()
    new = line.encode("utf-8", "surrogateescape") + b"\n" if line is not None else b""
    kept: list[bytes] = []
    for row in re.findall(rb"[^\n]*\n|[^\n]+", content):
        if row.startswith(b"@reboot ") and row.rstrip(b"\n").endswith(mark):
            row, new = new, b""
        kept.append(row)
    return new + b"".join(kept)


def read_crontab(user: str | None) -> bytes:
    """Return the crontab of `user` (None: of who asks), empty when there is none. Raises PsvError when that cannot be told."""
    done = _run(user, "-l")
    if done.returncode == 0:
        return done.stdout
    if _NO_CRONTAB.search(done.stderr):
        return b""
    raise _failed("read", done)


def write_crontab(user: str | None, content: bytes) -> None:
    """Replace the crontab, and look whether it is what it should be; an empty one is removed. Raises PsvError."""
    done = _run(user, "-", content=content) if content else _run(user, "-r")
    if done.returncode != 0:
        raise _failed("write", done)
    if read_crontab(user) != content:
        raise PsvError("the crontab is not what psv wrote: somebody else has changed it meanwhile", hint="look at it: crontab -l")


def _run(user: str | None, *words: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = ["crontab", *(("-u", user) if user else ()), *words]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(command, input=content or b"", capture_output=True, timeout=_PATIENCE_S, env=environment, check=False)
    except FileNotFoundError as err:
        hint = "install cron, or have whatever starts services here run the line of: psv service install --print"
        raise Refused("there is neither systemd nor crontab", hint=hint) from err
    except subprocess.TimeoutExpired as err:
        raise PsvError(f"crontab did not answer within {_PATIENCE_S:.0f} s", hint="try: crontab -l") from err


def _failed(verb: str, done: subprocess.CompletedProcess[bytes]) -> PsvError:
    said = done.stderr.decode(errors="replace").strip().splitlines()
    why = said[-1] if said else f"status {done.returncode}"
    return PsvError(f"cannot {verb} the crontab: {why}", hint="nothing was changed; try: crontab -l")
