"""process.readiness: what a bot that is STARTING waits for, in words."""

from __future__ import annotations

import pytest

from processsupervisor.config.spec import ReadySpec
from processsupervisor.process.readiness import goal_of, too_late


@pytest.mark.parametrize(
    ("ready", "words"),
    [
        ({"kind": "log", "value": "^listening"}, "a line of its output that matches ^listening"),
        ({"kind": "tcp", "value": 8080}, "port 8080 of 127.0.0.1 to accept"),
        ({"kind": "notify", "value": None}, "READY=1 by sd_notify"),
        ({"kind": "after", "value": 2.5}, "it to have run for 2.5 s"),
        ({"kind": "said", "value": None}, "it to say that it is ready"),
    ],
)
def test_every_sign_of_readiness_has_words(ready: ReadySpec, words: str) -> None:
    """They tell what did not come, when a start is given up."""
    assert goal_of(ready) == words
    assert too_late(ready, 4.0) == f"not ready within 4 s: waited for {words}"


def test_an_address_is_named_without_its_password() -> None:
    """It stands in status, history and events."""
    words = goal_of({"kind": "http", "value": "http://eve:s3cret-s3cret@127.0.0.1:80/ready"})
    assert "s3cret" not in words and "127.0.0.1:80/ready to answer 2xx or 3xx" in words
