"""Whether a command line in /proc is a bot's own: word by word, however its files are named and whatever interprets them.

A command that a shell runs is compared as that shell's line, and as the program that its last `exec` becomes; what only the shell
could fill in there ($NAME) matches anything. Nothing is run. Standard library only.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.config.release import beside_fleet
from processsupervisor.config.spec import BotSpec

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash"})
_TAKES_LINE = ("-c", "-lc", "-ec")
_BETWEEN = ("&&", "||", ";", "|", "&")
_SHORTEST_CUT = 20
_PROGRAMS = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/")
"""A program from here says nothing of whose it is."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The words of a program and the folder that its relative paths begin at; `is_wild` = `$` in a word stands for anything."""

    words: tuple[str, ...]
    cwd: str
    is_wild: bool = False


def patterns_of(spec: BotSpec) -> list[Pattern]:
    """Return what the bot's command line may look like under another supervisor."""
    argv = [spec["script"], *spec["args"]] if spec["script"] else [*(spec["command"] or []), *spec["args"]]
    argv = [beside_fleet(word, spec.get("release")) for word in argv]  # elsewhere it runs from the folder
    cwd = os.path.realpath(spec["cwd"])
    found = [Pattern(tuple(bare(argv)), cwd)] if argv else []
    if _is_line(argv):
        program, there = _last_command(argv[2], cwd)
        if program[:1] == ["exec"] and len(program) > 1:
            found.append(Pattern(tuple(bare(program[1:])), there, is_wild=True))
    return found


def forms_of(argv: list[str], cwd: str) -> list[tuple[list[str], str]]:
    """Return a command with its folder, and that which it starts when it is a shell's line: whoever adopts it leaves the shell out."""
    if not _is_line(argv):
        return [(argv, cwd)]
    program, there = _last_command(argv[2], cwd)
    program = program[1:] if program[:1] == ["exec"] else program
    return [(argv, cwd), *([(program, there)] if program else [])]


def _is_line(argv: list[str]) -> bool:
    return len(argv) == 3 and Path(argv[0]).name in _SHELLS and argv[1] in _TAKES_LINE


def _last_command(line: str, cwd: str) -> tuple[list[str], str]:
    """Return the last command of a shell's line, without redirections and variables, and the folder that a `cd` before it leads to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return [], cwd
    commands: list[list[str]] = [[]]
    for word in words:
        if word in _BETWEEN:
            commands.append([])
        else:
            commands[-1].append(word)
    for command in commands[:-1]:
        if len(command) == 2 and command[0] == "cd":
            cwd = os.path.realpath(os.path.join(cwd, command[1]))  # noqa: PTH118 - as the shell joins them
    program = _without_redirections(commands[-1])
    while program and _ASSIGNMENT.match(program[0]):
        del program[0]
    return program, cwd


def _without_redirections(words: list[str]) -> list[str]:
    plain: list[str] = []
    is_target = False
    for word in words:
        if word and set(word) <= set("<>&"):
            is_target = True
            if plain and plain[-1] in ("1", "2"):
                del plain[-1]
        elif is_target:
            is_target = False
        else:
            plain.append(word)
    return plain


def bare(argv: list[str]) -> list[str]:
    """Return a command line without its Python interpreter."""
    words = list(argv)
    while len(words) > 1 and (_PYTHON.fullmatch(Path(words[0]).name) or words[0] == "-u" or Path(words[0]).name == "env"):
        del words[0]
    return words


def is_same(wanted: Pattern, argv: list[str], cwd: str, *, is_title: bool) -> bool:
    """Compare word by word; a program with a #! line has its interpreter before it. `is_title`: arguments may be missing."""
    if not wanted.words:
        return False
    words = bare(argv)
    for given in (words, words[1:]):
        if is_title:
            least = min(2, len(wanted.words))
            if len(given) >= least and _match(wanted, wanted.words[: len(given)], _uncut(wanted, given), cwd):
                return True
        elif _match(wanted, wanted.words, given, cwd):
            return True
    return False


def _uncut(wanted: Pattern, given: list[str]) -> list[str]:
    """Return the words of a title, whose last one is cut off where the command line that it overwrites had no more room."""
    last = wanted.words[len(given) - 1] if len(given) <= len(wanted.words) else ""
    whole = os.path.join(wanted.cwd, last)  # noqa: PTH118 - a word may be no path at all
    is_cut = (
        len(given) > 1 and given[-1].startswith("/") and len(given[-1]) > _SHORTEST_CUT and os.path.normpath(whole).startswith(given[-1])
    )
    return [*given[:-1], whole] if is_cut else given


def names_file(wanted: Pattern, argv: list[str], cwd: str) -> str | None:
    """Return the file of the user's own that both command lines name, if there is one: it is the same program in any folder."""
    for word in wanted.words:
        path = os.path.realpath(os.path.join(wanted.cwd, word))  # noqa: PTH118 - a word may be no path at all
        is_own = os.path.isfile(path) and not path.startswith(_PROGRAMS)  # noqa: PTH113
        if is_own and any(os.path.realpath(os.path.join(cwd, one)) == path for one in argv if one):  # noqa: PTH118
            return path
    return None


def _match(pattern: Pattern, wanted: tuple[str, ...], given: list[str], cwd: str) -> bool:
    if not pattern.is_wild or not any("$" in word for word in wanted):
        pairs = zip(given, wanted, strict=True) if len(given) == len(wanted) > 0 else ()
        return bool(given) and len(given) == len(wanted) and all(_is_same_word(one, other, cwd, pattern.cwd) for one, other in pairs)
    return _match_wild(wanted, given, cwd, pattern.cwd)


def _match_wild(wanted: tuple[str, ...], given: list[str], cwd: str, wanted_cwd: str) -> bool:
    """Match words of which those with a `$` may be anything; `$NAME` alone may be any number of words."""
    if not wanted:
        return not given
    first, rest = wanted[0], wanted[1:]
    if re.fullmatch(r"\$[A-Za-z_]\w*|\$[@*]", first):
        return any(_match_wild(rest, given[count:], cwd, wanted_cwd) for count in range(len(given) + 1))
    if not given or not ("$" in first or _is_same_word(given[0], first, cwd, wanted_cwd)):
        return False
    return _match_wild(rest, given[1:], cwd, wanted_cwd)


def _is_same_word(one: str, other: str, cwd: str, wanted_cwd: str) -> bool:
    if one == other or ("/" not in other and Path(one).name == other and os.access(one, os.X_OK)):
        return True
    there = os.path.realpath(os.path.join(cwd, one))  # noqa: PTH118 - a word may be no path at all
    return there == os.path.realpath(os.path.join(wanted_cwd, other)) and os.path.exists(there)  # noqa: PTH110, PTH118
