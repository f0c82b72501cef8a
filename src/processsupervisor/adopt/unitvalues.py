"""The values of systemd units: words and quotes, $VARIABLES of ExecStart, %specifiers, time spans and sizes (systemd.syntax(7))."""

from __future__ import annotations

import getpass
import os
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

    def __init__(self, prefix: str, instance: str, *, is_of_user: bool = False, is_systems: bool = False) -> None:
        """`is_of_user`: a unit of `systemctl --user`; `is_systems`: one of the system, whose manager is root's."""
        full = f"{prefix}@{instance}" if instance else prefix
        folders = _user_folders() if is_of_user else _FOLDERS
        self._known: dict[str, Callable[[], str]] = {
            "i": lambda: instance,
            "I": lambda: _unescaped(instance),
            "p": lambda: prefix,
            "P": lambda: _unescaped(prefix),
            "f": lambda: "/" + _unescaped(instance or prefix).lstrip("/"),
            "n": lambda: f"{full}.service",
            "N": lambda: full,
            "j": lambda: prefix.rpartition("-")[2],
            "H": socket.gethostname,
            "l": lambda: socket.gethostname().partition(".")[0],
            "h": lambda: "/root" if is_systems else str(Path.home()),
            "u": lambda: "root" if is_systems else getpass.getuser(),
            "U": lambda: "0" if is_systems else str(os.getuid()),
            **{letter: partial(str, folder) for letter, folder in folders.items()},
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


def _unescaped(text: str) -> str:
    """Return what systemd-escape(1) made: "-" was "/", \\xNN a byte."""
    plain = re.sub(
        r"(?:\\x[0-9a-fA-F]{2})+", lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode(errors="replace"), text.replace("-", "/")
    )
    return plain


def _user_folders() -> dict[str, str]:
    home, environment = str(Path.home()), os.environ
    state = environment.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return _FOLDERS | {
        "t": environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}",
        "S": state,
        "C": environment.get("XDG_CACHE_HOME") or f"{home}/.cache",
        "L": f"{state}/log",
        "E": environment.get("XDG_CONFIG_HOME") or f"{home}/.config",
    }


def home_of(user: str | None, place: Place) -> Path:
    """Return the home folder that WorkingDirectory=~ means; raises CannotRead for a user that is not of this machine."""
    import pwd

    try:
        return Path(pwd.getpwnam(user).pw_dir) if user and not user.isdigit() else Path(pwd.getpwuid(int(user or os.getuid())).pw_dir)
    except KeyError as err:
        raise CannotRead(
            f"{place}: ~ is the home folder of {user}, who is no user of this machine", hint="write the folder itself"
        ) from err


def read_environment_file(path: Path) -> dict[str, str]:
    """Return the variables of a file as systemd reads them: # and ; begin a comment in front only, a backslash joins lines."""
    variables: dict[str, str] = {}
    joined = re.sub(r"\\\n", "", path.read_text(encoding="utf-8").replace("\r\n", "\n"))
    for line in joined.split("\n"):
        name, equals, text = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        lexer = shlex.shlex(text.strip(), posix=True)
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = "", True, ""
        try:
            variables[name.strip()] = "".join(lexer)
        except ValueError:
            variables[name.strip()] = text.strip()
    return variables


def prefixes_of(text: str) -> str:
    """Return the characters in front of ExecStart that say how it is started."""
    return text[: len(text) - len(text.lstrip(_PREFIXES))]


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


def exec_words(text: str, env: Mapping[str, str], place: Place, specifiers: Specifiers) -> tuple[list[str], list[str]]:
    """Return the words of a command line and the variables in it that `env` does not have.

    With such variables the words are quoted for a shell, which then expands them as systemd would.
    """
    prefixes = prefixes_of(text)
    words = [specifiers.expand(word, place) for word in words_of(text[len(prefixes) :], place)]
    if "@" in prefixes:
        del words[1:2]  # the name that the program is to see of itself
    if not words:
        raise CannotRead(f"{place}: ExecStart is empty", hint="systemd refuses it too")
    if ":" in prefixes:
        return words, []
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
