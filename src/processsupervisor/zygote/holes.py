"""Filling what is free between the objects of a zygote, so that what comes later lies together on fresh pages.

A page is copied for a bot as soon as one word of it is written. Free places are spread over all pages of the heap, and both CPython's
allocator and the C library's hand these out first. What fills them is never freed and never written again. A block that comes with a pool
of its own, or from the end of the heap, says that no free place of its size is left; where allocators work otherwise little is taken.
"""

from __future__ import annotations

import ctypes

_POOL = 1 << 14  # CPython's allocator gives each size pools of 16 KB, each with a head of 48 bytes (Objects/obmalloc.c)
_POOL_HEAD = 48
_BYTES_HEAD = 33  # of a bytes object
_MOST_BYTES = 2 << 20  # of one size: an allocator that works otherwise is left alone behind that
_LARGE = 120_000  # below what the C library gets from the kernel for itself
_kept: list[list[bytes]] = []


def fill_holes() -> None:
    """Fill them, before the freeze."""
    for size in range(48, 513, 16):  # smaller ones are not to be had as bytes, and are few
        _fill_pools(size)
    _fill_heap()


def _fill_pools(size: int) -> None:
    """Take blocks of `size` until a whole pool was free, and give that one back."""
    pool = (_POOL - _POOL_HEAD) // size
    taken: list[bytes] = []
    in_row, expected = 0, -1
    for _ in range(_MOST_BYTES // size):
        block = bytes(size - _BYTES_HEAD)
        taken.append(block)
        is_next = in_row and id(block) == expected
        in_row = 1 if id(block) % _POOL == _POOL_HEAD else in_row + 1 if is_next else 0
        if in_row == pool:
            del block, taken[-pool:]
            _kept.append(taken)
            return
        expected = id(block) + size


def _fill_heap() -> None:
    """Take blocks of all sizes, large ones first, until each comes from the end of the heap: then it fits nowhere else."""
    libc = ctypes.CDLL(None)
    malloc, free = libc.malloc, libc.free
    malloc.restype, malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    free.restype, free.argtypes = None, (ctypes.c_void_p,)
    end = before = 0
    for _ in range(_MOST_BYTES // _LARGE):
        address = malloc(_LARGE - 8) or 0
        if address == before + _LARGE:
            end = before
            free(address)
            free(before)
            break
        before = address
    for size in (*range(1 << 15, 2048, -512), *range(2048, 0, -16)):
        for _ in range(_MOST_BYTES // size):
            address = malloc(size - 8) or 0
            if address >= end:
                free(address)
                break
