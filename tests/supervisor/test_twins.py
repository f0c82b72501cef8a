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


GRACEFUL = """
    import os, signal, socket, sys, time
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to stop", flush=True), sys.exit(0)))
    print("up", flush=True)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
    sender.send(b"READY=1")
    time.sleep(1000)
"""


def test_the_first_is_ready_although_it_said_so_before_it_was_known(fleet: LiveFleet, library: Path) -> None:
    """READY=1 comes while the second is still waiting for the lock: it counts, once the first is known. And nothing is started again."""
    fleet.write("main.py", GRACEFUL)
    fleet.configure('[bots.b]\nscript = "main.py"\npreload = ["dying"]\nready = { notify = true }\nstart_timeout = "20s"\n')
    fleet.up()
    fleet.until("b", state="RUNNING")
    (library / "die").touch()
    assert fleet.call("bot.restart", names=["b"])[0]["ok"]
    found = fleet.until("b", state="RUNNING", generation=2)
    assert fleet.copies("b") == [found["pid"]] and found["restarts"] == 0
    assert "its lock is held by bot b" in fleet.output("b"), "there were two"


def test_a_stop_that_meets_the_second_reaches_the_first(fleet: LiveFleet, library: Path) -> None:
    """The signal ended the second, which psvd took for the bot: the first is asked too, and not killed as something left behind."""
    fleet.write("main.py", GRACEFUL.replace("sender", "#"))
    fleet.configure('[bots.b]\nscript = "main.py"\npreload = ["dying"]\nready = { log = "^up" }\n')
    fleet.up()
    fleet.until("b", state="RUNNING")
    (library / "die").touch()
    fleet.call("bot.restart", names=["b"], wait=False)
    eventually(lambda: fleet.output("b").count("up") == 2, "the first of the second generation")
    assert fleet.call("bot.stop", names=["b"])[0]["ok"]
    assert fleet.copies("b") == []
    assert fleet.output("b").count("asked to stop") == 2
    assert fleet.detail("b")["last_exit"]["exit_code"] == 0
