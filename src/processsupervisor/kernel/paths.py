"""Where everything of one fleet lies on disk, and how sockets below a deep folder are reached.

The fleet folder holds `fleet.toml`; everything psv writes lies in `.psv/` beside it: `run/` (void after a reboot), `data/`
(kept), `logs/`, `code/` (the copies of the package that run), `releases/` (copies of the bots' own code). Nothing here creates
a file except `ensure`.
"""

from __future__ import annotations

import os
from pathlib import Path

BOT_NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,62}"


class FleetPaths:
    """All paths of the fleet in `folder` (made absolute, symbolic links kept)."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.config = self.folder / "fleet.toml"
        self.psv = self.folder / ".psv"
        self.run = self.psv / "run"
        self.data = self.psv / "data"
        self.logs = self.psv / "logs"
        self.own_logs = self.logs / "psv"
        self.code = self.psv / "code"
        self.releases = self.psv / "releases"
        self.deployed = self.data / "release.json"
        self.change = self.data / "change.json"
        self.upgrade = self.run / "upgrade.json"
        self.applied = self.data / "fleet.json"
        self.database = self.data / "psv.db"
        self.logins = self.data / "logins"
        self.backups = self.data / "backups"
        self.journal = self.run / "exits.journal"
        self.epoch = self.run / "epoch"
        self.running = self.run / "running"

    def role_lock(self, role: str) -> Path:
        """Return the lock that the own process `role` holds for life."""
        return self.run / f"{role}.lock"

    def socket(self, name: str) -> Path:
        """Return the socket `name` ("psv", "bot", "keeper", "zygote-KEY") in run/."""
        return self.run / f"{name}.sock"

    def bot_run(self, bot: str) -> Path:
        """Return the bot's folder under run/: record, lock, spec.json, pulse, FIFOs, web.sock."""
        return self.run / "bots" / bot

    def bot_data(self, bot: str) -> Path:
        """Return the bot's folder under data/: bot.db."""
        return self.data / "bots" / bot

    def bot_logs(self, bot: str) -> Path:
        """Return the folder of the bot's log segments and indexes."""
        return self.logs / "bots" / bot

    def release(self, number: int) -> Path:
        """Return the folder of one release: files/, release.json and, if it was asked for, venv/."""
        return self.releases / str(number)

    def ensure(self) -> None:
        """Create the folders that every own process expects, private to the user."""
        self.psv.mkdir(mode=0o700, exist_ok=True)
        for path in (self.run, self.run / "bots", self.data, self.data / "bots", self.logs, self.logs / "bots", self.own_logs):
            path.mkdir(mode=0o700, exist_ok=True)


def short_socket_path(path: str | os.PathLike[str], directory_fd: int | None = None) -> str:
    """Return an address for `path` that fits the 108 bytes of sun_path, however deep the folder is (unix(7)).

    Off Linux, or when the path fits, it is the path itself. Otherwise `directory_fd` (an open descriptor of the parent
    folder, which the caller keeps open until bind or connect returned) is named through /proc/self/fd.
    """
    text = os.fspath(path)
    if directory_fd is None or len(os.fsencode(text)) < 104:
        return text
    return f"/proc/self/fd/{directory_fd}/{os.path.basename(text)}"


def find_fleet_folder(start: str | os.PathLike[str]) -> Path | None:
    """Return the nearest folder at or above `start` that holds a fleet.toml, or what a fleet has run by, or None.

    A fleet whose fleet.toml was lost can be seen and stopped, and no command takes the fleet of a folder above for it.
    """
    folder = Path(os.path.abspath(start))
    for candidate in (folder, *folder.parents):
        if (candidate / "fleet.toml").is_file() or os.path.isfile(FleetPaths(candidate).applied):  # raises nothing for another user's
            return candidate
    return None
