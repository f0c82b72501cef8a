"""The named points on a message's way at which a process can die, so that tests can try each of them.

Between two neighbours at most one thing becomes durable. Nothing here decides anything: without a test build
(kernel/crashing.py, which the wheel leaves out) or a test that hands in its own `Points`, passing a point does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """Every point, in the order in which a message passes them."""

    BEFORE_ACCEPT = "before the inbox commit"
    AFTER_ACCEPT = "after the inbox commit"
    """Nothing is acknowledged yet."""
    BEFORE_HANDLER = "before the handler"
    AFTER_HANDLER = "before the reply commit"
    AFTER_COMPLETE = "after the reply commit"
    """Nothing is shown or sent yet."""
    BEFORE_SEND = "before send"
    """That it is being sent is committed, the network has not been called."""
    AFTER_SEND = "after send"
    """The network has taken it; that is not committed."""


Points = Callable[[Point], None]


def pass_by(point: Point) -> None:
    """Do nothing."""


def armed_points() -> Points:
    """Return what dies at the points that the environment arms in a test build, else what does nothing."""
    try:
        from processsupervisor.kernel.crashing import armed_by_environment
    except ImportError:
        return pass_by
    return armed_by_environment() or pass_by
