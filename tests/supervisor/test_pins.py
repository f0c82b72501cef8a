"""Which bots are tied to an older zygote: pure bookkeeping, whatever the order of kills and rollouts."""

from __future__ import annotations

import pytest

from processsupervisor.supervisor.pins import Pins, key_of, split_key, via_of


def test_origin_and_key_are_each_others_inverse() -> None:
    """What a record says of a forked bot leads back to its zygote; what the keeper executed leads nowhere."""
    assert key_of(via_of("ab-cd-12")) == "ab-cd-12"
    assert split_key("ab-cd-12") == ("ab-cd", 12)
    assert key_of("keeper") == key_of("") == ""
    with pytest.raises(ValueError, match="invalid literal"):
        split_key("nothing")


def test_a_zygote_is_needed_while_a_bot_is_tied_to_it_or_a_rollout_holds_it() -> None:
    """Only when both have let go may it be retired."""
    pins = Pins()
    pins.tie("a", "x-0", "why")
    pins.held.add("x-0")
    pins.drop("a")
    assert pins.needed() == {"x-0"}
    pins.held.clear()
    assert pins.needed() == set()


def test_a_zygote_that_is_gone_frees_its_bots_and_no_others() -> None:
    """The next start of a freed bot is from the present zygote."""
    pins = Pins()
    pins.tie("a", "x-0", "why")
    pins.tie("b", "x-1", "why")
    pins.drop_zygotes(["x-0"])
    assert (pins.key("a"), pins.key("b")) == (None, "x-1")
