"""The kind of value that log_level is: one level, or one for each logger by its name; see values.py.

A text is the same as a table with `default` alone, so that scopes merge logger by logger.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from processsupervisor.config import forms
from processsupervisor.config.problem import nearest, quoted
from processsupervisor.config.values import Wrong, kind

LOG_LEVELS = ("debug", "info", "warning", "error")
_MOST_LOGGERS = 100


def _log_levels(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        value = {"default": value}
    if not isinstance(value, dict) or len(value) > _MOST_LOGGERS:
        raise Wrong('a level such as "info", or a table such as { default = "info", "aiogram" = "warning" }')
    for logger, level in value.items():
        if not str(logger).isprintable() or not str(logger).strip() or logger == "root":
            raise Wrong("names of loggers", "default stands for all that are not named")
        if isinstance(level, dict):
            below = quoted(f"{logger}.{next(iter(level), 'x')}")
            raise Wrong("a level for each logger", f'write names with a dot in quotes: {below} = "info"')
        if level not in LOG_LEVELS:
            close = nearest(level.lower(), LOG_LEVELS) if isinstance(level, str) else None
            of = "" if logger == "default" else f" for the logger {logger}"
            raise Wrong(f"one of {', '.join(map(json.dumps, LOG_LEVELS))}{of}", f'did you mean "{close}"?' if close else "")
    return value


LogLevels = Annotated[dict[str, str], *kind("level, or table of them by logger", _log_levels, forms.levels(LOG_LEVELS))]
