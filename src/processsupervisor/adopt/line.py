"""One line of a command as a person wrote it, to a list of words, or the finding that only a shell can run it.

Leading NAME=value words and `exec` are understood, everything else that a shell would act on (pipes, `&&`, redirections,
variables, globs) makes the line a shell's. Nothing is expanded or run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_LEADING = re.compile(r"""[A-Za-z_]\w*=(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)*\s+""", re.ASCII | re.DOTALL)
_OPERATORS = set("|&;<>()")
_EXPANDED = set("$`")
_GLOBS = set("*?[{")
_NO_PROGRAMS = {
    "case", "until", "function", "select", "[[", "{", "time", "coproc", "command", "builtin", "exec", "exit", "return", "read", "unset",
    "alias", "shift", "local", "declare", "readonly", "shopt", ":", "let", "type", "hash", "getopts", "times", "break", "continue",
}  # fmt: skip
"""More words that only a shell knows."""
_BUILTINS = {"cd", "source", ".", "export", "ulimit", "umask", "set", "eval", "if", "for", "while", "!", "trap", "wait"}


@dataclass(slots=True)
class Line:
    """`argv` and `env` of a plain line; for a shell's line `shell` holds it whole and `why` what made it one."""

    argv: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    shell: str = ""
    why: str = ""

    @property
    def told(self) -> str:
        """Return what psv does with a line that stays a shell's."""
        return f"a shell line ({self.why}): run by sh -c as a command{stop_of(self.shell)}"


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


def stop_of(shell: str) -> str:
    """Return whom the stop signal of a bot reaches that runs a shell's line."""
    if as_program(shell) != shell or shell.startswith("exec "):
        return ", with exec before its program, which so gets the stop signal"
    return "; the stop signal reaches the shell alone, and what it has started is killed: let its last command begin with exec"


def as_program(shell: str) -> str:
    """Return a shell's line with `exec` in front of its command, when it is a single one: then the program is the bot's own process.

    A shell that waits for it would get the stop signal alone, and the program be killed. NAME=value words stay before the `exec`.
    """
    if _has_more(shell):
        return shell
    at = 0
    while match := _LEADING.match(shell, at):
        at = match.end()
    word = re.match(r"\S*", shell[at:])
    first = word[0] if word else ""
    is_program = first and first not in _BUILTINS | _NO_PROGRAMS and first[0] not in "<>#" and not _ASSIGNMENT.match(first)
    return f"{shell[:at]}exec {shell[at:]}" if is_program else shell


def _has_more(shell: str) -> bool:
    """Tell whether a line is more than one command with redirections; quoting is read as sh does."""
    quote, escaped, before = "", False, ""
    for char in shell:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "|;()\n`" or (char == "&" and before not in ("<", ">")):
            return True
        before = char
    return bool(quote) or escaped


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
