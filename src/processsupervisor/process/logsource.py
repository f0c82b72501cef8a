"""One generation's pair of FIFOs as logd reads them: opened O_RDWR, so that no writer's end is ever seen as the end.

Moves output into the streams in turns of at most TURN_BYTES a FIFO. When the files refuse, the output is read all the same,
thrown away and counted, so that no bot waits for a disk.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
import termios
from collections.abc import Callable

from processsupervisor.process.logindex import Gap
from processsupervisor.process.logmatch import LineMatcher, MatchFailed
from processsupervisor.process.segments import Stream

TURN_BYTES = 256 * 1024
FIFO_NAMES = ("out", "err")
_ENOUGH_BYTES = 16 * 1024
_DRAIN_BYTES = 2 << 20
_RESCAN_BYTES = 1 << 20

MakeRoom = Callable[[OSError], bool]
"""Asked when files refuse; True when something was freed and the same step should be tried again."""


class Source:
    """The pair (bot, generation); `streams` are shared with the bot's other generations."""

    __slots__ = ("_folder", "bot", "fifos", "generation", "matcher", "streams", "verdict")

    def __init__(self, bot: str, generation: int, folder: str, streams: tuple[Stream, Stream]) -> None:
        self.bot = bot
        self.generation = generation
        self.streams = streams
        self.fifos = [-1, -1]
        self.matcher: LineMatcher | None = None
        self.verdict: dict[str, object] | None = None
        """What the keeper was told about the ready pattern; told again to a keeper that asks again."""
        self._folder = folder

    def open(self) -> None:
        """Open both FIFOs; raises OSError and leaves both closed."""
        try:
            for which, name in enumerate(FIFO_NAMES):
                path = f"{self._folder}/{name}-{self.generation}"
                fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                self.fifos[which] = fifo
                if not stat.S_ISFIFO(os.fstat(fifo).st_mode):
                    raise OSError(f"{path} is not a FIFO")
        except OSError:
            self.close()
            raise

    def is_in_place(self) -> bool:
        """Tell whether the names still lead to the FIFOs that are open."""
        for which, name in enumerate(FIFO_NAMES):
            try:
                there, mine = os.stat(f"{self._folder}/{name}-{self.generation}"), os.fstat(self.fifos[which])
            except OSError:
                return False
            if (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev):
                return False
        return True

    def close(self) -> None:
        """Close both FIFOs."""
        for which, fifo in enumerate(self.fifos):
            if fifo >= 0:
                os.close(fifo)
            self.fifos[which] = -1

    def pump(self, which: int, make_room: MakeRoom) -> tuple[int, str | None]:
        """Take one turn's output of one FIFO; returns its bytes and the ready line, if it came.

        Raises MatchFailed after the bytes were taken; the caller lets go of the matcher.
        """
        total = 0
        while total < TURN_BYTES:
            try:
                moved, lost = self._take(which, TURN_BYTES - total, make_room)
            except BlockingIOError:
                break
            total += moved
            if self.matcher is not None:
                found = self.matcher.feed(which, lost or self._read_back(which, moved))
                if found is not None:
                    return total, found
            if moved < _ENOUGH_BYTES:
                # Most likely empty now; if not, epoll says so again, and that is cheaper than asking the FIFO.
                break
        return total, None

    def _read_back(self, which: int, count: int) -> bytes:
        """Return what was just stored, for the matcher; nothing from a disk that cannot be read: the bot is read on in any case."""
        try:
            return self.streams[which].read_back(count)
        except OSError:
            return b""

    def _take(self, which: int, most: int, make_room: MakeRoom) -> tuple[int, bytes]:
        stream, fifo = self.streams[which], self.fifos[which]
        try:
            return stream.take(fifo, most, self.generation), b""
        except BlockingIOError:
            raise
        except OSError as err:
            if make_room(err):
                with contextlib.suppress(BlockingIOError, OSError):
                    return stream.take(fifo, most, self.generation), b""
        lost = os.read(fifo, min(most, 65536))
        stream.lose(len(lost), Gap.DISK, self.generation)
        return len(lost), lost

    def waiting(self, which: int) -> int:
        """Return how many bytes are in one FIFO."""
        count = array.array("i", [0])
        fcntl.ioctl(self.fifos[which], termios.FIONREAD, count)
        return count[0]

    def drain(self, make_room: MakeRoom) -> str | None:
        """Take all that is in the FIFOs now (a descendant that goes on writing is not waited for); returns the ready line."""
        found = None
        for which in (0, 1):
            left = _DRAIN_BYTES
            while left > 0 and self.waiting(which):
                try:
                    moved, line = self.pump(which, make_room)
                except MatchFailed:
                    self.matcher, moved, line = None, 1, None
                found = found or line
                left -= max(moved, 1)
        return found

    def rescan(self) -> str | None:
        """Judge what an earlier logd stored of this generation: it may have died between storing and telling."""
        if self.matcher is None:
            return None
        for which, stream in enumerate(self.streams):
            with contextlib.suppress(OSError):
                offset = stream.start_offset(self.generation)
                if offset is not None:
                    found = self.matcher.feed(which, stream.read_from(offset, _RESCAN_BYTES))
                    if found is not None:
                        return found
        return None
