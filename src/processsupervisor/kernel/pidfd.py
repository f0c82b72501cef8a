"""How a process ended that is nobody's child here: its wait status from a zombie's /proc entry, or from a pidfd after the reaping.

Only the parent can wait for a process. The keeper does that and journals it; this is for the exits that no keeper of ours
collected. Both sources are the kernel's own record, nothing is guessed: without one of them the answer is None.
"""

from __future__ import annotations

import os
import struct

from processsupervisor.kernel.identity import Identity, read_fields

# struct pidfd_info, first version: mask, cgroupid, eleven numbers about who it is, exit_code (linux/pidfd.h, PIDFD_INFO_SIZE_VER0).
_INFO = struct.Struct("=QQ11Ii")
_INFO_EXIT = 1 << 3  # answered since Linux 6.15, and only when the process has been reaped
_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
_STATE, _START_TICKS, _EXIT_CODE = 0, 19, 49


def exit_status(descriptor: int, identity: Identity) -> int | None:
    """Return the wait(2) status of a process that has ended, named by its open pidfd (or -1); None when it is not to be had.

    The zombie is asked first: it may be reaped between the two questions, but it cannot come back in between.
    """
    found = _status_of_zombie(identity)
    return found if found is not None else _status_of_reaped(descriptor)


def _status_of_zombie(identity: Identity) -> int | None:
    fields = read_fields(identity.pid)
    if fields is None or len(fields) <= _EXIT_CODE or fields[_STATE] != b"Z" or int(fields[_START_TICKS]) != identity.start_ticks:
        return None
    status = int(fields[_EXIT_CODE])
    if status == 0 and not _is_mine(identity.pid):
        return None  # proc(5): who may not look is shown a zero
    return status


def _is_mine(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def _status_of_reaped(descriptor: int) -> int | None:
    import fcntl

    if descriptor < 0:
        return None
    answer = bytearray(_INFO.size)
    _INFO.pack_into(answer, 0, _INFO_EXIT, *[0] * 13)
    try:
        fcntl.ioctl(descriptor, _GET_INFO, answer)
    except OSError:
        return None  # ENOTTY: an older kernel; ESRCH: reaped, and the kernel keeps no status
    mask, *_, status = _INFO.unpack(answer)
    return int(status) if mask & _INFO_EXIT else None
