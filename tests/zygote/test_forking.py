"""A bot is born as the keeper's child, and inside its cgroup where kernel and sandbox allow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.resources.cgroups import own_group

# A subreaper in place of the keeper: it forks a zygote, which forks the bot twice; the bot says where it is.
_BIRTH = """
import ctypes, json, os, sys
from processsupervisor.zygote import forking

group, refused = sys.argv[1] or None, json.loads(sys.argv[2])
libc = ctypes.CDLL(None)
libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER

def tell(facts):
    os.write(1, json.dumps(facts).encode() + b"\\n")

def say(folder, bot, generation, secret_fd, *, is_in_group):
    where = [line for line in open("/proc/self/cgroup") if line.startswith("0::")][0].strip()[3:]
    tell({"in_group": is_in_group, "cgroup": where, "parent": os.getppid(), "arguments": [folder, bot, generation]})
    os._exit(0)

def refuse(number):
    # A filter as container runtimes install it: this system call is answered ENOSYS, all others are let through.
    class Step(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(Step))]
    steps = (Step * 4)(Step(0x20, 0, 0, 0), Step(0x15, 0, 1, number), Step(0x06, 0, 0, 0x00050000 | 38), Step(0x06, 0, 0, 0x7FFF0000))
    program = Program(4, steps)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0

keeper = os.getpid()
if os.fork():
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    sys.exit()
forking.child.run = say
for number in refused:
    refuse(number)
pid = forking.fork_twice("/folder", "shop", 7, -1, group)
tell({"keeper": keeper, "pid": pid > 0})
os._exit(0)
"""
_CLONE3 = 435


def _birth(group: Path | str, *refused: int) -> dict[str, Any]:
    """Return what the newborn and its zygote said."""
    argv = [sys.executable, "-c", _BIRTH, str(group), json.dumps(refused)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    said: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    assert said["parent"] == said["keeper"], "the keeper is its parent before it begins"
    assert said["arguments"] == ["/folder", "shop", 7]
    return said


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of version 2 that processes of this user may be put into."""
    own = own_group()
    if own is None:
        pytest.skip("needs a writable cgroup2 mount")
    folder = own / f"psv-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    folder.rmdir()


@pytest.mark.root
def test_a_bot_is_born_inside_its_cgroup(group: Path) -> None:
    """It need not move there, which would take the time of an RCU grace period."""
    said = _birth(group)
    assert said["in_group"] is True
    assert said["cgroup"].endswith(f"/{group.name}")


@pytest.mark.root
def test_where_clone3_is_refused_the_bot_moves_into_its_cgroup_itself(group: Path) -> None:
    """Sandboxes that cannot look into the arguments of clone3 answer ENOSYS."""
    said = _birth(group, _CLONE3)
    assert said["in_group"] is False
    assert not said["cgroup"].endswith(f"/{group.name}")


def test_without_a_cgroup_or_with_one_that_is_gone_it_is_born_all_the_same(tmp_path: Path) -> None:
    """The launch step that enters the cgroup says what is wrong with it."""
    assert _birth("")["in_group"] is False
    assert _birth(tmp_path / "gone")["in_group"] is False
    assert _birth(tmp_path)["in_group"] is False, "a folder that is no cgroup"
