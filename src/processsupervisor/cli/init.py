"""`psv init [DIR]`: a small fleet with one bot, after a template. Writes all its files, or none when one of them exists."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import unicodedata
from pathlib import Path

from processsupervisor.cli.session import Session
from processsupervisor.cli.templates import IGNORE, TEMPLATES
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, PsvError, Refused


def init(session: Session, command: Command, *, folder: str | None, template: str) -> int:
    """Write the fleet and say what to do next."""
    target = Path(folder or ".")
    chosen = TEMPLATES[template]
    config = chosen.files["fleet.toml"].replace("{name}", fleet_name(target))
    files = {**chosen.files, "fleet.toml": config, ".gitignore": IGNORE}
    taken = [name for name in files if name != ".gitignore" and _exists(target / name)]
    if taken:
        is_program = taken == ["main.py"]
        hint = "to run it as it is: psv adopt main.py" if is_program else "give another folder: psv init DIR"
        raise Refused(f"{target / taken[0]} exists; nothing was written", hint=hint)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write_all(target, files)
    except FileExistsError as err:
        raise Refused(f"{err.filename or target} exists", hint="give another folder: psv init DIR") from err
    except OSError as err:
        raise PsvError(f"cannot write in {target}: {err.strerror}", hint="give another folder: psv init DIR") from err
    session.say(f"made {', '.join(files)} in {target.absolute()}")
    prefix = "psv" if folder in (None, ".") else f"psv -C {shlex.quote(str(folder))}"
    if chosen.before:
        session.say(f"first: {chosen.before}")
    session.say(f"next: {prefix} up --detach --wait && {prefix} {chosen.first}")
    return EXIT_OK


def fleet_name(folder: Path) -> str:
    """Return the folder's own name as far as a fleet may be called so: ASCII letters, digits, `.`, `_` and `-`, at most 63."""
    plain = unicodedata.normalize("NFKD", folder.absolute().name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:63] or "fleet"


def _exists(path: Path) -> bool:
    # A dangling link exists too: writing through it would put the file somewhere else.
    return path.is_symlink() or path.exists()


def _private(path: str, flags: int) -> int:
    """Open for the owner alone, as what will hold a token."""
    return os.open(path, flags, 0o600)


def _write_all(target: Path, files: dict[str, str]) -> None:
    """Write all files or leave none of ours behind; a .gitignore of the user's stays as it is."""
    written: list[Path] = []
    made: list[Path] = []
    try:
        for name, content in files.items():
            path = target / name
            if name == ".gitignore" and _exists(path):
                continue
            if not path.parent.is_dir():
                path.parent.mkdir()
                made.append(path.parent)
            with open(path, "x", encoding="utf-8", opener=_private if name == ".env" else None) as file:
                written.append(path)
                file.write(content)
    except OSError:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
