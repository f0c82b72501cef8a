"""The text of a configuration without the values that may be secrets: everything else, comments too, stays as it is."""

from __future__ import annotations

import copy
import re
import tomllib
from typing import Any

from processsupervisor.config.problem import holds_secrets

_REFERENCE = re.compile(r"(?:env|file|secret):.*|cmd:\s*\S+")


def reference(text: object) -> str | None:
    """Return how a reference to a value is named, of a command only its program; None for what is a value itself."""
    found = _REFERENCE.match(text) if isinstance(text, str) else None
    return found.group() if found else None


def hide_values(text: str, mark: str) -> str:
    """Return the TOML `text` with each value in env, options and the like replaced by `mark`; all of it when that cannot be done."""
    import tomlkit

    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
        document: Any = tomlkit.parse(text.removeprefix("\ufeff"))
        _hide(document, values, (), mark)
        hidden = tomlkit.dumps(document)
        _hide(values, copy.deepcopy(values), (), mark)
        is_hidden = tomllib.loads(hidden) == values
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):  # no TOML, or tomlkit's ways to say that it cannot
        return mark
    return hidden if is_hidden else mark


def _hide(written: Any, values: Any, path: tuple[str, ...], mark: str) -> None:
    """Replace in place; `values` is what `written` says, in plain types."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        here = (*path, key) if isinstance(key, str) else path
        if isinstance(value, (dict, list)):
            _hide(written[key], value, here, mark)
        elif holds_secrets(here) and not isinstance(value, bool) and (named := reference(value) or mark) != value:
            written[key] = named
