"""Tell source text from a secret: what follows the `=` or `:` of a secret-looking name, in a traceback, is mostly an expression.

A call, a subscript, an attribute, a type, a short number: the place where a secret comes from, not the secret. In doubt it is a secret.
"""

from __future__ import annotations

import re

_WINDOW = 200
"""So far is looked around a value, which keeps the time linear."""
_HEAD = re.compile(r"(?:(?:await|yield|not|new)[ \t]{1,4})?([A-Za-z_]\w{0,39}(?:\.[A-Za-z_]\w{0,39}){0,7})")
_ARGUMENTS = re.compile(r"[^\"')\r\n]{0,120}")
_SUBSCRIPT = re.compile(r"\[(?:[A-Za-z_\"'][\w .:|,\"'-]{0,80}|-?\d{1,6})?(?:[\]\[(]|[ \t]*$)", re.MULTILINE)
_NUMBER = re.compile(r"-?\d{1,6}(?:\.\d{1,6})?(?![^\s,;)}\]])")
_TYPES = r"(?:str|bytes|bytearray|int|float|bool|dict|list|set|tuple|object|Any|Optional|Secret(?:Str|Bytes)|[sS]tring|number|boolean)"
_TYPE = re.compile(rf"{_TYPES}(?:[ \t]{{0,4}}(?:[,)|\[]|$)|[ \t]{{1,4}}=)", re.MULTILINE)
_MEASURED = re.compile(
    r"(?i)[_-](?:count|length|len|size|limit|min|max|age|ttl|expires?|timeout|attempts|tries|retries|index|ratio|budget|s|ms)\Z"
)
_LONGEST_NUMBER = 4
_PERSONAL = ("passw", "passphrase", "secret", "credential", "authorization")
_END = re.compile(r"[ \t]{0,4}(?::[ \t]*$|[,;)}\]|]|$|#|(?:if|or|and|else|is|in|for)\b)", re.MULTILINE)
_BEFORE = re.compile(r"[\w.$-]{1,64}\Z")
_MIXED = re.compile(r"(?=[A-Za-z_+/=-]{0,119}\d)(?=[0-9_+/=-]{0,119}[A-Za-z])[\w+/=-]{6,}|[\w+/=-]{24,}")
_TURNS = re.compile(r"\d[A-Za-z]")
_LONGEST_WORD = 24


def is_source(text: str, start: int, name_end: int, value_start: int) -> int:
    """Return how many characters at `value_start` are source text and no secret (0: it may be one).

    The secret-looking part of the name begins at `start`, its whole name (a closing quote too) with the operator ends at `value_start`,
    and the operator begins at `name_end`.
    """
    operator = text[name_end:value_start]
    name = text[start:name_end].rstrip()
    is_quoted = name.endswith(("'", '"'))
    is_typed = operator.strip("\\ \t") == ":" and not is_quoted
    after = text[value_start : value_start + _WINDOW]
    if (number := _NUMBER.match(after)) is not None:
        return number.end() if _is_measure(name.rstrip("\"'\\").lower(), number[0]) else 0
    if is_typed:
        typed = _TYPE.match(after)
        return len(typed[0].rstrip("=,)|[ \t")) if typed is not None else 0
    head = _HEAD.match(after)
    if head is None or name.lower().startswith("authorization") or _is_random(head[1]):
        return 0
    if not is_quoted and not operator[:1].isspace() and not _is_argument(text, start, after[head.end() :]):
        return 0
    return head.end() if _is_expression(head[1], after[head.end() :]) else 0


def _is_measure(name: str, number: str) -> bool:
    """Tell whether a number under this name counts something. A PIN is a number too."""
    return _MEASURED.search(name) is not None or (not name.startswith(_PERSONAL) and len(number) <= _LONGEST_NUMBER)


def _is_argument(text: str, start: int, rest: str) -> bool:
    """Tell whether `name=value` without spaces stands where a call has it, and not at the begin of a line of an env file or in a query."""
    line = text[max(0, start - _WINDOW, text.rfind("\n", max(0, start - _WINDOW), start) + 1) : start]
    before = _BEFORE.sub("", line)
    return bool(before) and before[-1] in " \t(,{[" and (not text[start].isupper()) and (rest[:1] in "([" or _END.match(rest) is not None)


def _is_expression(words: str, rest: str) -> bool:
    """Tell whether what begins with these dotted words is a call, a subscript or an attribute."""
    if rest.startswith("("):
        arguments = _ARGUMENTS.match(rest, 1)
        return arguments is not None and _MIXED.search(arguments[0]) is None
    if rest.startswith("["):
        return _SUBSCRIPT.match(rest) is not None
    parts = words.split(".")
    is_plain = all(len(part) <= _LONGEST_WORD and not any(c.isdigit() for c in part) for part in parts)
    return len(parts) > 1 and is_plain and (not rest or rest[0].isspace() or _END.match(rest) is not None)


def _is_random(words: str) -> bool:
    """Tell whether letters and digits alternate as they do in no name."""
    return len(_TURNS.findall(words)) > 1
