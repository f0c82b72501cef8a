"""effort: a process that works is told from one that waits, also when it does not get its core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.supervisor.live import eventually

from processsupervisor.resources.effort import effort_s, used_s


@contextmanager
def _running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.read(1) == b"+"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_who_sleeps_makes_no_effort() -> None:
    """Two looks at a sleeping process say the same."""
    with _running("import time; print('+', end='', flush=True); time.sleep(1000)") as process:
        eventually(lambda: effort_s([process.pid]) != float("inf"), "it sleeps")
        before = effort_s([process.pid])
        assert before > 0 and effort_s([process.pid]) - before < 0.005


def test_who_works_makes_an_effort_whether_it_has_a_core_or_not() -> None:
    """Three that share one core: each wants all of it, so none looks quiet."""
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); print('+', end='', flush=True)\nwhile True: pass"
    with _running(code) as a, _running(code) as b, _running(code) as c:
        assert [effort_s([p.pid]) for p in (a, b, c)] == [float("inf")] * 3


def test_short_work_counts_although_it_sleeps_at_the_moment_of_the_look() -> None:
    """A program that works in bursts is seen by what it has used."""
    code = "import time; print('+', end='', flush=True)\nwhile True:\n    end = time.thread_time() + 0.05\n    while time.thread_time() < end: pass\n    time.sleep(0.01)"
    with _running(code) as process:
        efforts = [0.0]
        eventually(lambda: (value := effort_s([process.pid])) != float("inf") and efforts.append(value) is None and value > 0.5, "half a second of work")
        assert efforts == sorted(efforts)


def test_children_that_ended_count_for_their_parent() -> None:
    """A shell whose work is done by short commands has used what they used."""
    code = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.3: pass'])\nprint('+', end='', flush=True); time.sleep(1000)"
    with _running(code) as process:
        used = used_s(process.pid)
        assert used is not None and used >= 0.25  # counted in ticks of 10 ms, user and system each
        assert eventually(lambda: 0.25 <= effort_s([process.pid]) < float("inf"), "it sleeps, and its effort is known")


def test_who_is_gone_makes_none() -> None:
    """Nothing is guessed about a pid that nobody has."""
    with _running("print('+', end='', flush=True); import time; time.sleep(1000)") as process:
        pass
    assert used_s(process.pid) is None and effort_s([process.pid]) == 0.0
