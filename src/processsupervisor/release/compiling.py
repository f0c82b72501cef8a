"""Compiling the Python files of a release beforehand: nobody can write beside them afterwards, so each start would compile them anew.

In this process, so that a kill ends it too; the virtual environment of a release is made by the same interpreter.
"""

from __future__ import annotations

import compileall
import warnings
from pathlib import Path


def compile_all(new: Path, final: Path) -> None:
    """Compile below `new`/files, under the names that they will have.

    A file that cannot be compiled is its program's affair; one that could not be written costs time at a start, and nothing else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compileall.compile_dir(new / "files", maxlevels=100, quiet=2, stripdir=str(new), prependdir=str(final))
