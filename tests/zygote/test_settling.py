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
copies = len(gather([*calls.called.values()], []))
after = outer.__code__, never.__code__, kept.__code__
is_one = outer(2).__code__ is kept.__code__
print(json.dumps([copies, [one is other for one, other in zip(before, after)], before == after, is_one, outer(3, more=2)(), kept()]))
"""

_MOVED = """
import functools, json, sys, types, weakref
from processsupervisor.zygote.moving import move

class Kind(type):
    def __setattr__(cls, name, value):
        raise AttributeError(name)

class Inner:
    pass

class One(metaclass=Kind):
    def method(self, number: int, *, more: int = 1) -> int:
        "Add."
        return number + more
    other_name = method
    def own(self):
        return super().__repr__() and "own"
    @staticmethod
    def wrapped():
        return "wrapped"
    class Within:
        def deep(self):
            return "deep"

def free(number=1):
    return number
free.mark = "mark"

def held(): return "held"
def seen_weakly(): return "weak"
def decorated(): return "decorated"
outside = types.ModuleType("outside")
sys.modules["outside"] = outside
outside.free = free
handlers, weakly, wrapper = [held], weakref.ref(seen_weakly), functools.wraps(decorated)(lambda: decorated())
One().own(), One().method(1)  # adapted to what stands there now

def all_of():
    names = vars(One)
    found = {"free": free, "held": held, "weak": seen_weakly, "decorated": decorated, "own": names["own"],
             "method": names["method"], "deep": vars(names["Within"])["deep"], "wrapped": names["wrapped"].__func__}
    return found

before = {name: id(function) for name, function in all_of().items()}
moved = move([*all_of().values()])
after = {name: id(function) for name, function in all_of().items()}
works = [free(), free.mark, outside.free is free, One().own(), One().method(1, more=2), One.Within().deep(), held(), wrapper(), weakly() is seen_weakly]
print(json.dumps([moved, sorted(name for name in before if before[name] != after[name]), works]))
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
    """Functions and what they define, before and afterwards; what was never called stays where it is."""
    copies, same, equal, is_one, fresh, kept = _python(_GATHERED)
    assert copies >= 2  # and what ended the noting
    assert same == [False, True, False]
    assert equal
    assert is_one
    assert (fresh, kept) == (5, 2)


def test_a_function_moves_only_where_nothing_else_has_it() -> None:
    """Its names in modules and in its class mean the twin; what a list, a weak reference, a wrapper or a second name has stays itself."""
    moved, names, works = _python(_MOVED)
    assert names == ["deep", "free", "own"]
    assert moved == len(names)
    assert works == [1, "mark", True, "own", 3, "deep", "held", "decorated", True]


def test_a_twin_says_of_itself_what_the_function_said() -> None:
    """Signature, annotations, text, module, name and code."""
    code = """
import inspect, json
from processsupervisor.zygote.moving import move
def made(one: int, two: str = "x", *, three: bool = True) -> None:
    "Say."
def said():
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__")
    return [str(inspect.signature(made)), str(made.__annotations__), *(repr(getattr(made, name)) for name in names), id(made.__code__)]
before = said()
print(json.dumps([move([made]), before == said()]))
"""
    assert _python(code) == [1, True]
