"""supervisor.view: what is said of a bot that cannot be started is said once, and what is to be done about it is what helps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.supervisor.live import LiveFleet

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.supervisor import view


def test_what_cannot_be_run_says_so_once_and_what_is_missing_is_looked_for_at_the_next_start(fleet: LiveFleet) -> None:
    """The launch step that failed says it in the log too; a file that is there by now needs no new settings."""
    fleet.write("noexec", "no program\n").chmod(0o755)
    fleet.configure("""
        [bots.noexec]
        command = ["./noexec"]
        [bots.shy]
        command = ["sh", "-c", "echo exited with a word; exit 3"]
        ready = { log = "never" }
        restart = { policy = "never" }
        [bots.lacking]
        command = ["sleep", "1000"]
        env_file = ".env"
    """)
    fleet.up(wait=False)
    (said,) = fleet.call("bot.restart", names=["noexec"], wait=True, timeout_s=20.0)
    assert said["message"].count("Exec format error") == 1, said
    (said,) = fleet.call("bot.restart", names=["shy"], wait=True, timeout_s=20.0)
    assert said["message"].endswith("exited with 3: exited with a word"), said
    advice = fleet.detail("lacking")["what_to_do"]
    assert "psv restart lacking" in advice and "psv down" not in advice
    fleet.write(".env", "A=1\n")
    (said,) = fleet.call("bot.restart", names=["lacking"], wait=True, timeout_s=20.0)
    assert said["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("is_elsewhere", "rechecks", "word"), [(True, True, "psv start a"), (False, True, "psv restart a"), (False, False, "psv reload")]
)
def test_only_a_wrong_fleet_toml_takes_the_fleet_down(is_elsewhere: bool, rechecks: bool, word: str) -> None:
    """A copy that runs elsewhere, or a missing file, concerns one bot."""
    spec: dict[str, Any] = {"name": "a", "error": "wrong", "error_rechecks": rechecks, "is_elsewhere": is_elsewhere}
    handle = SimpleNamespace(
        name="a", spec=spec, reason=Reason.CONFIG, last_exit=None, waits_for="", is_unkillable=False, life=SimpleNamespace(state=State.FAILED)
    )
    advice = view.what_to_do(cast(Any, handle))
    assert advice.endswith(word)
    assert ("fleet.toml" in advice) is not rechecks
