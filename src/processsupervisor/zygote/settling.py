"""From libraries that are loaded to a heap that is forked: what bots would each write into it is written before, and lies together.

Every step is for memory alone, and measured in docs/decisions/0016. Without one of them everything works, and takes more.
"""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path

from processsupervisor.zygote import child, heap
from processsupervisor.zygote.gathering import Calls, gather
from processsupervisor.zygote.holes import fill_holes

_MORE_LIVES = 8  # CPython adapts a function to what it is called with in the eighth call
_BEFORE_A_BOT = ("processsupervisor.launch", "processsupervisor.zygote", "processsupervisor.ipc.lines")
"""What runs between the fork and the bot, and in the zygote itself."""


def settle(folder: Path, *, is_native: bool) -> None:
    """Make the heap ready for forks; `folder` is made and removed again, by a zygote of native bots."""
    if is_native:
        try:
            _warm(folder)
        except Exception as err:  # noqa: BLE001 - what a bot's way of a message runs into, the bots will say themselves
            print(f"psv: the zygote could not warm up: {type(err).__name__}: {err}", file=sys.stderr)
    gc.collect()
    fill_holes()
    gc.freeze()
    heap.collapse()


def _warm(folder: Path) -> None:
    """Have a bot live and end here, bring the code that ran together, and have it adapted there."""
    warm = importlib.import_module(child.WARMING_MODULE).warm
    with Calls() as calls:
        warm(folder)
    fill_holes()
    gather([*calls.called.values()], _BEFORE_A_BOT)
    for _ in range(_MORE_LIVES):
        warm(folder)
