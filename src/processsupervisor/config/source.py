"""One file of the configuration as text and values: every way in which a file can fail to be one becomes a problem with its place.

A line with a syntax error is left out and reading goes on, so that one run names all mistakes; such a file is still
fatal. What the keys mean is not here.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from processsupervisor.config.places import Places
from processsupervisor.config.problem import Problem, printable, table_name

MOST_BYTES = 4 << 20
_MOST_SYNTAX_ERRORS = 20
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)\s*$")
_ONE_LINE_PAIR = re.compile(r"""^\s*[A-Za-z0-9_."'-]+\s*=(?!.*(\"\"\"|'''))""")
_REPEATED = ("overwrite", "declare", "mutate", "uplicate")
_HINTS = {
    "Invalid value": 'texts stand in quotes, as in name = "demo"; true and false in small letters',
    "Expected '=' after a key": "a setting is written key = value, a table [name]",
    "Invalid statement": "a setting is written key = value, a table [name], a comment # text",
    "Unescaped '\\'": "in 'single quotes' a backslash stands for itself",
    "Invalid initial character for a key part": "quote names with other characters than letters, digits, - and _",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What was read. `values` is None when nothing could be; `problems` are all fatal; `digest` is of the bytes `content`."""

    text: str = ""
    content: bytes = b""
    digest: str = ""
    values: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)


def digest(content: bytes) -> str:
    """Return the SHA-256 by which a running fleet knows the fleet.toml that it came from."""
    return hashlib.sha256(content).hexdigest()


def read_source(path: Path) -> Source:
    """Read and parse the file; never raises for anything that the file can be or hold."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _unreadable(path, "not-a-file", "is a folder, expected a file", f"move it away and write a file {path.name}")
        if not stat.S_ISREG(status.st_mode):
            return _unreadable(path, "not-a-file", "is not a regular file", "put a plain text file there")
        if status.st_size > MOST_BYTES:
            return _unreadable(path, "too-large", f"has {status.st_size} bytes, at most {MOST_BYTES} are read", "split the fleet")
        content = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            return _unreadable(path, "no-file", "is a link to nothing", "mend the link, or put the file itself there")
        return no_file(path)
    except (OSError, ValueError) as err:
        reason = (err.strerror or str(err)) if isinstance(err, OSError) else str(err)
        return _unreadable(path, "unreadable", f"cannot be read: {reason}", "check owner and mode of the file")
    return parse_source(path, content)


def no_file(path: Path) -> Source:
    """Return what there is of a file that does not exist."""
    hint = "psv init makes one" if path.name == "fleet.toml" else "create it, or take it out of include"
    return _unreadable(path, "no-file", "does not exist", hint)


def parse_source(path: Path, content: bytes) -> Source:
    """Parse the bytes of a file; `path` is only named."""
    fingerprint = digest(content)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        problem = Problem(str(path), 1, 1, "encoding", "found UTF-16, expected UTF-8", "save the file as UTF-8")
        return Source("", content, fingerprint, problems=[problem])
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as err:
        before = content[: err.start].removeprefix(b"\xef\xbb\xbf")
        line, column = before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        text = f"found the byte 0x{content[err.start]:02x}, expected UTF-8"
        return Source("", content, fingerprint, problems=[Problem(str(path), line, column, "encoding", text, "save the file as UTF-8")])
    return replace(_parse(path, text.replace("\r\n", "\n")), content=content, digest=fingerprint)


def _parse(path: Path, text: str) -> Source:
    lines, problems = text.split("\n"), list[Problem]()
    while len(problems) < _MOST_SYNTAX_ERRORS:
        try:
            values = tomllib.loads("\n".join(lines))
        except RecursionError:
            problems.append(Problem(str(path), 0, 0, "syntax", "lists or tables are nested too deeply", "fewer brackets inside each other"))
            return Source(text, problems=problems)
        except ValueError as err:  # TOMLDecodeError, or an integer with more digits than Python converts
            found, faulty = _syntax_problems(path, text, str(err))
            problems += [problem for problem in found if problem not in problems]
            if faulty is None or not _ONE_LINE_PAIR.match(lines[faulty - 1]):
                return Source(text, problems=problems)
            lines[faulty - 1] = ""
            continue
        return Source(text, values=values, problems=problems)
    return Source(text, problems=problems)


def _syntax_problems(path: Path, text: str, message: str) -> tuple[list[Problem], int | None]:
    """Return the problems behind a parser's message and the line to leave out when reading goes on."""
    match = _PLACE.search(message)
    what = _PLACE.sub("", message)
    places = Places(text)
    line, column = (int(match[1]), int(match[2])) if match and match[1] else places.end()
    if any(word in what for word in _REPEATED):
        repeats = [_repeat(path, *repeat.again, table_name(repeat.path), repeat.first[0]) for repeat in places.repeats]
        if repeats:
            return repeats, line
    hint = next((text for start, text in _HINTS.items() if what.startswith(start)), "")
    if "integer string conversion" in what:
        what, line, column = "a whole number has too many digits", 0, 0
    is_placed = match is not None and match[1] is not None
    words = printable(what[:1].lower() + what[1:])
    return [Problem(str(path), line, column, "syntax", f"syntax error: {words}", hint)], line if is_placed else None


def _repeat(path: Path, line: int, column: int, name: str, first_line: int) -> Problem:
    return Problem(
        str(path), line, column, "duplicate-key", f"{name} is given a second time", f"the first is in line {first_line}; remove one"
    )


def _unreadable(path: Path, code: str, what: str, hint: str) -> Source:
    return Source(problems=[Problem(str(path), 0, 0, code, f"{printable(os.fspath(path))} {what}", hint)])
