"""Every event loop of a bot's main thread beats, and the program cannot tell.

Each case is a fresh interpreter that does what a zygote and its child do, then runs a program with warnings as errors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.kernel.pulse import PULSE_BYTES, Pulse, Turn, unpack

BEGIN = """
import json, os, sys, warnings
from processsupervisor.launch import heartbeat
heartbeat.install()
pulse = os.open(sys.argv[1], os.O_RDWR)
heartbeat.begin(pulse, 7, 0, 1.0)
import asyncio, threading
from processsupervisor.kernel.pulse import PULSE_BYTES, unpack
warnings.simplefilter("error")
seen = lambda: unpack(os.pread(os.open(sys.argv[1], os.O_RDONLY), PULSE_BYTES, 0))
"""


def run(tmp_path: Path, program: str, *, debug: bool = False) -> tuple[Any, Pulse]:
    """Run a program and return the JSON that it printed last, and its pulse at its end."""
    path = tmp_path / "pulse"
    path.write_bytes(bytes(PULSE_BYTES))
    environment = os.environ | {"PYTHONASYNCIODEBUG": "1" if debug else ""}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(path)], check=False, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    pulse = unpack(path.read_bytes())
    assert pulse is not None and pulse.generation == 7
    return json.loads(done.stdout.splitlines()[-1]), pulse


MAIN = """
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(1.6)
    beat = seen()
    print(json.dumps([beat.turn, beat.beats, len(asyncio.all_tasks()), type(loop).__module__.partition(".")[0]]))
"""


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("module", "call"), [
    ("asyncio", "asyncio.run(main())"),
    ("asyncio", "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); left = list(loop._scheduled); loop.close()\n"
                "assert all(handle.cancelled() for handle in left), left"),
    ("uvloop", "import uvloop; uvloop.run(main())"),
    ("uvloop", "import uvloop\nwith asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())"),
])
def test_a_loop_beats_without_a_task_a_warning_or_a_trace(tmp_path: Path, module: str, call: str, debug: bool) -> None:
    """A beat at its start and one within a second and a half; one task, the program's own; nothing is left when it ends."""
    pytest.importorskip(module, reason=f"needs {module}")
    (turn, beats, tasks, found), pulse = run(tmp_path, MAIN + call, debug=debug)
    assert (turn, tasks, found) == (Turn.TURNING, 1, module) and beats in (3, 4)
    assert pulse.turn is Turn.ENDED and 0.0 <= pulse.worst_lag_s < 1.0


def test_the_lag_is_how_late_the_loop_is(tmp_path: Path) -> None:
    """A callback that takes its time makes the next beat late by as much."""
    (lag_s, worst_s), _ = run(tmp_path, """
import time
async def main():
    await asyncio.sleep(0.1)
    time.sleep(2.0)
    await asyncio.sleep(0.1)
    print(json.dumps([seen().lag_s, seen().worst_lag_s]))
asyncio.run(main())
""")
    assert 0.5 < lag_s == worst_s


def test_only_the_main_thread_of_this_very_process_beats(tmp_path: Path) -> None:
    """A loop of another thread and one of a forked child leave the pulse alone."""
    turns, pulse = run(tmp_path, """
turns = []
worker = threading.Thread(target=lambda: asyncio.run(asyncio.sleep(0.1)))
worker.start(); worker.join()
turns.append(seen().turn)
child = os.fork()
if not child:
    asyncio.run(asyncio.sleep(0.1))
    os._exit(0)
os.waitpid(child, 0)
turns.append(seen().turn)
print(json.dumps(turns))
""")
    assert turns == [Turn.NEVER, Turn.NEVER] and pulse.beats == 1


def test_a_traceback_shows_the_programs_own_frames_only(tmp_path: Path) -> None:
    """What a program raises out of its loop looks as it does elsewhere."""
    files, _ = run(tmp_path, """
import traceback
async def main():
    raise ValueError
try:
    asyncio.run(main())
except ValueError as err:
    print(json.dumps([frame.filename for frame in traceback.extract_tb(err.__traceback__)]))
""")
    assert files and not any("heartbeat" in name for name in files)


def test_a_loop_that_refuses_a_timer_runs_all_the_same(tmp_path: Path) -> None:
    """A loop of the program's own making may be anything; then there is no pulse."""
    value, pulse = run(tmp_path, """
class Odd(asyncio.SelectorEventLoop):
    def call_later(self, *args, **kwargs):
        raise RuntimeError("not here")
async def main():
    return 42
loop = Odd()
print(json.dumps(loop.run_until_complete(main())))
loop.close()
""")
    assert value == 42 and pulse.turn is Turn.ENDED


def test_a_file_that_took_the_number_of_the_pulse_is_not_written(tmp_path: Path) -> None:
    """A program that closes what it did not open loses its pulse, and nothing of its own."""
    content, _ = run(tmp_path, """
other = os.open("other", os.O_RDWR | os.O_CREAT)
os.dup2(other, pulse)
asyncio.run(asyncio.sleep(0))
print(json.dumps(os.pread(pulse, 100, 0).decode("latin-1")))
""")
    assert content == ""


def test_a_beat_says_how_many_messages_were_handled(tmp_path: Path) -> None:
    """The count stands in the next beat; nought messages are told from a program that counts none."""
    before, after = run(
        tmp_path,
        """
async def main():
    none = seen().messages
    handled = 0
    heartbeat.count_messages(lambda: handled)
    await asyncio.sleep(1.6)
    nought, handled = seen().messages, 3
    print(json.dumps([none, nought]))
asyncio.run(main())
""",
    )
    assert before == [None, 0]
    assert after.messages == 3
