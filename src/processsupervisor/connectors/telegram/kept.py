"""Small tables beside the database, in a file that is not there when there is nothing in it. Nothing in them is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processsupervisor.kernel.files import read_json, write_json


def read_rows(path: Path, *kinds: type) -> dict[str, list[Any]]:
    """Return the rows that have a value of each of these kinds, in this order; what is damaged is left out."""
    content = read_json(path)
    rows = content.items() if isinstance(content, dict) else ()
    return {key: row for key, row in rows if isinstance(row, list) and [type(value) for value in row] == list(kinds)}


def write_rows(path: Path, rows: Mapping[str, Sequence[object]]) -> None:
    """Put rows in the place of those that were there. A full disk is no reason to stop: this life still knows them."""
    with contextlib.suppress(OSError):
        if not rows:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows)
