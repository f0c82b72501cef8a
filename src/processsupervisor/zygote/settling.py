"""From libraries that are loaded to a heap that is forked: what bots would each write into it is written before, and lies together.

Every step is for memory alone, and measured in docs/decisions/0016. Without one of them everything works, and takes more.
"""

from __future__ import annotations

import gc
import importlib
import shutil
import sys
from pathlib import Path

from processsupervisor.zygote import child, heap
from processsupervisor.zygote.gathering import Calls, gather
from processsupervisor.zygote.holes import fill_holes
from processsupervisor.zygote.moving import move

_MORE_LIVES = 8  # CPython adapts a function to what it is called with in the eighth call
_BEFORE_A_BOT = ("processsupervisor.launch", "processsupervisor.zygote", "processsupervisor.ipc.lines")
"""What runs between the fork and the bot, and in the zygote itself."""
_ASYNCIO = "asyncio/base_events.py", "asyncio/selector_events.py", "asyncio/unix_events.py", "/selectors.py"
_IN_NO_BOT = ("bot/warming.py", "/shutil.py", *_ASYNCIO)
"""Files of functions that only the zygote calls, whose loop is asyncio's, where a bot's is uvloop's."""


def settle(folder: Path, *, is_native: bool) -> None:
    """Make the heap ready for forks; `folder` is made and removed again, by a zygote of native bots."""
    if is_native:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _warm(folder)
        except Exception as err:  # noqa: BLE001 - what a bot's way of a message runs into, the bots will say themselves
            print(f"psv: the zygote could not warm up: {type(err).__name__}: {err}", file=sys.stderr)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    gc.collect()
    fill_holes()
    gc.freeze()
    heap.collapse()


def _warm(folder: Path) -> None:
    """Have a bot live and end here, bring what ran together, and have it adapted there."""
    warm = importlib.import_module(child.WARMING_MODULE).warm
    with Calls() as calls:
        warm(folder, 0)
    gc.collect()  # also classes that a dataclass with slots has taken the place of: they hold its functions
    fill_holes()
    left_out = _IN_NO_BOT if "uvloop" in sys.modules else ()
    move(gather([code for code in calls.called.values() if not code.co_filename.endswith(left_out)], _BEFORE_A_BOT))
    gc.freeze()  # nothing of it need be looked through again
    for life in range(1, _MORE_LIVES):
        warm(folder, life)
    _forget_lookups()
    warm(folder, _MORE_LIVES)


def _forget_lookups() -> None:
    """Empty the cache of lookups in classes of what the imports left in it.

    A lookup that takes the place of another writes into the name which that one was of, wherever it lies. 3.12 writes nothing there.
    """
    if sys.version_info < (3, 12):
        sys._clear_type_cache()
