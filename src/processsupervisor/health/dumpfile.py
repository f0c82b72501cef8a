"""Where a dump is kept: a file beside the bot's logs, the newest few of each bot, and its beginning in the exit record."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

from processsupervisor.health.dumper import Dump
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths

KEPT = 5
_EXCERPT_LINES, _EXCERPT_CHARACTERS = 25, 2000
_NAMES = "dump-*.txt"


def text_of(dump: Dump) -> str:
    """Return a dump as people read it."""
    at = datetime.fromtimestamp(dump.at, UTC).isoformat(sep=" ", timespec="milliseconds")
    parts = [f"bot {dump.bot}, generation {dump.generation}, pid {dump.pid}, {at}", f"process: {json.dumps(dump.process)}"]
    parts += [f"not to be had: {why}" for why in dump.missing]
    parts += ["", "== stacks of all threads", dump.stacks or "-", "", "== asyncio tasks", dump.tasks or "-", ""]
    return "\n".join(parts)


def keep(paths: FleetPaths, dump: Dump) -> dict[str, object]:
    """Write the dump to disk, drop the oldest ones, and return what the exit record says of it.

    `file` is relative to the fleet folder, None when it could not be written, which `missing` then names too.
    """
    folder = paths.bot_logs(dump.bot)
    path = folder / f"dump-{dump.generation:06d}.txt"
    name: str | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, text_of(dump).encode("utf-8", "replace"))
        name = str(path.relative_to(paths.folder))
    except OSError as err:
        dump.lack(err.strerror or str(err), "file")
    _drop_old(folder)
    return {
        "file": name,
        "at": dump.at,
        "process": dump.process,
        "stacks": _excerpt(dump.stacks),
        "tasks": _excerpt(dump.tasks),
        "missing": list(dump.missing),
    }


def _drop_old(folder: Path) -> None:
    with contextlib.suppress(OSError):
        dumps = sorted(folder.glob(_NAMES), key=lambda path: path.lstat().st_mtime)
        for path in dumps[:-KEPT]:
            path.unlink()


def _excerpt(text: str) -> list[str]:
    return text[:_EXCERPT_CHARACTERS].splitlines()[:_EXCERPT_LINES]
