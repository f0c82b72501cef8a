"""Variables in the texts of a template of bots: `{n}`, `{n:03}`, `{n+8080}`, `{name}`, `{type}` and those of `vars`.

`{{` and `}}` are braces. Pure; a message never shows the text around a variable, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from processsupervisor.config.problem import did_you_mean, quoted

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NUMBER = re.compile(r"n(?:([+-])([0-9]{1,9}))?(?::0([0-9]{1,2}))?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WIDEST = 20


class UnknownVariable(ValueError):
    """A text names a variable that there is not, or has a brace that belongs to none."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Number:
    """The number of the bot plus something, with at least so many digits."""

    plus: int
    width: int

    def text(self, n: int) -> str:
        return f"{n + self.plus:0{self.width}d}" if self.width else str(n + self.plus)


@dataclass(frozen=True, slots=True)
class _Word:
    name: str


def fill(text: str, n: int, words: Mapping[str, str]) -> str:
    """Return `text` with its variables put in. Raises UnknownVariable."""
    if "{" not in text and "}" not in text:
        return text
    filled = []
    for part in _parts(text):
        if isinstance(part, _Word):
            if part.name not in words:
                known = ["n", *words]
                raise UnknownVariable(f"found the unknown variable {{{part.name}}}", did_you_mean(part.name, known, "variables"))
            filled.append(words[part.name])
        else:
            filled.append(part.text(n) if isinstance(part, _Number) else part)
    return "".join(filled)


def number(text: str, n: int) -> int | None:
    """Return the number that a text stands for when it is nothing but `{n}` or a sum of it, else None."""
    try:
        parts = _parts(text)
    except UnknownVariable:
        return None
    match parts:
        case (_Number(plus=plus, width=0),):
            return n + plus
    return None


@lru_cache(4096)
def _parts(text: str) -> tuple[str | _Number | _Word, ...]:
    parts: list[str | _Number | _Word] = []
    end = 0
    for match in _PART.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif match[1] is None:
            raise UnknownVariable(f"found a {match[0]} that belongs to no variable", "a brace itself is written twice: {{ or }}")
        else:
            parts.append(_variable(match[1]))
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _variable(inner: str) -> _Number | _Word:
    if found := _NUMBER.fullmatch(inner):
        width = int(found[3] or 0)
        if width <= _WIDEST:
            return _Number(int((found[1] or "+") + (found[2] or "0")), width)
    if _WORD.fullmatch(inner):
        return _Word(inner)
    if inner.lstrip().startswith("n") and len(inner) <= 20:
        hint = "numbers are written {n}, {n:03} with three digits at least, {n+8080}"
        raise UnknownVariable(f"found {quoted('{' + inner + '}')}, which is no variable", hint)
    raise UnknownVariable("found a text in braces that is no variable", "a brace itself is written twice: {{ or }}")
