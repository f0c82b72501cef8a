"""The heap of a zygote is in huge pages where the kernel can do that, and unharmed in any case."""

from __future__ import annotations

import json
import subprocess
import sys

_CODE = """
import ctypes, hashlib, json, mmap, re
from processsupervisor.zygote import heap

blocks = [bytes([n % 256]) * 50_000 for n in range(400)]
digest = hashlib.sha256(b"".join(blocks)).hexdigest()
probe = mmap.mmap(-1, 4 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
probe[:] = b"x" * len(probe)
address = ctypes.addressof(ctypes.c_char.from_buffer(probe))
start = -(-address >> 21) << 21
can = ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(1 << 21), 25) == 0

def huge():
    return int(re.search(r"AnonHugePages: +(\\d+)", open("/proc/self/smaps_rollup").read()).group(1))

before = huge()
heap.collapse()
after = huge()
same = hashlib.sha256(b"".join(blocks)).hexdigest() == digest and probe[:] == b"x" * len(probe)
print(json.dumps([can, before, after, same]))
"""


def test_the_heap_is_collapsed_into_huge_pages_and_keeps_its_content() -> None:
    """Measured by the kernel's own count."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True, timeout=60)
    can, before, after, same = json.loads(done.stdout)
    assert same
    assert after > before or not can, "a kernel before 6.1 collapses no memory on request"
