"""Start slots with real processes: heavy starts are few at a time, quiet and light ones are not kept waiting, priority decides who is first."""

from __future__ import annotations

import time

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.supervisor.slots import slot_count

_BUSY = """
import os, time
from pathlib import Path
notes = Path(__file__).parent / "notes"
def note(word):
    with open(notes, "a") as file:
        file.write(f"{word} {os.environ['PSV_BOT']}\\n")
note("+")
end = time.thread_time() + float(os.environ.get("WORK", "0.4"))
while time.thread_time() < end:
    pass
note("-")
print("ready", flush=True)
time.sleep(1000)
"""
_BUSY_BOT = 'command = ["python", "busy.py"]\nready = { log = "^ready" }\n'


def _notes(fleet: LiveFleet) -> list[tuple[str, str]]:
    path = fleet.folder / "notes"
    return [(line[0], line[2:]) for line in path.read_text().splitlines()] if path.exists() else []


def _most_at_once(notes: list[tuple[str, str]]) -> int:
    now = most = 0
    for sign, _ in notes:
        now += 1 if sign == "+" else -1
        most = max(most, now)
    return most


def test_heavy_starts_are_few_at_a_time_and_in_the_order_of_priority(fleet: LiveFleet) -> None:
    """Never more than the slots at work; the rest waits, says for what, in the order of priority, then of the file."""
    fleet.write("busy.py", _BUSY)
    count = slot_count()
    bots = "".join(f"[bots.b{n}]\n" for n in range(count + 4))
    fleet.configure(f"[global]\n{_BUSY_BOT}{bots}[bots.late]\npriority = -1\n[bots.early]\npriority = 5\n")
    fleet.up(wait=False)
    waiting = eventually(lambda: [b for b in fleet.call("bot.status") if b["waits_for"]], "somebody waits")
    assert {b["state"] for b in waiting} == {"INITIALIZING"} and "its turn" in waiting[0]["what_to_do"]
    fleet.call("fleet.wait", timeout_s=60.0)
    began = [name for sign, name in _notes(fleet) if sign == "+"]
    assert _most_at_once(_notes(fleet)) <= count
    assert "early" in began[:count] and "late" in began[-count:]  # so many begin at once, in whatever order they are scheduled
    rest = [name for name in began if name.startswith("b")]
    assert all(abs(rest.index(n) - int(n[1:])) < count for n in rest)


def test_a_command_waits_for_no_slot_and_who_waits_can_be_stopped(fleet: LiveFleet) -> None:
    """While all slots are held, a start by command runs at once, and one that waits rests when it is told to."""
    fleet.write("busy.py", _BUSY)
    count = slot_count()
    bots = "".join(f'[bots.b{n}]\nenv = {{ WORK = "20" }}\n' for n in range(count))
    fleet.configure(f"[global]\n{_BUSY_BOT}{bots}[bots.x]\n[bots.y]\n[bots.z]\n")
    fleet.up(wait=False)
    eventually(lambda: len(_notes(fleet)) == count, "the slots are held")
    assert fleet.call("bot.stop", names=["y"])[0]["state"] == "STOPPED"
    assert fleet.call("bot.restart", names=["x"], timeout_s=20.0)[0]["state"] == "RUNNING"
    assert fleet.bot("z")["state"] == "INITIALIZING"
    fleet.call("bot.stop", names=["b0"], wait=False)
    fleet.until("z", state="RUNNING")
    assert fleet.bot("y")["state"] == "STOPPED"


def test_who_waits_for_time_or_network_is_not_waited_for(fleet: LiveFleet) -> None:
    """Twenty programs that are ready after a time of sleep need little more than that time together."""
    bots = "".join(f'[bots.b{n}]\ncommand = ["sleep", "100{n:02}"]\nready = {{ after = "2s" }}\n' for n in range(20))
    fleet.configure(bots)
    began = time.monotonic()
    fleet.up()
    took_s = time.monotonic() - began
    assert {b["state"] for b in fleet.call("bot.list")} == {"RUNNING"}
    assert took_s < 2.0 * 20 / slot_count() * 0.6, "one after the other would take as long as all their times"


def test_who_waits_is_found_again_by_the_next_psvd(fleet: LiveFleet) -> None:
    """A psvd that is killed while bots wait in the line leaves nobody behind and starts nobody twice."""
    fleet.write("busy.py", _BUSY)
    bots = "".join(f"[bots.b{n}]\n" for n in range(slot_count() + 3))
    fleet.configure(f"[global]\n{_BUSY_BOT}{bots}")
    fleet.up(wait=False)
    eventually(lambda: any(b["waits_for"] for b in fleet.call("bot.status")), "somebody waits")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd")
    fleet.call("fleet.wait", timeout_s=60.0)
    found = fleet.call("bot.list")
    assert {b["state"] for b in found} == {"RUNNING"} and all(len(fleet.copies(b["name"])) == 1 for b in found)
    began = [name for sign, name in _notes(fleet) if sign == "+"]
    assert sorted(began) == sorted(b["name"] for b in found)


def test_bots_that_fall_together_come_back_one_after_the_other(fleet: LiveFleet) -> None:
    """Twenty that lose their network in one moment, and the first tries too, are back at different times, none of them late."""
    fleet.write("net.py", _NET)
    bots = "".join(f"[bots.b{n}]\n" for n in range(20))
    fleet.configure(f'[global]\nscript = "net.py"\nready = {{ log = "^online" }}\nrestart = {{ max = "4s" }}\n{bots}')
    (fleet.folder / "network").touch()
    fleet.up()
    (fleet.folder / "network").unlink()
    eventually(lambda: all(b["restarts"] >= 3 for b in fleet.call("bot.list")), "all have tried in vain")
    first = sorted(_times(fleet, "offline"))[: 2 * 20]
    (fleet.folder / "network").touch()
    back_at = time.monotonic()
    eventually(lambda: {b["state"] for b in fleet.call("bot.list")} == {"RUNNING"}, "all are back")
    back = sorted(_times(fleet, "online")[20:])
    assert len(back) == 20 and back[-1] - back_at < 15.0
    assert back[-1] - back[0] > 0.5, "they come back spread over the delay that they had reached"
    quarter = [t for t in back if t < back[0] + (back[-1] - back[0]) / 4]
    assert len(quarter) < 15, "and not in one heap"
    assert first[-1] - first[0] > 0.2, "nor did the second tries come in one moment"


def _times(fleet: LiveFleet, word: str) -> list[float]:
    lines = (fleet.folder / "times").read_text().splitlines()
    return [float(line.split()[1]) for line in lines if line.startswith(word)]


_NET = """
import os, sys, time
from pathlib import Path
here = Path(__file__).parent
def note(word):
    with open(here / "times", "a") as file:
        file.write(f"{word} {time.monotonic():.4f}\\n")
    print(word, flush=True)
network = here / "network"
if not network.exists():
    note("offline")
    sys.exit(75)
note("online")
while network.exists():
    time.sleep(0.02)
sys.exit(75)
"""
