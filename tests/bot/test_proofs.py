"""A bot is as connected as its most silent network, and says nothing while it has none."""

from __future__ import annotations

from processsupervisor.bot.proofs import Proofs
from processsupervisor.kernel.clock import mono


def test_without_a_network_nothing_is_said():
    """Web chat and console are none."""
    said: list[float | None] = []
    Proofs().announce(said.append)
    assert said == []


def test_no_proof_until_each_network_has_answered_and_then_the_oldest():
    """The network that was silent for longest counts."""
    said: list[float | None] = []
    proofs = Proofs()
    proofs.expect("matrix")
    proofs.prove("irc")
    proofs.announce(said.append)
    assert said == [None]
    began = mono()
    proofs.prove("matrix")
    assert said[1] is not None and said[1] < began
    proofs.prove("irc")
    assert said[2] is not None and said[2] >= began
