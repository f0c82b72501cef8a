"""Files of NAME=value lines (.env): quotes, `export`, comments, CRLF, BOM. Read as text; nothing is expanded.

No shell reads these files: `$HOME`, backticks and globs stay as they are written. Errors name file, line and column and
never show a value. Standard library only.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from processsupervisor.kernel.errors import PsvError

MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPORT = re.compile(r"export[ \t]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "'": "'", "`": "`"}


class EnvFileError(PsvError):
    """An env file is missing or not well formed; `line` and `column` count from 1, 0 = the whole file."""

    code = "env-file"

    def __init__(self, path: Path, line: int, column: int, what: str, hint: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {what}" if line else f"{path}: {what}", hint=hint)
        self.path, self.line, self.column = path, line, column


def parse_env_file(path: Path) -> dict[str, str]:
    """Return the variables of the file; of a name given twice the last wins. Raises EnvFileError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise EnvFileError(path, 0, 0, "is not a file", "name a file of NAME=value lines")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as err:
        raise EnvFileError(path, 0, 0, "env_file does not exist", "create it, or correct env_file") from err
    except (OSError, ValueError) as err:
        raise EnvFileError(
            path, 0, 0, f"cannot be read: {getattr(err, 'strerror', None) or err}", "check owner and mode of the file"
        ) from err
    if len(content) > MOST_BYTES:
        raise EnvFileError(path, 0, 0, f"has more than {MOST_BYTES} bytes", "name a file of NAME=value lines")
    return parse_env(content, path)


def parse_env(content: bytes, path: Path) -> dict[str, str]:
    """Return the variables in `content`; `path` is only named in errors."""
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise EnvFileError(path, line, 1, f"found the byte 0x{content[err.start]:02x}, expected UTF-8", "save the file as UTF-8") from err
    return _Reader(text.replace("\r\n", "\n"), path).read()


class _Reader:
    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path
        self._at = 0

    def read(self) -> dict[str, str]:
        variables: dict[str, str] = {}
        while self._at < len(self._text):
            self._skip(" \t\n\r")
            if self._peek() == "#":
                self._skip_line()
            elif self._peek():
                name = self._name()
                value_at = self._at
                value = self._value()
                if "\0" in value:
                    raise self._error(value_at, f"found a NUL character in the value of {name}", "remove it")
                variables[name] = value
        return variables

    def _name(self) -> str:
        start = self._at
        if export := _EXPORT.match(self._text, self._at):
            self._at = export.end()
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._error(
                self._at, "found no variable name, expected NAME=value", "a name has letters, digits and _; comments begin with #"
            )
        self._at = match.end()
        self._skip(" \t")
        if self._peek() != "=":
            raise self._error(start, "found a line without NAME=, expected NAME=value", "put values with line breaks in quotes")
        self._at += 1
        self._skip(" \t")
        return match.group()

    def _value(self) -> str:
        match self._peek():
            case '"':
                return self._quoted('"')
            case "'":
                return self._quoted("'")
        start = self._at
        self._skip_line()
        line = self._text[start : self._at].rstrip("\n")
        # A # begins a comment only after white space: tokens and colours contain it.
        return re.sub(r"(^|[ \t]+)#.*$", "", line).strip()

    def _quoted(self, quote: str) -> str:
        start, parts = self._at, list[str]()
        self._at += 1
        while (char := self._peek()) != quote:
            if not char:
                raise self._error(start, f"found an opening {quote} without a closing one", f"close the value with {quote}")
            if char == "\\" and quote == '"':
                escaped = self._text[self._at + 1 : self._at + 2]
                parts.append(_ESCAPES.get(escaped, "" if escaped == "\n" else "\\" + escaped))
                self._at += 2
            else:
                parts.append(char)
                self._at += 1
        self._at += 1
        self._skip(" \t\r")
        if self._peek() not in ("", "\n", "#"):
            raise self._error(self._at, "found text behind the closing quote, expected the end of the line", "quote the whole value")
        self._skip_line()
        return "".join(parts)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1

    def _error(self, offset: int, what: str, hint: str) -> EnvFileError:
        line = self._text.count("\n", 0, offset) + 1
        return EnvFileError(self._path, line, offset - self._text.rfind("\n", 0, offset), what, hint)
