"""The values of systemd units: words and quotes, $VARIABLES of ExecStart, %specifiers, time spans and sizes (systemd.syntax(7))."""

from __future__ import annotations

import getpass
import re
import shlex
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from processsupervisor.adopt.ini import Entry, Section
from processsupervisor.adopt.program import CannotRead, Place

_SPANS = {
    "us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600,
    "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)B?")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'", "s": " "}
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)|(\$))")
_FOLDERS = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp"}
_PREFIXES = "@-:+!|"


class Specifiers:
    """The %-words that do not depend on a running systemd."""

    def __init__(self, prefix: str, instance: str) -> None:
        full = f"{prefix}@{instance}" if instance else prefix
        self._known: dict[str, Callable[[], str]] = {
            "i": lambda: instance,
            "I": lambda: instance.replace("-", "/"),
            "p": lambda: prefix,
            "P": lambda: prefix.replace("-", "/"),
            "n": lambda: f"{full}.service",
            "N": lambda: full,
            "j": lambda: prefix.rpartition("-")[2],
            "H": socket.gethostname,
            "h": lambda: str(Path.home()),
            "u": getpass.getuser,
            **{letter: partial(str, folder) for letter, folder in _FOLDERS.items()},
        }

    def expand(self, text: str, place: Place) -> str:
        """Replace specifiers; raises CannotRead for one that only systemd knows."""

        def replaced(match: re.Match[str]) -> str:
            if match[1] == "%":
                return "%"
            if match[1] not in self._known:
                raise CannotRead(
                    f"{place}: found %{match[1]}, which only systemd can fill in", hint="write the value itself; %% is a percent sign"
                )
            return self._known[match[1]]()

        return re.sub(r"%(.)", replaced, text)


def list_of(section: Section, key: str) -> list[Entry]:
    """Return all entries of a key that may be given several times; an empty one forgets those before."""
    found: list[Entry] = []
    for entry in section.entries:
        if entry.key == key:
            found = [*found, entry] if entry.value else []
    return found


def words_of(text: str, place: Place) -> list[str]:
    """Split a value into words: quotes hold together, backslashes are C's."""
    words: list[str] = []
    word, is_open, quote, at = "", False, "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            hexadecimal = re.match(r"x([0-9a-fA-F]{2})", text[at:])
            word += chr(int(hexadecimal[1], 16)) if hexadecimal else _ESCAPES.get(text[at], "\\" + text[at])
            at += 2 if hexadecimal else 0
            is_open = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'" and not word:
            quote, is_open = char, True
        elif char.isspace():
            if is_open:
                words.append(word)
            word, is_open = "", False
        else:
            word, is_open = word + char, True
        at += 1
    if quote:
        raise CannotRead(f"{place}: found an opening {quote} without a closing one", hint="close the quote; nothing was written")
    return [*words, word] if is_open else words


def exec_words(text: str, env: Mapping[str, str], place: Place) -> tuple[list[str], list[str]]:
    """Return the words of a command line and the variables in it that `env` does not have.

    With such variables the words are quoted for a shell, which then expands them as systemd would.
    """
    words = words_of(text.lstrip(_PREFIXES), place)
    if not words:
        raise CannotRead(f"{place}: ExecStart is empty", hint="systemd refuses it too")
    unknown = sorted({m[1] or m[2] for word in words[1:] for m in _VARIABLE.finditer(word) if not m[3] and (m[1] or m[2]) not in env})
    if unknown:
        return [shlex.quote(words[0]), *(_shell_word(word) for word in words[1:])], [f"${name}" for name in unknown]
    expanded: list[str] = []
    for word in words[1:]:
        alone = re.fullmatch(r"\$([A-Za-z_]\w*)", word)
        if alone:
            expanded += env[alone[1]].split()
        else:
            expanded.append(_VARIABLE.sub(lambda match: "$" if match[3] else env[match[1] or match[2]], word))
    return [words[0], *expanded], []


def _shell_word(word: str) -> str:
    """Return a word for sh: variables stay live, all else is quoted; a variable that stands alone is split, as systemd does."""
    if re.fullmatch(r"\$[A-Za-z_]\w*", word):
        return word
    parts, at = "", 0
    for match in _VARIABLE.finditer(word):
        literal = word[at : match.start()] + ("$" if match[3] else "")
        parts += (shlex.quote(literal) if literal else "") + ("" if match[3] else f'"${{{match[1] or match[2]}}}"')
        at = match.end()
    rest = word[at:]
    return parts + (shlex.quote(rest) if rest or not parts else "")


def seconds_of(entry: Entry) -> float | None:
    """Return a time span ("90", "1min 30s"), None for infinity; raises CannotRead."""
    text = entry.value.strip()
    if text == "infinity":
        return None
    matches = list(_SPAN.finditer(text))
    if not matches or _SPAN.sub("", text).strip() or any(m[2] not in _SPANS and m[2] for m in matches):
        raise CannotRead(f'{entry.place}: found {entry.key}={text}, expected a time such as "90" or "1min 30s"', hint="correct the line")
    return float(sum(float(m[1]) * _SPANS[m[2] or "s"] for m in matches))


def size_of(entry: Entry) -> int | None:
    """Return bytes; None for infinity and percentages, which psv does not have."""
    match = _SIZE.fullmatch(entry.value.strip())
    return int(float(match[1]) * _SIZES[match[2]]) if match else None
