"""The systemd unit of a fleet: its text, its place, and whether a file there is one that psv wrote and nobody changed since.

Talks to no systemd. The first lines name the fleet's folder and a digest of what follows: only a file that still has both is
ever replaced or removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SYSTEM_FOLDER = Path("/etc/systemd/system")
_MOST_BYTES = 1 << 16
_HEAD = re.compile(rb"# psv service: fleet (?P<folder>[^\n]*)\n# psv service: sha256 (?P<digest>[0-9a-f]{64})\n", re.DOTALL)
_HINT = "# Changes belong into a drop-in (systemctl edit). psv replaces and removes this file only while it is as psv wrote it.\n"
_STOP_SPARE_S = 7


class Service(NamedTuple):
    """What a unit needs to know. `user` None = the manager's own; `environment` is what psv is to have beside systemd's."""

    folder: Path
    fleet: str
    is_user: bool
    user: str | None
    down_timeout_s: float
    environment: Mapping[str, str]


class Written(NamedTuple):
    """A unit file that psv wrote, or that looks so."""

    path: Path
    folder: str
    is_untouched: bool


def unit_folder(is_user: bool) -> Path:
    """Return where units of this kind lie."""
    if not is_user:
        return SYSTEM_FOLDER
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "systemd" / "user"


def unit_name(fleet: str) -> str:
    """Return the unit's name."""
    return f"psv-{re.sub(r'[^A-Za-z0-9._-]', '_', fleet)}.service"


def psv_argv(folder: Path, *words: str) -> list[str]:
    """Return the command line that runs this very psv on the fleet; -P: no file in the fleet folder stands for a module."""
    return [sys.executable, "-P", "-m", "processsupervisor", "-C", str(folder), *words]


def render(service: Service) -> str:
    """Return the content of the unit file."""
    body = _HINT + "\n".join([*_unit(service), "", *_service(service), "", "[Install]", f"WantedBy={_target(service)}"]) + "\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"# psv service: fleet {service.folder}\n# psv service: sha256 {digest}\n{body}"


def _unit(service: Service) -> list[str]:
    network = [] if service.is_user else ["Wants=network-online.target", "After=network-online.target"]  # a user's manager has none
    # A psv that cannot start is tried for ever: what keeps it from that (a disk, a mistake in fleet.toml) may go away.
    return ["[Unit]", f"Description=Fleet of bots {_specifiers(service.fleet)}", *network, "StartLimitIntervalSec=0"]


def _service(service: Service) -> list[str]:
    return [
        "[Service]",
        "Type=notify",
        *([f"User={service.user}"] if service.user else []),
        f"WorkingDirectory={_specifiers(str(service.folder))}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(service.environment.items())),
        "ExecStart=" + " ".join(_quoted(word).replace("$", "$$") for word in psv_argv(service.folder, "up")),
        "KillMode=mixed",
        "TimeoutStartSec=10min",
        f"TimeoutStopSec={int(service.down_timeout_s) + _STOP_SPARE_S}s",
        "WatchdogSec=60s",
        "Restart=on-failure",  # after `psv down` (status 0) it stays down
        "RestartSec=2s",
        "Delegate=yes",
    ]


def _target(service: Service) -> str:
    return "default.target" if service.is_user else "multi-user.target"


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """Return one word of a unit file, see "Quoting" in systemd.syntax(7)."""
    if re.fullmatch(r"[A-Za-z0-9_./:=+,@-]+", word):
        return word
    return '"' + _specifiers(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_unit(path: Path) -> Written | None:
    """Return what psv wrote at `path`; None when the file there is not psv's. Raises FileNotFoundError when there is none."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES)
    head = _HEAD.match(content)
    if head is None:
        return None
    digest = hashlib.sha256(content[head.end() :]).hexdigest().encode()
    return Written(path, head["folder"].decode("utf-8", "surrogateescape"), digest == head["digest"])


def units_of(folder: Path, is_user: bool) -> list[Written]:
    """Return the unit files that psv wrote for the fleet in `folder`, under whatever name."""
    found = []
    for path in sorted(unit_folder(is_user).glob("psv-*.service")):
        try:
            written = read_unit(path)
        except OSError:
            continue
        if written is not None and written.folder == str(folder):
            found.append(written)
    return found
