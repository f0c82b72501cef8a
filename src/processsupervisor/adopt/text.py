"""A foreign file as text, with every way in which it can fail to be one as a CannotRead."""

from __future__ import annotations

import stat
from pathlib import Path

from processsupervisor.adopt.program import CannotRead, Place

MOST_BYTES = 4 << 20


def read_bytes(path: Path) -> bytes:
    """Return what is in a plain file; raises CannotRead."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CannotRead(f"{path} is not a plain file", hint="name the file itself")
        if status.st_size > MOST_BYTES:
            raise CannotRead(f"{path} has {status.st_size} bytes, at most {MOST_BYTES} are read", hint="name the file with the programs")
        return path.read_bytes()
    except FileNotFoundError as err:
        raise CannotRead(f"{path} does not exist", hint="name a file that is there") from err
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise CannotRead(f"{path} cannot be read: {reason}", hint="check owner and mode of the file") from err


def read_text(path: Path) -> str:
    """Return the text of a plain file in UTF-8; line ends are "\\n". Raises CannotRead."""
    content = read_bytes(path)
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        found = f"found the byte 0x{content[err.start]:02x}, expected UTF-8"
        raise CannotRead(f"{Place(path, line)}: {found}", hint="save the file as UTF-8") from err
    if "\0" in text:
        raise CannotRead(f"{path} is not a text file", hint="name a file of one of the kinds that psv adopt reads")
    return text.replace("\r\n", "\n")
