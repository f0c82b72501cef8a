"""fleet.toml and the files that it includes, joined: which table stands in which file, and what is wrong with the files themselves.

`include = ["bots.d/*.toml"]` at the top of a file names others, relative to it; each is read once, in sorted order, behind the file
that includes it. They must lie in the fleet folder, also when links are followed. A table may stand in one file only. Where the
contents come from is shelf.py's; what the tables mean is not here. Never raises for anything that files can be or hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from processsupervisor.config.globs import TooMany, is_glob, joined, matches
from processsupervisor.config.ondisk import combined
from processsupervisor.config.places import Places
from processsupervisor.config.problem import KeyPath, Problem, printable, quoted, shown, table_name
from processsupervisor.config.shelf import CONFIG, Shelf
from processsupervisor.config.source import Source
from processsupervisor.config.spec import SourceFile

MOST_FILES = 1000
MOST_TOTAL_BYTES = 16 << 20
_DEEPEST = 20
_NAMED = ("types", "bots", "notify")
"""Sections whose tables may be spread over the files."""


@dataclass(frozen=True)
class File:
    """One file; `name` is its path from the fleet folder, with slashes."""

    name: str
    path: Path
    source: Source

    @cached_property
    def places(self) -> Places:
        """Return where its tables and keys stand."""
        return Places(self.source.text)


@dataclass
class Files:
    """All files in reading order, fleet.toml first, and what they say together; `values` is None when fleet.toml says nothing."""

    shelf: Shelf
    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    values: dict[str, Any] | None = None
    globs: list[str] = field(default_factory=list)
    """By which files were included, from the fleet folder."""
    _owners: dict[KeyPath, File] = field(default_factory=dict)
    _bytes: int = 0

    @cached_property
    def has_gaps(self) -> bool:
        """Tell whether lines of a file were left out: what is missing may stand there."""
        return any(file.source.problems for file in self.files)

    @cached_property
    def is_torn(self) -> bool:
        """Tell whether a whole file could not be read: what is unknown may stand there."""
        is_missing = any(problem.code.startswith("include-") and problem.severity == "fatal" for problem in self.problems)
        return is_missing or any(file.source.values is None for file in self.files)

    @property
    def listed(self) -> list[SourceFile]:
        """Return the path and digest of each file."""
        return [{"path": file.name, "digest": file.source.digest} for file in self.files]

    @property
    def contents(self) -> dict[str, bytes]:
        """Return the bytes of each file that could be read."""
        return {file.name: file.source.content for file in self.files if file.source.digest}

    @property
    def digest(self) -> str:
        """Return what all files are known by."""
        return combined({file.name: file.source.digest for file in self.files})

    def find(self, path: KeyPath) -> tuple[File, int, int]:
        """Return the file in which `path` stands, with line and column."""
        file = self._owners.get(path[:2]) or self._owners.get(path[:1]) or self.files[0]
        return file, *file.places.find(path)

    def read(self, name: str, chain: tuple[tuple[str, object], ...] = ()) -> None:
        """Read a file and all that it includes."""
        source = self.shelf.read(name)
        file = File(name, self.shelf.folder / name, source)
        self.files.append(file)
        self._bytes += len(source.content)
        self.problems += source.problems
        chain = (*chain, (name, self.shelf.identity(name)))
        for index, pattern in self._patterns(file):
            for found in self._matches(file, index, pattern):
                if self._may_read(file, index, found, chain):
                    self.read(found, chain)

    def join(self) -> None:
        """Put together what the files say."""
        if self.files[0].source.values is None:
            return
        self.values = {}
        for file in self.files:
            for key, value in (file.source.values or {}).items():
                known = self.values.get(key, {})
                if key in _NAMED and isinstance(value, dict) and isinstance(known, dict):
                    self.values.setdefault(key, known)
                    for name, table in value.items():
                        self._take(known, (key, name), table, file)
                elif key != "include":
                    self._take(self.values, (key,), value, file)

    def _take(self, tables: dict[str, Any], path: KeyPath, value: Any, file: File) -> None:
        first = self._owners.get(path)
        if first is None and path[0] in _NAMED and len(path) == 1:  # no table here, tables of that section elsewhere
            first = next((owner for at, owner in self._owners.items() if at[:1] == path), None)
        if first is None:
            self._owners[path] = file
            tables[str(path[-1])] = value
            return
        place = f"{printable(first.name)}:{first.places.find(path)[0]}"
        what = f"[{table_name(path)}] is given a second time, in another file"
        self._tell(file, path, "duplicate-table", what, f"the first is in {place}; remove one, or join them")

    def _patterns(self, file: File) -> Iterator[tuple[int, str]]:
        given = (file.source.values or {}).get("include", [])
        for index, pattern in enumerate(given if isinstance(given, list) else [given]):
            if isinstance(pattern, str) and pattern.strip() and "\0" not in pattern:
                yield index, pattern
            else:
                text = f"found {shown(pattern)} for include, expected a list of paths, as in ['bots.d/*.toml']"
                self._tell(file, ("include", index), "bad-value", text)

    def _matches(self, file: File, index: int, pattern: str) -> list[str]:
        at: KeyPath = ("include", index)
        name = joined(file.name, pattern)
        if name is None:
            text = f"include {quoted(pattern)} leaves the fleet folder"
            self._tell(file, at, "include-outside", text, "files are named relative to this one and must lie in the folder of fleet.toml")
            return []
        if not is_glob(name):
            return [name]
        if name not in self.globs:
            self.globs.append(name)
        try:
            found = matches(self.shelf.entries, name)
        except TooMany:
            self._tell(file, at, "include-many", f"include {quoted(pattern)} looks into too many folders", "name the folders of the files")
            return []
        if not found:
            text = f"include {quoted(pattern)} matches no file"
            self._tell(file, at, "include-empty", text, "correct it, or take it out when it is not needed yet", is_warning=True)
        return found

    def _may_read(self, file: File, index: int, found: str, chain: tuple[tuple[str, object], ...]) -> bool:
        """Tell whether a file is new and allowed; what is not allowed is told."""
        at: KeyPath = ("include", index)
        identity = self.shelf.identity(found)
        start = next((i for i, (name, known) in enumerate(chain) if name == found or (identity is not None and known == identity)), None)
        if start is not None:
            way = " -> ".join(printable(name) for name in (*(name for name, _ in chain[start:]), found))
            self._tell(file, at, "include-cycle", f"include leads back to the same file: {way}", "take one of these out")
        elif any(file.name == found for file in self.files):
            return False
        elif self.shelf.is_outside(found):
            text = f"{quoted(found)} leads out of the fleet folder by a link"
            self._tell(file, at, "include-outside", text, "put the file itself into the folder of fleet.toml")
        elif len(self.files) >= MOST_FILES or self._bytes > MOST_TOTAL_BYTES or len(chain) >= _DEEPEST:
            if not any(problem.code == "include-many" for problem in self.problems):
                text = f"more is included than psv reads: {MOST_FILES} files, {MOST_TOTAL_BYTES >> 20} MB together, {_DEEPEST} deep"
                self._tell(file, at, "include-many", text, "join some of the files")
        else:
            return True
        return False

    def _tell(self, file: File, at: KeyPath, code: str, message: str, hint: str = "", *, is_warning: bool = False) -> None:
        line, column = file.places.find(at)
        self.problems.append(Problem(str(file.path), line, column, code, message, hint, "warning" if is_warning else "fatal"))


def read_files(shelf: Shelf) -> Files:
    """Read fleet.toml and what it includes."""
    files = Files(shelf)
    files.read(CONFIG)
    files.join()
    return files
