"""Where the files of a configuration are taken from: the disk, or given texts. Names are paths from the fleet folder with slashes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from processsupervisor.config.globs import entries_of
from processsupervisor.config.source import Source, no_file, parse_source, read_source

CONFIG = "fleet.toml"


class Shelf(Protocol):
    """The files of one fleet folder."""

    folder: Path

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, sorted, each with whether it is a folder (not by a link)."""

    def read(self, name: str) -> Source:
        """Read and parse one file; what is wrong with it is in the answer."""

    def identity(self, name: str) -> object:
        """Return what two names of the same file have in common, None when there is no such file."""

    def is_outside(self, name: str) -> bool:
        """Tell whether the file lies outside of the fleet folder, by a link."""


class Disk:
    """The files as they are; `given` stands for the content of fleet.toml where it is not None."""

    def __init__(self, folder: Path, given: bytes | None = None) -> None:
        self.folder = folder
        self._given = given
        self._real = os.path.realpath(folder)

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        return entries_of(self.folder, folder)

    def read(self, name: str) -> Source:
        path = self.folder / name
        return parse_source(path, self._given) if self._given is not None and name == CONFIG else read_source(path)

    def identity(self, name: str) -> object:
        try:
            status = (self.folder / name).stat()
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    def is_outside(self, name: str) -> bool:
        real = os.path.realpath(self.folder / name)
        return os.path.commonpath((real, self._real)) != self._real


class Texts:
    """Given contents instead of files: those of a stored version, say."""

    def __init__(self, folder: Path, texts: Mapping[str, bytes]) -> None:
        self.folder = folder
        self._texts = texts

    def read(self, name: str) -> Source:
        content = self._texts.get(name)
        return parse_source(self.folder / name, content) if content is not None else no_file(self.folder / name)

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        prefix = f"{folder}/" if folder else ""
        below = [name[len(prefix) :] for name in self._texts if name.startswith(prefix)]
        return sorted({(rest.partition("/")[0], "/" in rest) for rest in below})

    def identity(self, name: str) -> object:
        return name if name in self._texts else None

    def is_outside(self, name: str) -> bool:
        return False
