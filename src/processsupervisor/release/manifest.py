"""release.json of a release: what is in it, who made it, out of what; and whether the copy is still as it was made.

Compiled files (`__pycache__`) are no part of it: Python writes them, and looks at their source before it uses them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import Refused
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths

FILE_NAME = "release.json"
_CHUNK_BYTES = 1 << 20
_SHAPE: dict[str, type | tuple[type, ...]] = {"number": int, "at": (int, float), "author": str, "note": str, "files": list}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the copy: a file with size and SHA-256, a folder, or a link with its target."""

    path: str
    kind: str
    mode: int = 0
    size_bytes: int = 0
    sha256: str = ""
    target: str = ""


@dataclass
class Manifest:
    """One release. `git` is `{commit, is_dirty}` of the checkout that it was made of; `venv` what its virtual environment was made of."""

    number: int
    at: float
    author: str
    note: str
    git: dict[str, Any] | None = None
    venv: dict[str, Any] | None = None
    files: list[Item] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all files, without the virtual environment."""
        return sum(item.size_bytes for item in self.files)

    @property
    def count(self) -> int:
        """Return how many files there are."""
        return sum(item.kind == "file" for item in self.files)

    @property
    def content(self) -> str:
        """Return a digest of what is in it: two releases of the same content run the same code."""
        lines = "".join(json.dumps([i.path, i.kind, i.mode, i.sha256, i.target]) + "\n" for i in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write release.json into the folder of a release in the making."""
    body = json.dumps(asdict(manifest), ensure_ascii=True)  # ASCII keeps odd file names whole
    write_atomic(folder / FILE_NAME, body.encode("ascii"), durable=True, mode=0o644)


def read_manifest(paths: FleetPaths, number: int) -> Manifest | None:
    """Return the manifest of a release, None when it has none that can be read."""
    try:
        value = json.loads((paths.release(number) / FILE_NAME).read_bytes())
        if not all(isinstance(value.get(key), kind) for key, kind in _SHAPE.items()) or value["number"] != number:
            return None
        return Manifest(**{**value, "files": [Item(**item) for item in value["files"]]})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def numbers(paths: FleetPaths) -> list[int]:
    """Return the numbers of the releases that are there, in order."""
    try:
        return sorted(int(name) for name in os.listdir(paths.releases) if name.isascii() and name.isdigit())
    except OSError:
        return []


def verify(paths: FleetPaths, number: int) -> Manifest:
    """Return the manifest of a release that is as it was made; raises Refused with the files that are not."""
    manifest = read_manifest(paths, number)
    if manifest is None:
        known = ", ".join(map(str, numbers(paths)[-10:]))
        if number not in numbers(paths):
            raise Refused(f"there is no release {number}", hint=f"there are {known}" if known else "make one: psv release create")
        raise Refused(f"release {number} has no {FILE_NAME} that can be read", hint="make another one: psv release create")
    wrong = _differences(paths.release(number) / "files", manifest)
    if manifest.venv is not None and not os.access(paths.release(number) / "venv" / "bin" / "python", os.X_OK):
        wrong.append("venv/bin/python cannot be run")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        text = f"release {number} is not as it was made: {', '.join(wrong[:5])}{more}"
        raise Refused(text, hint="make another one: psv release create")
    return manifest


def _differences(files: Path, manifest: Manifest) -> list[str]:
    wrong = []
    for item in manifest.files:
        said = _difference(files / item.path, item)
        if said:
            wrong.append(f"{item.path} {said}")
    known = {item.path for item in manifest.files}
    for where, folders, names in os.walk(files):
        folders[:] = [name for name in folders if name != "__pycache__"]
        inside = (os.path.relpath(Path(where, name), files) for name in [*folders, *names])
        wrong += [f"{path} was added" for path in sorted(inside) if path not in known]
    return wrong


def _difference(path: Path, item: Item) -> str:
    try:
        status = path.lstat()
        if item.kind == "link":
            return "" if stat.S_ISLNK(status.st_mode) and str(path.readlink()) == item.target else "leads elsewhere"
        if item.kind == "folder":
            return "" if stat.S_ISDIR(status.st_mode) else "is no folder"
        if not stat.S_ISREG(status.st_mode) or status.st_size != item.size_bytes or digest_of(path) != item.sha256:
            return "was changed"
        return "" if stat.S_IMODE(status.st_mode) == item.mode else f"has mode {stat.S_IMODE(status.st_mode):o}, not {item.mode:o}"
    except FileNotFoundError:
        return "is missing"
    except OSError as err:
        return f"cannot be read ({err.strerror})"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
