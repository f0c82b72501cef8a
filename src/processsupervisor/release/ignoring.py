"""What of a fleet folder is no code: the patterns that psv knows itself, then those of `.psvignore`. Pure.

A small part of gitignore: one pattern a line, the last one that matches decides, "!" takes back, "/" at the end means folders only,
a "/" elsewhere ties it to the fleet folder, `*` and `?` stop at a "/", `**` does not. What lies in a folder left out is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from processsupervisor.kernel.errors import ConfigError

FILE_NAME = ".psvignore"
OWN_PATTERNS = (
    *(".psv/", ".psv-run/", ".psv-dev/"),
    *(".git", ".hg/", ".svn/"),
    *("__pycache__/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/", "*.pyc"),
    *("*~", ".*.sw?", "#*#", ".#*", ".DS_Store", ".idea/", ".vscode/"),
    *(".env", ".env.*", "*.session", "*.session-journal"),  # tokens and logins are no code, and must not lie in every copy of it
)
_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|[^*?\[]+|\[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: what it matches, and whether that stays (`!`)."""

    regex: re.Pattern[str]
    is_kept: bool
    folders_only: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether it speaks of `path`, relative to the fleet folder with "/"."""
        return (is_folder or not self.folders_only) and self.regex.fullmatch(path) is not None


class Ignoring:
    """The patterns of one fleet folder, and `exactly` those paths that its settings name."""

    def __init__(self, text: str = "", exactly: Iterable[str] = ()) -> None:
        """Raises ConfigError with the line for a pattern that cannot be used."""
        self._patterns = [pattern_of(line) for line in OWN_PATTERNS]
        self._exactly = frozenset(exactly)
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                try:
                    self._patterns.append(pattern_of(line.strip()))
                except (re.error, ValueError) as err:
                    raise ConfigError(f"{FILE_NAME}:{number}: found {line.strip()!r}, expected a pattern such as *.log: {err}") from err

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether `path` is no part of a release."""
        if path in self._exactly:
            return True
        said = next((pattern for pattern in reversed(self._patterns) if pattern.matches(path, is_folder=is_folder)), None)
        return said is not None and not said.is_kept


def pattern_of(line: str) -> Pattern:
    """Return the pattern that a line stands for; raises ValueError for one that names nothing."""
    is_kept, body = line.startswith("!"), line.removeprefix("!")
    folders_only, body = body.endswith("/"), body.rstrip("/")
    if not body:
        raise ValueError("it names nothing")
    is_tied, body = "/" in body, body.removeprefix("/")
    regex = "".join(_piece(piece) for piece in _PIECE.findall(body))
    return Pattern(re.compile(regex if is_tied else f"(?:.*/)?{regex}", re.DOTALL), is_kept, folders_only)


def _piece(piece: str) -> str:
    match piece:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        return "[" + ("^" + piece[2:-1] if piece[1] == "!" else piece[1:-1]).replace("\\", "\\\\") + "]"
    return re.escape(piece)
