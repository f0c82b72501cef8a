"""Importing the preload set, and noticing what must not be in a process that forks: a second thread.

A module that starts a thread cannot be taken back, so the zygote executes itself again without it (see main.py). A module
that cannot be imported is reported and left to the bot, whose own import will show the traceback in its own log.
"""

from __future__ import annotations

import importlib
import os
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

# Ordinary programs import these; loading them once here costs every bot nothing.
COMMON = tuple(
    """argparse asyncio base64 fcntl hmac pwd resource setproctitle collections concurrent.futures contextlib csv
    dataclasses datetime decimal email.message encodings.idna enum functools hashlib hmac html http.client inspect io ipaddress
    itertools json locale logging logging.handlers multiprocessing.process operator os pathlib pickle pprint queue
    random re secrets select selectors shutil signal socket sqlite3 ssl string struct subprocess tempfile textwrap
    threading time traceback types typing unicodedata urllib.parse urllib.request uuid warnings weakref zipfile zlib
    zoneinfo""".split()
)

LAZY = {
    "httpx": ("httpcore", "anyio._backends._asyncio", "anyio.streams.tls", "certifi"),
    "httpx2": ("httpcore2", "anyio._backends._asyncio", "anyio.streams.tls", "truststore"),
}
"""{library: what it imports only when it is first used}: left to the bots, each would import and keep it for itself. Nearly every
client of a web service stands on one of these (openai, python-telegram-bot)."""


@dataclass(slots=True)
class Preloaded:
    """What became of the preload set."""

    loaded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """{module: error}"""


class StartsThread(Exception):
    """Importing `module` started a thread: this process must not fork any more."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


def thread_count() -> int:
    """Return the number of kernel threads of this process; C libraries start some that `threading` does not know."""
    return len(os.listdir("/proc/self/task"))


def preload(modules: list[str], left_out: set[str]) -> Preloaded:
    """Import `modules` in order and what they will need, without those left out; raises StartsThread at the first that starts one."""
    outcome = Preloaded()
    for name in _in_order(modules):
        if name in left_out:
            continue
        try:
            importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as err:  # noqa: BLE001 - a library may raise anything, SystemExit included, at import
            if name in modules:
                outcome.failed[name] = f"{type(err).__name__}: {err}"
        else:
            outcome.loaded.append(name)
        if thread_count() > 1:
            raise StartsThread(name)
    return outcome


def _in_order(modules: list[str]) -> Iterator[str]:
    yield from COMMON
    yield from modules
    for library, parts in LAZY.items():
        if library in sys.modules:
            yield from parts


class Freshness:
    """Notices that a file of a loaded module has changed since it was loaded.

    What it knows lies packed in two objects: a look touches no memory that bots share but them.
    """

    def __init__(self) -> None:
        paths: list[bytes] = []
        self._stamps = array("q")
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            path = os.fsencode(file) if isinstance(file, str) and "\0" not in file else b""
            stamp = self._stamp(path)
            if stamp is not None:
                paths.append(path)
                self._stamps.extend(stamp)
        self._paths = b"\0".join(paths)

    @staticmethod
    def _stamp(path: bytes) -> tuple[int, int] | None:
        try:
            facts = os.stat(path)
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size

    def changed(self) -> str | None:
        """Return the path of a file that differs from what was loaded, or None. One stat a module: about 2 us each."""
        times = iter(self._stamps)
        for path, stamp in zip(self._paths.split(b"\0"), zip(times, times, strict=True), strict=False):
            if self._stamp(path) != stamp:
                return os.fsdecode(path)
        return None
