"""The event loop of a bot keeps no memory that it does not use, and works."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import asyncio, re, socket
from processsupervisor.bot.loop import new_event_loop

def own():
    return int(re.search(r"Private_Dirty: +(\\d+)", open("/proc/self/smaps_rollup").read()).group(1))

async def talk():
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    reader, kept = await asyncio.open_connection(sock=one)
    unread, writer = await asyncio.open_connection(sock=other)
    writer.write(b"x" * 1_000_000)
    writer.close()
    assert await reader.read() == b"x" * 1_000_000

for _ in range(2):  # the first one loads and adapts
    before = own()
    loop = new_event_loop()
    grown = own() - before
loop.run_until_complete(talk())
print(grown)
"""


def test_a_new_loop_keeps_its_buffer_unwritten_and_reads_into_it() -> None:
    """By the kernel's count; a megabyte goes through it afterwards."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr
    assert int(done.stdout) < 128  # KB; the buffer alone is 250
