"""What [fleet] says of the disk space of logs reaches logd: at the start, whoever of psv is killed, and when it is changed."""

from __future__ import annotations

import pytest
from tests.supervisor.live import LiveFleet, eventually

pytestmark = pytest.mark.slow
WRITER = 'import os, time\nfor _ in range(60):\n    print(os.urandom(25_000).hex(), flush=True)\nprint("all written", flush=True)\ntime.sleep(1000)\n'
BOT = '[bots.a]\nscript = "main.py"\nready = { log = "all written" }\nlogs = { max = "100KB", keep = 1000 }\n'
_ROOM = 200_000  # for the segments that are written, and the indexes beside


def used(fleet: LiveFleet) -> int:
    """Return how much the logs of bots take now; files go while one counts."""
    sizes = []
    for path in (fleet.paths.logs / "bots").rglob("*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


def test_a_changed_limit_holds_at_once_and_over_the_death_of_logd(fleet: LiveFleet) -> None:
    """3 MB of noise are kept under the default; told less, logd drops the oldest at once, and so does the next logd."""
    fleet.write("main.py", WRITER)
    fleet.configure(BOT)
    fleet.up()
    assert used(fleet) > 1_500_000  # noise in hexadecimal digits, compressed to half
    pid = fleet.bot("a")["pid"]
    fleet.log_total = "1MB"
    assert fleet.apply(BOT)["ok"] and fleet.bot("a")["pid"] == pid
    eventually(lambda: used(fleet) < (1 << 20) + _ROOM, "the logs to shrink")
    fleet.kill_role("logd")
    fleet.call("bot.restart", names=["a"])
    fleet.kill_role("logd")
    eventually(lambda: used(fleet) < (1 << 20) + _ROOM, "the logs to shrink again")
