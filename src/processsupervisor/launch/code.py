"""The copy of the package that a fleet runs: .psv/code/VERSION-HASH/processsupervisor, made by `psv up` and `psv upgrade`.

What is installed may change or vanish at any time; what runs does not. A copy is complete or not there (renamed into place),
is never changed afterwards, and is found again by its content. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.version import __version__

_PACKAGE = "processsupervisor"
_HASH_LENGTH = 10
_MAKING_S = 600.0
"""A folder with a dot is a copy in the making, of another `psv up`; after so long it is one that was killed."""
_OWN = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Code:
    """One copy (or the installed package itself) and the interpreter that is to run it."""

    package: Path
    python: str

    @classmethod
    def own(cls) -> Code:
        """Return the code that this process runs."""
        return cls(_OWN, sys.executable)

    @property
    def name(self) -> str:
        """Return VERSION-HASH for a copy, "installed" for anything else."""
        folder = self.package.parent
        return folder.name if folder.parent.name == "code" and folder.parent.parent.name == ".psv" else "installed"

    def argv(self, module: str, *arguments: str) -> list[str]:
        """Return the command line that runs `module` of this copy; -P keeps the working folder out of sys.path."""
        return [self.python, "-P", str(self.package / "boot.py"), module, *arguments]


def install(paths: FleetPaths) -> Code:
    """Copy the package of this process into the fleet unless that very content is there; return the copy.

    Raises SystemRefused when there is no room, or when the installed package cannot be read.
    """
    source = _OWN
    try:
        digest = _digest(source)
        folder = paths.code / f"{__version__}-{digest}"
        if (folder / _PACKAGE).is_dir() and _digest(folder / _PACKAGE) != digest:
            shutil.rmtree(folder)  # somebody changed it by hand
        if not (folder / _PACKAGE).is_dir():
            _copy(source, folder)
    except OSError as err:
        raise SystemRefused(
            f"cannot copy the package to {paths.code}: {_why(err)}", hint="psv needs about 3 MB free in the fleet folder"
        ) from err
    return Code(folder / _PACKAGE, sys.executable)


def prune(paths: FleetPaths, keep: Code) -> None:
    """Remove every other copy if nothing of the fleet lives: a bot, or a psvd that outlived its keeper, may still import from its own."""
    if any(is_flocked(lock) for pattern in ("*.lock", "bots/*/lock") for lock in paths.run.glob(pattern)):
        return
    with contextlib.suppress(OSError):
        for folder in paths.code.iterdir():
            is_being_made = folder.name.startswith(".") and time.time() - folder.stat().st_mtime < _MAKING_S
            if folder != keep.package.parent and not is_being_made:
                shutil.rmtree(folder, ignore_errors=True)


def _why(err: OSError) -> str:
    """Return one reason: copytree goes on after an error and raises a list of (source, target, reason), one for each file."""
    if isinstance(err, shutil.Error) and err.args and isinstance(err.args[0], list):
        return str(err.args[0][0][-1])
    return err.strerror or str(err)


def _files(source: Path) -> list[str]:
    """Return the relative names of all files of a package but compiled ones, sorted."""
    found = []
    for folder, below, names in os.walk(source):
        below[:] = [name for name in below if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(folder, name), source) for name in names if not name.endswith((".pyc", ".pyo"))]
    return sorted(found)


def _digest(source: Path) -> str:
    import hashlib  # here, because it loads OpenSSL: the keeper stays 4 MB smaller

    digest = hashlib.sha256()
    for name in _files(source):
        digest.update(name.encode() + b"\0" + (source / name).read_bytes() + b"\0")
    return digest.hexdigest()[:_HASH_LENGTH]


def _copy(source: Path, folder: Path) -> None:
    """Copy everything with its times, so that what is compiled already stays valid; appear in one step."""
    if not folder.parent.is_dir():
        folder.parent.mkdir(exist_ok=True)
        folder.parent.chmod(0o711)  # not by mkdir, which the umask cuts
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    tag = f".{sys.implementation.cache_tag}."

    def left_out(where: str, names: list[str]) -> set[str]:
        compiled = os.path.basename(where) == "__pycache__"
        return {name for name in names if compiled and tag not in name}

    try:
        shutil.copytree(source, temporary / _PACKAGE, ignore=left_out, ignore_dangling_symlinks=True)
        for where, _, names in os.walk(temporary):
            Path(where).chmod(0o755)  # a bot of another user imports from here; it holds nothing secret
            for name in names:
                Path(where, name).chmod(0o644)
        with contextlib.suppress(OSError):
            os.rename(temporary, folder)  # somebody else was quicker: theirs has the same content
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if not (folder / _PACKAGE).is_dir():
        raise OSError(f"{folder} cannot be made")
