"""The log levels of a bot: `log_level` for all its loggers, `log_levels` for some by name; at its start and while it runs.

What the author's own code set stays, unless fleet.toml names that logger. A level is one of the names of logging.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")


class Levels:
    """Sets the levels of one process."""

    def __init__(self) -> None:
        self._root: int | None = None
        """What the root was set to; None while it is the author's."""
        self._named: dict[str, tuple[int, int]] = {}
        """{logger: (level before, level that it was set to)}"""

    def begin(self, level: str, levels: Mapping[str, str]) -> None:
        """Log to stderr unless the author configured logging; time and bot are added by the log's index.

        By the handler of last resort: an author's later basicConfig() still works, and a forked bot allocates nothing for it.
        """
        root, fallback = logging.getLogger(), logging.lastResort
        if not root.handlers and fallback is not None:
            self._root = number = _number(level)
            root.setLevel(number)
            fallback.setLevel(number)
            fallback.setFormatter(_FORMAT)
        if levels:  # each function that runs costs a forked bot a page or two of its own
            self.apply(level, levels)

    def apply(self, level: str, levels: Mapping[str, str]) -> None:
        """Let these levels hold; a logger that is not named any more has again the level that it had before."""
        for name, (before, given) in self._named.items():
            logger = logging.getLogger(name)
            if logger.level == given:  # else the author has set another one meanwhile
                logger.setLevel(before)
        self._apply_root(_number(level), [_number(text) for text in levels.values()])
        self._named = {name: _name(name, _number(text)) for name, text in levels.items()}

    def _apply_root(self, number: int, others: list[int]) -> None:
        root, fallback = logging.getLogger(), logging.lastResort
        if self._root is None or fallback is None:
            return
        if root.level == self._root:
            root.setLevel(number)
            self._root = number
        fallback.setLevel(min([number, *others]))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)


def _name(name: str, number: int) -> tuple[int, int]:
    """Set the level of one logger; returns the one before and the new one."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(number)
    above: logging.Logger | None = logger
    while above is not None and above.propagate:
        # Many libraries have a NullHandler, which does nothing but keep the handler of last resort from being used.
        for handler in [found for found in above.handlers if isinstance(found, logging.NullHandler)]:
            above.removeHandler(handler)
        above = above.parent
    return before, number
