"""One line of a command as a person wrote it, to a list of words, or the finding that only a shell can run it.

Leading NAME=value words and `exec` are understood, everything else that a shell would act on (pipes, `&&`, redirections,
variables, globs) makes the line a shell's. Nothing is expanded or run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_OPERATORS = set("|&;<>()")
_EXPANDED = set("$`")
_GLOBS = set("*?[{")
_BUILTINS = {"cd", "source", ".", "export", "ulimit", "umask", "set", "eval", "if", "for", "while", "!", "trap", "wait"}


@dataclass(slots=True)
class Line:
    """`argv` and `env` of a plain line; for a shell's line `shell` holds it whole and `why` what made it one."""

    argv: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    shell: str = ""
    why: str = ""


def read_line(text: str) -> Line:
    """Read a line that a shell would read (Procfile, npm-like scripts); raises ValueError for quotes that are not closed."""
    text = text.strip()
    why = _shell_reason(text)
    if why:
        return Line(shell=text, why=why)
    words = shlex.split(text)
    env = take_assignments(words)
    if words and words[0] == "exec":
        del words[0]
    if words and words[0] in _BUILTINS:
        return Line(shell=text, why=f"`{words[0]}` is the shell's own command")
    return Line(words, env)


def take_assignments(words: list[str]) -> dict[str, str]:
    """Take NAME=value words, and `env` before them, off the front of `words` and return them."""
    env: dict[str, str] = {}
    while words:
        at = 1 if words[0].rpartition("/")[2] == "env" and len(words) > 1 and not words[1].startswith("-") else 0
        match = _ASSIGNMENT.fullmatch(words[at])
        if match is None:
            del words[:at]
            break
        env[match[1]] = match[2]
        del words[at]
    return env


def _shell_reason(text: str) -> str:
    """Return what in the line only a shell understands, or nothing; quoting is read as sh does."""
    quote, escaped = "", False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            if char == quote:
                quote = ""
            elif quote == '"' and char in _EXPANDED:
                return f"`{char}` is expanded by a shell"
        elif char in "'\"":
            quote = char
        elif char in _OPERATORS:
            return f"`{char}` is a shell's"
        elif char in _EXPANDED or char in _GLOBS or (char in "~#" and (index == 0 or text[index - 1].isspace())):
            return f"`{char}` is expanded by a shell"
        elif char == "\n":
            return "it has several lines"
    return ""
