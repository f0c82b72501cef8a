"""The values that references of a bot stood for, for whoever shows or rewrites what the bot printed: those never appear there.

They lie in memory only: in a private folder of /dev/shm (a file system in memory on every Linux), a file per bot of the newest
MOST_BYTES of values. It outlives every process of psv, and is empty after a reboot, when nothing that printed them runs. Where there is
no such file system nothing is kept, and psv doctor says so. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.references import texts_of

MOST_BYTES = 256 * 1024
SHORTEST = 4
"""Shorter values are not looked for: they would stand everywhere."""
_SHORTEST_LINE = 8
_MEMORY = "/dev/shm"

_NAME = re.compile(r"[0-9a-f]{16}")
_cache: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {}


def remember(paths: FleetPaths, bot: str, values: Iterable[str]) -> bool:
    """Add values to those known of a bot; False when there is nowhere to keep them. Called before the program has them."""
    forms = list(dict.fromkeys(form for value in values for form in _forms(value)))
    folder = _folder(paths, is_made=True)
    if folder is None:
        return not forms
    path = folder / f"{bot}.json"
    before = read_json(path)
    known = [value for value in before if isinstance(value, str) and value not in forms] if isinstance(before, list) else []
    if isinstance(before, list) and len(known) + len(forms) == len(before):
        return True  # all known already; a file without any says that there was a start
    kept, size = list[str](), 0
    for value in [*forms, *known]:
        size += len(value.encode("utf-8", "surrogateescape"))
        if size > MOST_BYTES and len(kept) >= len(forms):
            break
        kept.append(value)
    try:
        write_json(path, kept)
    except OSError:
        return False
    return True


def known_values(paths: FleetPaths, bot: str) -> tuple[str, ...]:
    """Return the values known of a bot, the longest first; read again only when they changed."""
    folder = _folder(paths)
    if folder is None:
        return ()
    path = str(folder / f"{bot}.json")
    try:
        facts = os.stat(path)
    except OSError:
        return ()
    mark = (facts.st_mtime_ns, facts.st_ino)
    if path not in _cache or _cache[path][0] != mark:
        found = read_json(Path(path))
        values = [value for value in found if isinstance(value, str)] if isinstance(found, list) else []
        _cache[path] = mark, tuple(sorted(values, key=len, reverse=True))
    return _cache[path][1]


def known_by_logs(folder: str, fleet: str = "") -> tuple[str, ...]:
    """Return the values known of the bot whose log segments lie in `folder` (.psv/logs/bots/NAME, by whatever path) of `fleet`."""
    paths = _fleet_of(folder, fleet)
    return () if paths is None else known_values(paths, os.path.basename(folder))


def is_forgotten(paths: FleetPaths, bot: str) -> bool:
    """Tell whether nothing is known of a bot: no start of it is remembered, as after a reboot."""
    memory = _folder(paths)
    return memory is None or not (memory / f"{bot}.json").exists()


def is_awaited(folder: str, fleet: str = "") -> bool:
    """Tell whether the bot whose log segments lie in `folder` has references and was not started since they were forgotten.

    What it printed before is not to be rewritten as if there were none. Where nothing can be kept, nothing is waited for.
    """
    paths, bot = _fleet_of(folder, fleet), os.path.basename(folder)
    if paths is None or not is_kept(paths) or not is_forgotten(paths, bot):
        return False
    applied = read_json(paths.applied)
    bots = applied.get("bots") if isinstance(applied, dict) else None
    specs = [spec for spec in bots if isinstance(spec, dict) and spec.get("name") == bot] if isinstance(bots, list) else []
    return any(texts_of(spec) for spec in specs)


def _fleet_of(folder: str, fleet: str) -> FleetPaths | None:
    """Return the fleet in which a bot's logs lie: the one named, unless it was moved since; else the one above them.

    logd names its folders by descriptor (/proc/PID/fd/N/BOT), and `.psv` may be a link to another disk: paths alone say nothing.
    """
    above = [Path(os.path.abspath(folder)), Path(os.path.realpath(folder))]
    for home in (*([Path(fleet)] if fleet else []), *(path.parents[3] for path in above if len(path.parents) > 3)):
        paths = FleetPaths(home)
        with contextlib.suppress(OSError):
            if os.path.samefile(paths.logs / "bots", os.path.dirname(folder)):
                return paths
    return None


def is_kept(paths: FleetPaths) -> bool:
    """Tell whether there is a place in memory for values of this fleet, or can be; makes nothing."""
    if not os.path.ismount(_MEMORY) or not os.access(_MEMORY, os.W_OK):
        return False
    above = Path(_MEMORY, f"psv-{os.stat(paths.psv if paths.psv.exists() else paths.folder).st_uid}")
    return not above.exists() or _is_private(above, int(above.name.removeprefix("psv-")))


def move(paths: FleetPaths, bot: str, to: str | None) -> None:
    """Take what is known of a bot to another name, or drop it with a bot that is no more."""
    folder = _folder(paths)
    if folder is None:
        return
    path = folder / f"{bot}.json"
    if to is None:
        path.unlink(missing_ok=True)
    elif path.exists():
        path.replace(folder / f"{to}.json")


def _forms(value: str) -> Iterable[str]:
    """Yield the forms in which a value may be printed: itself, as JSON has it, and each of its lines (logs are redacted line by line)."""
    if len(value) < SHORTEST:
        return
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_LINE)
    else:
        yield value
    for is_ascii in (True, False):
        escaped = json.dumps(value, ensure_ascii=is_ascii)[1:-1]
        if escaped != value:
            yield escaped


def _folder(paths: FleetPaths, *, is_made: bool = False) -> Path | None:
    """Return the fleet's folder in memory, None where there is none or it is not private to the fleet's owner.

    Its name stands in run/memory, which is void when the fleet was copied or moved: no fleet takes another one's for its own.
    """
    try:
        owner = os.stat(paths.run).st_uid
        if not os.path.ismount(_MEMORY):
            return None
        if is_made and owner == os.geteuid():
            _name(paths.run / "memory")
        above = Path(_MEMORY, f"psv-{owner}")
        folder = above / (paths.run / "memory").read_text(encoding="ascii")
        if _NAME.fullmatch(folder.name) is None or folder.parent != above:
            return None
        if is_made and owner == os.geteuid():
            for path in (above, folder):
                path.mkdir(mode=0o700, exist_ok=True)
        return folder if all(_is_private(path, owner) for path in (above, folder)) else None
    except (OSError, ValueError, AttributeError):
        return None


def _name(path: Path) -> None:
    """Write a name of its own for a fleet's folder; one winner when several make it at once."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(os.urandom(8).hex(), encoding="ascii")
    try:
        os.link(temporary, path)  # fails if somebody was faster: theirs counts
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _is_private(path: Path, uid: int) -> bool:
    facts = path.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == uid and not stat.S_IMODE(facts.st_mode) & 0o077
