"""A zygote dies between a fork and its answer: the bot that was born is the bot, and the one forked in its place is no exit of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

DYING = """
    import os, signal
    ZYGOTE = os.getpid()
    def die():
        try:
            os.unlink("die")
        except FileNotFoundError:
            return
        os.kill(ZYGOTE, signal.SIGKILL)
    os.register_at_fork(after_in_parent=die)
"""
COUNTING = """
    import time
    for n in range(10**9):
        print("line", n, flush=True)
        time.sleep(0.01)
"""


@pytest.fixture
def library(fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PYTHONPATH with a module that kills the zygote it was preloaded in, once for each file `die`."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = fleet.write("dying.py", DYING.replace('"die"', f'"{folder}/die"'))
    path.rename(folder / "dying.py")
    return folder


def test_the_first_of_two_is_the_bot(fleet: LiveFleet, library: Path) -> None:
    """No exit is noted, no restart counted, and not a line of the first one is lost."""
    fleet.write("main.py", COUNTING)
    fleet.configure('[bots.b]\nscript = "main.py"\npreload = ["dying"]\nready = { log = "^line" }\n')
    fleet.up()
    (library / "die").touch()
    assert fleet.call("bot.restart", names=["b"])[0]["ok"]
    found = fleet.until("b", state="RUNNING", generation=2)
    assert not (library / "die").exists()
    eventually(lambda: "its lock is held by bot b" in fleet.output("b"), "the second one gives up")
    found = eventually(lambda: fleet.copies("b") == [fleet.bot("b")["pid"]] and fleet.detail("b"), "psvd knows the first")
    told = fleet.output("b").count("line")
    eventually(lambda: fleet.output("b").count("line") > told + 300, "its output is read")
    now = fleet.detail("b")
    assert (now["pid"], now["generation"], now["restarts"]) == (found["pid"], 2, 0)
    assert now["last_exit"]["generation"] == 1
    lines = fleet.output("b").splitlines()
    first_of_second = len(lines) - 1 - lines[::-1].index("line 0")
    numbers = [int(line.split()[1]) for line in lines[first_of_second:] if line.startswith("line")]
    assert numbers == list(range(len(numbers)))
