"""A bot that is alive and does nothing is found, says what it still can, and is replaced; nobody else notices."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient, connect_unix

WAYS = {
    "sleep": "import time; time.sleep(1000)",
    "lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "python": "while True: pass",
    "c": "import collections, itertools; collections.deque(itertools.repeat(0), maxlen=0)",
}
"""How a loop can be held up; the last one never lets go of the interpreter's lock, nor looks at signals."""

SCRIPT = """
    import asyncio, os, sys

    async def waits_for_ever():
        await asyncio.get_running_loop().create_future()

    def hang():
        WAY

    async def main():
        other = asyncio.create_task(waits_for_ever(), name="the-other-task")
        flag = "hang-" + os.environ["PSV_BOT"]
        while not os.path.exists(flag):
            await asyncio.sleep(0.02)
        os.unlink(flag)
        hang()

    RUN
"""

THREADS = """import threading, time
    def works(depth):
        time.sleep(1000) if depth <= 1 else works(depth - 1)
    for _ in range(COUNT):
        threading.Thread(target=works, args=(DEPTH,), daemon=True).start()
    """

NATIVE = """
    import asyncio, os, time
    from processsupervisor import Bot

    bot = Bot()

    async def hangs():
        while not os.path.exists("hang-native"):
            await asyncio.sleep(0.02)
        os.unlink("hang-native")
        time.sleep(1000)

    @bot.on_start
    async def begin():
        bot.task = asyncio.create_task(hangs(), name="the-task-that-hangs")
"""


def write_script(fleet: LiveFleet, name: str, way: str, run: str = "asyncio.run(main())") -> None:
    """Write a script that hangs in this way once the file hang-BOT is there."""
    fleet.write(f"{name}.py", SCRIPT.replace("WAY", way).replace("RUN", run))


def tell_to_hang(fleet: LiveFleet, name: str) -> None:
    """Let a bot hang, once: its next generation does not."""
    fleet.write(f"hang-{name}", "")


def exit_after_hang(fleet: LiveFleet, name: str) -> dict[str, Any]:
    """Wait for the successor and return how the first generation ended."""
    found = fleet.until(name, state="RUNNING", generation=2)
    assert found["restarts"] == 1
    return dict(fleet.detail(name)["last_exit"])


def dump_file(fleet: LiveFleet, last: dict[str, Any]) -> str:
    """Return the whole dump that an exit record names."""
    return (fleet.folder / last["dump"]["file"]).read_text()


def test_a_loop_that_is_held_up_is_dumped_and_replaced(fleet: LiveFleet) -> None:
    """By a sleep, a lock, a loop in Python or one in C: each has the place in its record, and its tasks where they can be had."""
    for name, way in WAYS.items():
        write_script(fleet, name, way)
    write_script(fleet, "bystander", "pass")
    bots = "".join(f'[bots.{name}]\nscript = "{name}.py"\n' for name in (*WAYS, "bystander"))
    fleet.configure(f'[global]\nhang_after = "2s"\nready = {{ after = "0.1s" }}\n{bots}')
    fleet.up()
    untouched = fleet.bot("bystander")["pid"]
    for name in WAYS:
        tell_to_hang(fleet, name)
    for name in WAYS:
        last = exit_after_hang(fleet, name)
        assert (last["reason"], last["signal"]) == ("hang", "SIGKILL")
        assert "event loop has not turned for 2 s" in last["message"]
        stacks, tasks = "\n".join(last["dump"]["stacks"]), "\n".join(last["dump"]["tasks"])
        assert f"{name}.py" in stacks and "in hang" in stacks
        assert stacks[: stacks.index("in hang")] in dump_file(fleet, last)
        if name == "c":
            assert last["dump"]["missing"] == ["tasks: no answer within 1 s"]
        else:
            assert "the-other-task" in tasks and "in waits_for_ever" in tasks
            assert last["dump"]["missing"] == []
    bystander = fleet.bot("bystander")
    assert (bystander["pid"], bystander["restarts"]) == (untouched, 0)


def test_the_thread_that_hangs_is_told_first(fleet: LiveFleet) -> None:
    """A bot has workers that do nothing wrong; the beginning of the stacks, which the exit keeps, is not theirs."""
    write_script(fleet, "old", WAYS["sleep"], THREADS.replace("COUNT", "20").replace("DEPTH", "1") + "asyncio.run(main())")
    fleet.configure('[bots.old]\nscript = "old.py"\nhang_after = "2s"\nready = { after = "0.1s" }\n')
    fleet.up()
    tell_to_hang(fleet, "old")
    last = exit_after_hang(fleet, "old")
    assert "Current thread" in last["dump"]["stacks"][0] and "in hang" in last["dump"]["stacks"][1]
    assert dump_file(fleet, last).count("in works") == 20 and last["dump"]["missing"] == []


@pytest.mark.parametrize(("count", "depth", "missing"), [
    (40, 60, "stacks: all but the first 60000 bytes"),
    (110, 1, "stacks: of more than 100 threads"),
])
def test_a_dump_that_is_not_whole_says_so(fleet: LiveFleet, count: int, depth: int, missing: str) -> None:
    """More than a bot writes."""
    write_script(fleet, "old", "pass", THREADS.replace("COUNT", str(count)).replace("DEPTH", str(depth)) + "asyncio.run(main())")
    fleet.configure('[bots.old]\nscript = "old.py"\nready = { after = "0.1s" }\n')
    fleet.up()
    found = eventually(lambda: (dump := fleet.call("bot.dump", names=["old"])[0])["stacks"].count("in works") > depth and dump, "its threads run")
    assert found["missing"] == [missing]
    if depth > 1:
        assert found["stacks"].startswith("Current thread") and "in <module>" in found["stacks"].partition("\n\n")[0]


def test_native_bots_and_uvloop_are_judged_too(fleet: LiveFleet) -> None:
    """Both loops beat without a line in the program."""
    pytest.importorskip("uvloop", reason="needs uvloop")
    write_script(fleet, "uv", WAYS["lock"], "import uvloop\n    uvloop.run(main())")
    fleet.write("bots.py", NATIVE)
    fleet.configure('[global]\nhang_after = "2s"\n[bots.uv]\nscript = "uv.py"\nready = { after = "0.1s" }\n[bots.native]\nrun = "bots:bot"\n')
    fleet.up()
    for name in ("uv", "native"):
        tell_to_hang(fleet, name)
    for name, task, place in (("uv", "the-other-task", "in hang"), ("native", "the-task-that-hangs", "in hangs")):
        last = exit_after_hang(fleet, name)
        assert last["reason"] == "hang"
        assert task in "\n".join(last["dump"]["tasks"])
        assert place in last["dump"]["stacks"][1], "the main thread comes first, whatever threads of psv there are"


@pytest.mark.parametrize("kind", ["script", "command"])
def test_a_stopped_process_is_recorded_and_replaced_and_never_continued(fleet: LiveFleet, kind: str) -> None:
    """State T is seen in any kind of bot, without a pulse; what it says is written down, and nobody wakes it."""
    fleet.write("main.py", "import signal, time\nsignal.signal(signal.SIGCONT, lambda *_: print('continued', flush=True))\nprint('up', flush=True)\ntime.sleep(1000)\n")
    program = 'script = "main.py"' if kind == "script" else 'command = ["python", "main.py"]'
    fleet.configure(f'[bots.old]\n{program}\nhang_after = "2s"\nready = {{ log = "^up$" }}\n')
    fleet.up()
    assert fleet.detail("old")["stopped"] is None
    os.kill(fleet.bot("old")["pid"], signal.SIGSTOP)
    assert "stopped by a signal" in eventually(lambda: fleet.detail("old")["stopped"], "status says it at once", 1.5)
    last = exit_after_hang(fleet, "old")
    assert last["reason"] == "hang" and "stopped by a signal" in last["message"]
    assert last["dump"]["process"]["State"].startswith("T") and last["dump"]["process"]["wchan"]
    assert last["dump"]["missing"] == [f"{what}: the process is stopped and cannot answer" for what in ("stacks", "tasks")]
    assert "continued" not in fleet.output("old")


def test_a_bot_that_hangs_while_psvd_dies_is_found_by_the_next_one(fleet: LiveFleet) -> None:
    """What an earlier psvd saw is not needed."""
    write_script(fleet, "old", WAYS["sleep"])
    fleet.configure('[bots.old]\nscript = "old.py"\nhang_after = "2s"\nready = { after = "0.1s" }\n')
    fleet.up()
    pid = fleet.bot("old")["pid"]
    tell_to_hang(fleet, "old")
    eventually(lambda: not (fleet.folder / "hang-old").exists(), "it hangs")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd")
    assert fleet.bot("old")["pid"] == pid
    assert exit_after_hang(fleet, "old")["reason"] == "hang"
    assert not Path(f"/proc/{pid}").exists()


def test_the_event_names_the_bot_and_only_the_newest_dumps_are_kept(fleet: LiveFleet) -> None:
    """One event a hang; a bot that hangs for ever does not fill the disk."""
    write_script(fleet, "old", WAYS["sleep"])
    fleet.configure('[bots.old]\nscript = "old.py"\nhang_after = "2s"\nready = { after = "0.1s" }\n')
    fleet.paths.bot_logs("old").mkdir(parents=True)
    for number in range(2, 9):
        os.utime(fleet.write(f".psv/logs/bots/old/dump-{number:06d}.txt", "old"), (number, number))
    fleet.up()
    with connect_unix(fleet.paths.socket("psv"), 20.0) as peer, peer.makefile("rb") as lines:
        peer.sendall(b'{"id": 1, "op": "fleet.watch", "args": {}}\n')
        lines.readline()
        tell_to_hang(fleet, "old")
        line = next(line for line in lines if b'"hang"' in line)
    assert b'"bot": "old"' in line and b"has not turned" in line
    file = exit_after_hang(fleet, "old")["dump"]["file"]
    assert file.endswith("dump-000001.txt")
    with ControlClient(fleet.paths) as client:
        told = {event["kind"]: event for event in client.stream("fleet.events", {"names": ["old"]})}
    assert told["hang"]["dump"] == told["exit"]["dump"] == file
    kept = sorted(path.name for path in fleet.paths.bot_logs("old").glob("dump-*.txt"))
    assert kept == [f"dump-{number:06d}.txt" for number in (1, 5, 6, 7, 8)]
