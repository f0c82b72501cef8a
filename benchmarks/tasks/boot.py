"""A real systemd with its journal, booted in namespaces of its own: none of the machine's units run in it. Needs root and cgroup2."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from processsupervisor.resources.cgroups import own_group

_SYSTEMD = Path("/lib/systemd/systemd")
# A target of our own: what services depend on by default would be the machine's whole boot. /dev is the machine's, so no socket there.
_BOOT = """
echo $$ > {group}/cgroup.procs
exec unshare --mount --pid --fork --kill-child --cgroup --mount-proc --uts --ipc sh -ec '
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system/service.d
mount -t tmpfs tmpfs /etc/systemd/system
[ -s /etc/machine-id ] || {{ echo 0123456789abcdef0123456789abcdef > /run/machine-id; mount --bind /run/machine-id /etc/machine-id; }}
printf "[Unit]\\nDefaultDependencies=no\\nWants=systemd-journald.service\\n" > /run/systemd/system/psvtasks.target
printf "[Unit]\\nDefaultDependencies=no\\n" > /run/systemd/system/service.d/alone.conf
ln -s /dev/null /etc/systemd/system/systemd-journald-dev-log.socket
ln -s /dev/null /etc/systemd/system/systemd-journald-audit.socket
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
container=psv exec {systemd} --system --unit=psvtasks.target --log-target=journal --show-status=0'
"""


def can_boot() -> bool:
    """Tell whether this machine and user can."""
    programs = ("unshare", "nsenter", "systemctl", "journalctl")
    return os.geteuid() == 0 and _SYSTEMD.exists() and own_group() is not None and all(map(shutil.which, programs))


class Booted:
    """One systemd; `end` kills its namespace and everything in it."""

    def __init__(self, name: str, folder: Path) -> None:
        self._folder = folder
        own = own_group()
        assert own is not None
        self._group = own / name
        self._group.mkdir()
        argv = ["sh", "-ec", _BOOT.format(group=self._group, systemd=_SYSTEMD)]
        self._outside = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self._is_up():
            if time.monotonic() > deadline or self._outside.poll() is not None:
                self.end()
                raise TimeoutError("systemd did not boot")
            time.sleep(0.1)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            argv = [*self.enter(), "systemctl", "is-system-running"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
            return done.stdout.strip() in ("running", "degraded")
        return False

    def enter(self) -> list[str]:
        """Return what runs a command in there, in the folder."""
        first = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children").read_text().split()[0]
        return ["nsenter", "-t", first, "-m", "-p", "-C", "-u", "-i", f"--wdns={self._folder}"]

    def end(self) -> None:
        """Kill it and remove its cgroups."""
        self._outside.kill()
        self._outside.wait(30)
        deadline = time.monotonic() + 10
        while self._group.exists():
            for folder in sorted((path for path in self._group.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                self._group.rmdir()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._group} is not empty")
            time.sleep(0.05)
