"""What is wrong with a configuration: findings (at a key) and problems (at file:line:column), and how they are worded.

Standard library only. A message is one line of printable characters and never shows a value that may be a secret.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processsupervisor.config.spec import ProblemSpec

KeyPath = tuple[str | int, ...]
Severity = Literal["fatal", "bot", "warning"]
_SECRET_TABLES = frozenset(
    {"env", "options", "networks", "token", "vars", "url", "heartbeat", "url_env", "token_env", "user_env", "password_env"}
)
"""The address of a webhook is a secret, and so is what somebody puts in place of the name of a variable."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a key; `outside` = the cause is not in fleet.toml (a missing file, another user)."""

    path: KeyPath
    code: str
    message: str
    hint: str = ""
    outside: bool = False
    warning: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A finding with its place. Lines and columns count from 1; 0 = the file as a whole.

    `severity`: "fatal" = nothing of this file can be used, "bot" = only `bots` are left out, "warning" = nothing is.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    severity: Severity = "fatal"
    bots: tuple[str, ...] = ()

    def to_json(self) -> ProblemSpec:
        """Return `{file, line, column, code, message, hint}`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }

    def text(self, folder: Path | None = None, *, short: bool = False) -> str:
        """Return `file:line:column: message; hint` on one line, with the file as seen from `folder`; `short` leaves out its folder."""
        name = self.file.replace("\\", "/").rsplit("/", 1)[-1] if short else self.file
        if folder is not None:
            name = name.removeprefix(f"{folder}/")
        place = f"{name}:{self.line}:{self.column}" if self.line else name
        return f"{printable(place)}: {self.message}" + (f"; {self.hint}" if self.hint else "")


HIDDEN = "[redacted]"
"""What psv prints in place of what may be a secret (observe/redact.py, a room above)."""


def hidden_in(value: object, path: KeyPath = ()) -> list[KeyPath]:
    """Return the places in `value` at which a text holds what stands for a hidden one."""
    if isinstance(value, str):
        return [path] if HIDDEN in value else []
    if isinstance(value, dict):
        return [place for key, inner in value.items() for place in hidden_in(inner, (*path, str(key)))]
    if isinstance(value, list):
        return [path] if any(hidden_in(inner) for inner in value) else []
    return []


def printable(text: str) -> str:
    """Return `text` with control, format and lone surrogate characters escaped, so that it is one safe line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quoted(text: str, limit: int = 80) -> str:
    """Return `text` in double quotes, safe for a terminal, cut to `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return printable(json.dumps(cut, ensure_ascii=False))


def holds_secrets(path: Iterable[str | int]) -> bool:
    """Tell whether what stands at `path` may be a secret."""
    return not _SECRET_TABLES.isdisjoint(path)


def shown(value: object, path: KeyPath = ()) -> str:
    """Return how a value found at `path` is named in a message; values that may be secrets only by their type."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "a text" if holds_secrets(path) else quoted(value, 60)
        case int() if holds_secrets(path) or abs(value) >= 1 << 64:
            return "a number"
        case int():
            return str(value)
        case float():
            return repr(value) if not math.isfinite(value) or not holds_secrets(path) else "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def table_name(path: KeyPath) -> str:
    """Return the way to write a path of keys: `bots.alice.restart`, `lock[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            plain = part and all(c.isascii() and (c.isalnum() or c in "-_") for c in part)
            text += ("." if text else "") + (part if plain else quoted(part))
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, if any is like it."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name[:100].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """Return a hint: the nearest name, or all known ones when none is near."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {quoted(close)}?"
    if not names:
        return f"there are no {what}"
    return f"known {what}: {', '.join(names[:30])}" + (", ..." if len(names) > 30 else "")
