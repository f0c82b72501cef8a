"""`Log`: what a handler writes into the bot's log, as one line of static words and fields behind them.

Lines of one message carry its number, which `psv bot letters` knows it by too. The level is that of the logger "bot" (`log_level` in
fleet.toml). Nothing is added that names a contact or holds their words: that is the author's to decide.
"""

from __future__ import annotations

import json
import logging
import re

from processsupervisor.bot.context import Context
from processsupervisor.bot.failure import stack_of_error

LOGGER = "bot"
_BARE = re.compile(r"[\w./:@+-]+")
_LONGEST_FIELD = 1000
_logger = logging.getLogger(LOGGER)


class Log:
    """Writes lines for one run of a handler: `log.info("sent", count=3)` becomes "sent count=3 message=17"."""

    __slots__ = ("_fields",)

    def __init__(self, context: Context) -> None:
        self._fields: dict[str, object] = {"message": context.row.row_id}

    def debug(self, message: str, **fields: object) -> None:
        """Write what only the author wants to know."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Write what one wants to know tomorrow."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Write that something is wrong, and the bot goes on."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, *, error: BaseException | None = None, **fields: object) -> None:
        """Write that someone must act; of `error` its type and stack, never its text, which may hold a contact's words."""
        self._write(logging.ERROR, message, fields, "" if error is None else f"\n{stack_of_error(error)}")

    def _write(self, level: int, message: str, fields: dict[str, object], stack: str = "") -> None:
        if _logger.isEnabledFor(level):
            said = "".join(f" {name}={_text_of(value)}" for name, value in (fields | self._fields).items())
            _logger.log(level, "%s%s%s", message, said, stack)


def _text_of(value: object) -> str:
    text = str(value)[:_LONGEST_FIELD]
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
