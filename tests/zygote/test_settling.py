"""What a zygote does to its heap before it forks leaves nothing behind but memory, and what comes later lies together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_SETTLED = """
import json, logging, os, signal, sys, threading
from pathlib import Path
import processsupervisor.bot.warming
from processsupervisor.zygote.settling import settle

def facts():
    numbers = signal.valid_signals()
    return {
        "descriptors": sorted(os.listdir("/proc/self/fd")), "threads": len(os.listdir("/proc/self/task")),
        "signals": [str(signal.getsignal(number)) for number in numbers], "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "level": logging.getLogger().level, "handlers": len(logging.getLogger().handlers), "folder": os.listdir(sys.argv[1]),
        "modules": len(sys.modules), "environment": dict(os.environ), "here": os.getcwd(), "wakeup": signal.set_wakeup_fd(-1),
    }

settle(Path(sys.argv[1], "first"), is_native=False)
before = facts()
settle(Path(sys.argv[1], "warm"), is_native=True)
print(json.dumps([before, facts()]))
"""

_TOGETHER = """
import json, random
from processsupervisor.zygote.holes import fill_holes

def pages(count):
    made = [bytes(100) for _ in range(count)]
    return len({id(one) >> 12 for one in made}), made

blocks = [bytes(100) for _ in range(20_000)]
random.Random(1).shuffle(blocks)
del blocks[:1_000]  # holes everywhere
scattered, made = pages(200)
fill_holes()
print(json.dumps([scattered, pages(200)[0]]))
"""

_GATHERED = """
import json
from processsupervisor.zygote.gathering import Calls, gather

def outer(number, *, more=1):
    held = number
    def inner():
        return held + more
    return inner

def never():
    pass

kept = outer(1)
before = outer.__code__, never.__code__, kept.__code__
with Calls() as calls:
    outer(2)
    kept()
copies = gather([*calls.called.values()], [])
after = outer.__code__, never.__code__, kept.__code__
print(json.dumps([copies, [one is other for one, other in zip(before, after)], before == after, outer(3, more=2)(), kept()]))
"""


def _python(code: str, *argv: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    return json.loads(done.stdout)


def test_a_bot_that_lived_in_the_zygote_leaves_nothing_behind(tmp_path: Path) -> None:
    """No descriptor, thread, handler of a signal, module or file: what is forked afterwards begins as if there had been none."""
    before, after = _python(_SETTLED, str(tmp_path))
    assert after == before
    assert after["threads"] == 1
    assert after["folder"] == []


def test_a_bot_that_cannot_live_there_costs_only_memory(tmp_path: Path) -> None:
    """The zygote says so and goes on."""
    (tmp_path / "file").write_text("")
    code = "import sys, pathlib; from processsupervisor.zygote.settling import settle; settle(pathlib.Path(sys.argv[1]), is_native=True); print(1)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file" / "x")], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1\n"
    assert done.stderr.startswith("psv: the zygote could not warm up: NotADirectoryError")


def test_what_is_made_behind_the_filling_lies_together() -> None:
    """Two hundred objects among a thousand holes: then on a few pages, six at the least."""
    scattered, together = _python(_TOGETHER)
    assert scattered > 50
    assert together < 20


def test_code_that_was_called_is_copied_and_works_as_before() -> None:
    """Functions and closures; what was never called stays where it is."""
    copies, same, equal, fresh, kept = _python(_GATHERED)
    assert copies >= 2  # and what ended the noting
    assert same == [False, True, False]
    assert equal
    assert (fresh, kept) == (5, 2)
