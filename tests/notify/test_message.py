"""What a message says: what psvd knows of the end, where the fleet is, what to type, and never what an exception said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processsupervisor.notify.lastexit import LastExit, exit_of, words_of
from processsupervisor.notify.message import Gathered, Sender, compose

SENDER = Sender("prod", "vm", "/srv/my fleet")
TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"


def last(state: str = "FAILED", **more: Any) -> LastExit:
    exit_facts = {"reason": "code", "exit_code": 1, "signal": None, "at": 100.0, "exception": None, "message": "exited with 1"}
    return exit_of({"state": state, "last_exit": exit_facts | more}, Path("/srv/my fleet"))


def test_a_crash_loop_says_why_and_what_to_type() -> None:
    """Message, code, type and place of the exception without its text, and one line to type, with the folder."""
    exception = {"type": "KeyError", "message": "what a person wrote", "file": "/srv/my fleet/crash.py", "line": 2}
    gathered = Gathered("crash2", 1, "ends again and again (code); last exit: exited with 1", 100.0, 100.0)
    message = compose(SENDER, "crash-loop", [gathered], {"crash2": last(exception=exception)})
    assert message["text"].splitlines() == [
        "[prod] crash2 ends again and again (vm)",
        "crash2: ends again and again (code); last exit: exited with 1, KeyError at crash.py:2",
        "psv -C '/srv/my fleet' bot status crash2",
    ]
    (about,) = message["bots"]
    assert (about["message"], about["exit_code"], about["signal"]) == ("exited with 1", 1, None)
    assert about["exception"] == {"type": "KeyError", "file": "crash.py", "line": 2}
    assert (message["folder"], message["command"]) == ("/srv/my fleet", "psv -C '/srv/my fleet' bot status crash2")
    assert "person" not in str(message)


def test_a_bot_that_never_began_says_why() -> None:
    """psvd has it in the last exit, though there was no process; a secret in it stays hidden."""
    why = f"command /srv/gone.sh does not exist; TOKEN={TOKEN}"
    message = compose(SENDER, "failed", [Gathered("gone", 1, "config", 1.0, 1.0)], {"gone": last(message=why, exit_code=None)})
    assert "gone: config: command /srv/gone.sh does not exist" in message["text"]
    assert TOKEN not in str(message)


@pytest.mark.parametrize(
    ("more", "said", "words"),
    [
        ({}, "code: exited with 1", ""),
        ({"exit_code": None, "signal": "SIGSEGV", "message": "killed by SIGSEGV"}, "signal", "killed by SIGSEGV"),
        ({"exit_code": None, "signal": "SIGABRT", "message": "no beat for 30 s"}, "no beat for 30 s", "SIGABRT"),
        ({"exit_code": 70, "message": "no beat for 30 s"}, "no beat for 30 s", "exit code 70"),
    ],
)
def test_nothing_is_said_twice(more: dict[str, Any], said: str, words: str) -> None:
    """Code and signal are there once, whether psv's message has them or not."""
    assert words_of(last(**more), said) == words


def test_an_old_exit_is_not_why() -> None:
    """A bot that runs and is unhealthy, or cut off, has not ended; how it ended an hour ago is left out."""
    gathered = [Gathered("a", 1, "unhealthy: http: 500", 3700.0, 3700.0)]
    assert "last exit" not in compose(SENDER, "failed", gathered, {"a": last("RUNNING")})["text"]
    assert "last exit" not in compose(SENDER, "deaf", gathered, {"a": last()})["text"]


def test_the_command_stays_however_long_the_rest_is() -> None:
    """The words are cut, not what is to be typed; of several bots it is the list."""
    message = compose(SENDER, "failed", [Gathered(f"bot-{n}", 1, "x" * 300, 1.0, 1.0) for n in range(60)])
    assert len(message["text"]) <= 1500 and message["text"].endswith("…\npsv -C '/srv/my fleet' ls")


def test_what_is_of_the_fleet_is_in_the_title() -> None:
    """Not its name a second time; what is over needs nothing typed."""
    text = "2.0 % (1.0 GB) of the disk of /srv is free"
    message = compose(SENDER, "disk", [Gathered("", 1, text, 1.0, 1.0)])
    assert message["text"].splitlines() == [f"[prod] disk trouble: {text} (vm)", "psv -C '/srv/my fleet' status"]
    message = compose(SENDER, "recovered", [Gathered("", 1, "the keeper is back after 46s", 1.0, 1.0)])
    assert (message["title"], message["text"]) == ("[prod] the keeper is back after 46s", "[prod] the keeper is back after 46s (vm)")
