"""The files that each bot of `psv dev` consists of, and which of them have changed: by looking at the files themselves.

Events of the file system only say when to look. A bot's files are its module or script, what these import from beside them, its
env files, and files that a command names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from processsupervisor.config.imports import scan_script
from processsupervisor.config.spec import BotSpec

Stamp = tuple[int, int, int] | None


class Files:
    """All files of all bots, and how they looked last."""

    def __init__(self, folder: Path, more: Iterable[Path] = ()) -> None:
        self._folder = folder
        self._of_bot: dict[str, set[Path]] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._sources: set[Path] = set()
        self.watch(more)

    def watch(self, more: Iterable[Path]) -> None:
        """Watch further files, of no bot; one that is known keeps its look."""
        for path in more:
            self._stamps.setdefault(path, _stamp(path))

    def take(self, specs: Iterable[BotSpec]) -> None:
        """Note what the bots consist of now; a file that is known keeps its look."""
        # A file that has just become unreadable to the parser still belongs to its bot: the next save mends it.
        self._of_bot = {spec["name"]: self._of_bot.get(spec["name"], set()) | set(_files(spec, self._folder)) for spec in specs}
        for path in set().union(*self._of_bot.values()) - self._stamps.keys():
            self._stamps[path] = _stamp(path)

    @property
    def folders(self) -> list[str]:
        """Return the folders in which these files lie."""
        return sorted({str(path.parent) for path in self._stamps if path.parent.is_dir()})

    @property
    def count(self) -> int:
        """Return how many files are watched."""
        return len(self._stamps)

    def changed(self) -> set[Path]:
        """Return what looks otherwise than at the last call, and is there."""
        found = set()
        for path, before in self._stamps.items():
            now = _stamp(path)
            if now != before:
                self._stamps[path] = now
                if now is not None:  # an editor that renames takes it away for a moment
                    found.add(path)
        return found

    def has_more_sources(self) -> bool:
        """Tell whether a Python file has come since the last call, into these folders or those directly below, whoever imports it."""
        before = self._sources
        self._sources = {path for folder in self.folders for pattern in ("*.py", "*/*.py") for path in Path(folder).glob(pattern)}
        return not self._sources <= before

    def bots_of(self, paths: set[Path]) -> list[str]:
        """Return the bots that one of the files belongs to."""
        return [bot for bot, files in self._of_bot.items() if files & paths]


def saved_at(paths: Iterable[Path]) -> float:
    """Return when the last of the files was saved, in epoch seconds."""
    return max((stamp[0] / 1e9 for path in paths if (stamp := _stamp(path))), default=0.0)


def _files(spec: BotSpec, folder: Path) -> Iterator[Path]:
    yield from map(Path, spec["env_files"])
    match spec["kind"]:
        case "native":
            module = folder.joinpath(*(spec["run"] or "").partition(":")[0].split("."))
            path = module / "__init__.py" if module.is_dir() else module.with_name(f"{module.name}.py")
            yield from (path, *scan_script(path, folder).local_files)
        case "script":
            path = Path(spec["script"] or "")
            yield from (path, *scan_script(path, Path(spec["cwd"])).local_files)
        case "command":
            words = [*(spec["command"] or []), *spec["args"]]
            named = (Path(os.path.normpath(Path(spec["cwd"]) / word)) for word in words if len(word) < 1000 and "\0" not in word)
            yield from (path for path in named if path.is_relative_to(folder) and path.is_file())


def _stamp(path: Path) -> Stamp:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
