"""What is not there, as rules tell it: a finding whose cause lies outside fleet.toml, and the file beside that was probably meant."""

from __future__ import annotations

from pathlib import Path

from processsupervisor.config.problem import Finding, KeyPath, nearest, printable, quoted


def outside(path: KeyPath, code: str, message: str, hint: str) -> Finding:
    """Return a finding that may be gone without a change of fleet.toml."""
    return Finding(path, code, printable(message), printable(hint), outside=True)


def like(missing: Path, otherwise: str) -> str:
    """Return a hint: the file beside `missing` with the name most like it, else `otherwise`."""
    try:
        names = [entry.name for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        names = []
    if missing.suffix == ".py":
        names = [name for name in names if name.endswith(".py")]
    close = nearest(missing.name, names)
    return f"did you mean {quoted(close)}?" if close else otherwise
