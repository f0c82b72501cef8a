"""The event loop of a bot: uvloop's where it is installed, without the quarter of a megabyte that it keeps for what it reads."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import sys

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

_PAGE = mmap.PAGESIZE
_ZEROS = bytes(_PAGE)
_MADV_DONTNEED = 4
if sys.platform == "linux":  # made here, so that no bot makes it
    _madvise = ctypes.PyDLL(None).madvise
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop, which is not set."""
    if uvloop is None:
        return asyncio.new_event_loop()
    loop = uvloop.new_event_loop()
    give_back(id(loop), type(loop).__basicsize__)
    return loop


def give_back(address: int, size: int) -> None:
    """Give the pages of an object that hold nothing but zeros back to the kernel, which gives zeros again when one is touched.

    uvloop's Loop holds its buffer for reading, 256 KB, in itself, and all of an object is written with zeros when it is made.
    What a bot reads at once is mostly less than a page.
    """
    if sys.platform != "linux":
        return
    for at in range(-(-address // _PAGE) * _PAGE, address + size - _PAGE + 1, _PAGE):
        if ctypes.string_at(at, _PAGE) == _ZEROS:
            _madvise(at, _PAGE, _MADV_DONTNEED)
