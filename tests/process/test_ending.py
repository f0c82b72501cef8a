"""What the keeper ends at its own end: its descendants, and nobody who only has the number of one."""

from __future__ import annotations

import os
import subprocess

import pytest

from processsupervisor.kernel.identity import Identity
from processsupervisor.process import ending


def test_who_gets_a_number_after_the_look_is_not_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child ended, and its number belongs to somebody who began later: the identity is that of the child."""
    later = subprocess.Popen(["sleep", "1000"])
    try:
        real = Identity.of(later.pid)
        assert real is not None
        read = ending.read_stat

        def of_the_child(pid: int) -> tuple[str, int, int, int] | None:
            facts = read(pid)
            return (facts[0], facts[1], facts[2], facts[3] - 1) if facts is not None and pid == later.pid else facts

        monkeypatch.setattr(ending, "read_stat", of_the_child)
        found = ending._descendants(os.getpid())
        assert later.pid in {identity.pid for identity in found}
        assert real not in found
    finally:
        later.kill()
        later.wait()
