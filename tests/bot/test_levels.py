"""Log levels of one process: fleet.toml's, without taking from the author what is the author's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from processsupervisor.bot.levels import Levels


@pytest.fixture
def new_root() -> Iterator[Callable[[], logging.Logger]]:
    """Gives the root as a new process has it, without what pytest hangs on it for the test; what the tests set is put back."""
    root, fallback = logging.getLogger(), logging.lastResort
    assert fallback is not None
    level, of_fallback, form = root.level, fallback.level, fallback.formatter

    def give() -> logging.Logger:
        root.handlers.clear()
        root.setLevel(logging.WARNING)
        return root

    yield give
    root.setLevel(level)
    fallback.setLevel(of_fallback)
    fallback.setFormatter(form)
    for name in ("levels.mine", "levels.other"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_the_root_follows_until_the_author_sets_it(new_root: Callable[[], logging.Logger]) -> None:
    """One who configured logging before is left alone from the start, one who does so later from then on."""
    root = new_root()
    levels = Levels()
    levels.begin("info", {})
    assert root.level == logging.INFO
    levels.apply("debug", {})
    assert root.level == logging.DEBUG
    root.setLevel(logging.CRITICAL)
    levels.apply("info", {})
    assert root.level == logging.CRITICAL
    root.addHandler(logging.NullHandler())
    of_author = Levels()
    of_author.begin("debug", {})
    of_author.apply("error", {})
    assert root.level == logging.CRITICAL


def test_a_named_logger_gets_back_the_level_that_it_had(new_root: Callable[[], logging.Logger]) -> None:
    """NOTSET, or what the author gave it; one that the author changed meanwhile stays."""
    new_root()
    mine, other = logging.getLogger("levels.mine"), logging.getLogger("levels.other")
    mine.setLevel(logging.ERROR)
    levels = Levels()
    levels.begin("info", {"levels.mine": "debug", "levels.other": "debug"})
    assert (mine.level, other.level) == (logging.DEBUG, logging.DEBUG)
    levels.apply("info", {"levels.mine": "warning"})
    assert (mine.level, other.level) == (logging.WARNING, logging.NOTSET)
    levels.apply("info", {"levels.other": "warning"})
    assert (mine.level, other.level) == (logging.ERROR, logging.WARNING)
    other.setLevel(logging.CRITICAL)
    levels.apply("info", {})
    assert other.level == logging.CRITICAL


def test_the_root_can_be_named_whoever_configured_it(new_root: Callable[[], logging.Logger]) -> None:
    """And has log_level again when it is not named any more, the one of that time."""
    root = new_root()
    levels = Levels()
    levels.begin("info", {"root": "error"})
    assert root.level == logging.ERROR
    levels.apply("debug", {})
    assert root.level == logging.DEBUG
    root.addHandler(logging.NullHandler())
    of_author = Levels()
    of_author.begin("info", {"root": "error"})
    assert root.level == logging.ERROR
    of_author.apply("info", {})
    assert root.level == logging.DEBUG


def test_what_a_named_logger_says_is_written(new_root: Callable[[], logging.Logger], capfd: pytest.CaptureFixture[str]) -> None:
    """At its own level, below that of the others, and although its library has a NullHandler, as many have."""
    new_root()
    logging.getLogger("levels").addHandler(logging.NullHandler())
    levels = Levels()
    levels.begin("warning", {"levels.mine": "debug"})
    logging.getLogger("levels.mine").debug("shown")
    logging.getLogger("levels.mine.below").debug("shown too")
    logging.getLogger("levels.other").debug("hidden")
    assert capfd.readouterr().err == "DEBUG levels.mine: shown\nDEBUG levels.mine.below: shown too\n"


def test_a_level_that_nobody_knows_is_info(new_root: Callable[[], logging.Logger]) -> None:
    """A newer psv may know more."""
    root = new_root()
    levels = Levels()
    levels.begin("shouting", {"levels.mine": "whispering"})
    assert (root.level, logging.getLogger("levels.mine").level) == (logging.INFO, logging.INFO)
