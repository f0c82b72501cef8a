"""`psv init [DIR]`: a small fleet with one bot that answers. Writes three files, or none when one of them exists."""

from __future__ import annotations

import contextlib
import re
import shlex
import unicodedata
from pathlib import Path

from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, PsvError, Refused

BOT = '''\
"""A bot that says what you say. Edit it, then: psv restart echo"""

from processsupervisor import Bot, Message

bot = Bot()


@bot.on_message
async def answer(message: Message) -> str:
    return f"You said: {message.text}"
'''

FLEET = """\
# What runs here: psv up starts it, psv check finds mistakes.
[fleet]
name = "{name}"

[bots.echo]
run = "bots:bot"      # bots.py beside this file, its attribute bot
"""

IGNORE = ".psv/\n.psv-*/\n.env\n__pycache__/\n"


def init(session: Session, command: Command, *, folder: str | None) -> int:
    """Write the fleet and say what to do next."""
    target = Path(folder or ".")
    files = {"fleet.toml": FLEET.format(name=fleet_name(target)), "bots.py": BOT, ".gitignore": IGNORE}
    taken = [name for name in files if name != ".gitignore" and _exists(target / name)]
    if taken:
        raise Refused(f"{target / taken[0]} exists; nothing was written", hint="give another folder: psv init DIR")
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write_all(target, files)
    except FileExistsError as err:
        raise Refused(f"{err.filename or target} exists", hint="give another folder: psv init DIR") from err
    except OSError as err:
        raise PsvError(f"cannot write in {target}: {err.strerror}", hint="give another folder: psv init DIR") from err
    session.say(f"made {', '.join(files)} in {target.absolute()}")
    prefix = "psv" if folder in (None, ".") else f"psv -C {shlex.quote(str(folder))}"
    session.say(f"next: {prefix} up --detach --wait && {prefix} chat echo hello")
    return EXIT_OK


def fleet_name(folder: Path) -> str:
    """Return the folder's own name as far as a fleet may be called so: ASCII letters, digits, `.`, `_` and `-`, at most 63."""
    plain = unicodedata.normalize("NFKD", folder.absolute().name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:63] or "fleet"


def _exists(path: Path) -> bool:
    # A dangling link exists too: writing through it would put the file somewhere else.
    return path.is_symlink() or path.exists()


def _write_all(target: Path, files: dict[str, str]) -> None:
    """Write all files or leave none of ours behind; a .gitignore of the user's stays as it is."""
    written: list[Path] = []
    try:
        for name, content in files.items():
            path = target / name
            if name == ".gitignore" and _exists(path):
                continue
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(content)
    except OSError:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
