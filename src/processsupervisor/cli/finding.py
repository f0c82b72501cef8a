"""One finding of `psv doctor`, whoever looked: at the machine, at the fleet, at a network."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One thing looked at; `instead` says what happens without it and what would change that.

    ok, a note (psv copes, and says how) or bad (fleets cannot run, or not this one).
    """

    check: str
    level: Literal["ok", "note", "bad"]
    found: str
    instead: str = ""
