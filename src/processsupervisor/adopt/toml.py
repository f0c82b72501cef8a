"""Values as TOML text, and one table of a bot as lines a person would write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDEST = 120


def value_text(value: object) -> str:
    """Return `value` (text, number, true or false, list, table) on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(map(value_text, value)) + "]"
        case Mapping():
            return "{ " + ", ".join(f"{key_text(str(key))} = {value_text(inner)}" for key, inner in value.items()) + " }"
    raise TypeError(f"no TOML for {type(value).__name__}")


def key_text(key: str) -> str:
    """Return a key, quoted where it has to be."""
    return key if _BARE.fullmatch(key) else value_text(key)


def bot_text(name: str, table: Mapping[str, object], comments: list[str]) -> str:
    """Return `[bots.NAME]` with its comments before it; long tables of texts get a table of their own behind."""
    lines = [f"# {comment}" for comment in comments] + [f"[bots.{key_text(name)}]"]
    behind: list[str] = []
    for key, value in table.items():
        line = f"{key} = {value_text(value)}"
        if isinstance(value, Mapping) and (len(value) > 2 or len(line) > _WIDEST):
            behind += ["", f"[bots.{key_text(name)}.{key}]", *(f"{key_text(str(k))} = {value_text(v)}" for k, v in value.items())]
        elif isinstance(value, list) and len(line) > _WIDEST:
            lines += [f"{key} = [", *(f"    {value_text(item)}," for item in value), "]"]
        else:
            lines.append(line)
    return "\n".join([*lines, *behind]) + "\n"
