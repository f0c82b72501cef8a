"""Read the logs of bots: several bots and both streams merged by time, chosen by age, count or pattern, followed.

Runs in the client's process and needs no daemon; standard library only. Lines come redacted and safe for a terminal.
How bytes become lines is logreader's and logframe's.
"""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logindex import STREAMS
from processsupervisor.process.logreader import LogLine, StreamReader, Style

__all__ = ["LogLine", "read", "tail_lines"]

_TAIL_BYTES = 64 * 1024
_POLL_S, _POLL_MANY_S = 0.1, 0.25
_MANY_READERS = 100


def read(
    paths: FleetPaths,
    bots: Sequence[str],
    *,
    since_s: float | None = None,
    tail: int | None = None,
    grep: str | None = None,
    generation: int | None = None,
    follow: bool = False,
    colour: bool = False,
    secrets: Sequence[str] = (),
) -> Iterator[LogLine]:
    """Yield the log lines of `bots` in the order of time.

    `since_s`: only lines not older than that; `tail`: at most that many a bot, the newest; `grep`: a regular expression
    (gaps are shown all the same); `generation`: only its lines; `follow`: then go on for ever with what comes, from bots
    without a log too. Without `follow` it ends with what was stored when it was called. Raises UsageError for a bad pattern, at the call.
    """
    chosen = _chooser(grep, generation)
    chunk = 256 * 1024 if len(bots) <= 8 else 16 * 1024
    style = Style(colour, tuple(secrets), chunk)
    since_at = None if since_s is None else time.time() - since_s
    return _read(paths, list(dict.fromkeys(bots)), style, since_at, tail, chosen, follow)


def _read(
    paths: FleetPaths,
    bots: list[str],
    style: Style,
    since_at: float | None,
    tail: int | None,
    chosen: Callable[[LogLine], bool],
    follow: bool,
) -> Iterator[LogLine]:
    _raise_open_files(len(bots))
    by_bot = {bot: [StreamReader(str(paths.bot_logs(bot)), bot, stream, style) for stream in STREAMS] for bot in bots}
    readers = [reader for pair in by_bot.values() for reader in pair]
    try:
        for reader in readers:
            reader.stop_at_present_end()
            if since_at is not None:
                reader.begin_since(since_at)
            elif tail is not None and chosen is _every:
                reader.begin_lines_back(tail)
        histories = [_history(pair, tail, chosen, follow) for pair in by_bot.values()]
        for line in heapq.merge(*histories, key=_time):
            if since_at is None or line.time >= since_at:
                yield line
        if follow:
            yield from _follow(readers, chosen)
    finally:
        for reader in readers:
            reader.close()


def _history(pair: list[StreamReader], tail: int | None, chosen: Callable[[LogLine], bool], follow: bool) -> Iterator[LogLine]:
    """Yield one bot's stored lines; a line without an end stays with its reader when it will be followed."""
    merged: Iterable[LogLine] = filter(chosen, heapq.merge(*(_lines(reader, follow) for reader in pair), key=_time))
    return iter(merged if tail is None else _Last(merged, tail))


class _Last:
    """The last `count` of some lines, found when first asked for."""

    def __init__(self, lines: Iterable[LogLine], count: int) -> None:
        self._lines, self._count = lines, count

    def __iter__(self) -> Iterator[LogLine]:
        yield from deque(self._lines, maxlen=max(self._count, 0))


def _lines(reader: StreamReader, follow: bool) -> Iterator[LogLine]:
    while batch := reader.read_batch():
        yield from batch
    if not follow:
        yield from reader.flush()


def _follow(readers: list[StreamReader], chosen: Callable[[LogLine], bool]) -> Iterator[LogLine]:
    poll_s = _POLL_S if len(readers) <= _MANY_READERS else _POLL_MANY_S
    for reader in readers:
        reader.go_on()
    while True:
        lines: list[LogLine] = []
        for reader in readers:
            # One batch each a round, so that a flooding bot neither hides the others nor fills the memory.
            lines.extend(reader.read_batch())
        if lines:
            lines.sort(key=_time)
            yield from filter(chosen, lines)
        else:
            time.sleep(poll_s)


def _time(line: LogLine) -> float:
    return line.time


def _every(_: LogLine) -> bool:
    return True


def _chooser(grep: str | None, generation: int | None) -> Callable[[LogLine], bool]:
    if generation is not None:
        by_pattern = _chooser(grep, None)
        return lambda line: line.generation == generation and by_pattern(line)
    if grep is None:
        return _every
    try:
        pattern = re.compile(grep)
    except re.error as err:
        raise UsageError(f'found --grep "{grep}", expected a regular expression: {err}') from err
    return lambda line: line.is_gap or pattern.search(line.text) is not None


def _raise_open_files(bots: int) -> None:
    """Allow the four descriptors that each bot may need here."""
    if bots <= _MANY_READERS:
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bots * 4 + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def tail_lines(paths: FleetPaths, bot: str, generation: int, count: int) -> list[str]:
    """Return the last `count` lines of one generation, both streams by time, out of the last 64 KiB of each.

    For exit records; call it once logd has drained the generation. Never raises for want of a log.
    """
    folder = str(paths.bot_logs(bot))
    found: list[LogLine] = []
    for stream in STREAMS:
        reader = StreamReader(folder, bot, stream, Style())
        try:
            reader.stop_at_present_end()
            reader.begin_bytes_back(_TAIL_BYTES)
            found.extend(line for line in _lines(reader, follow=False) if line.generation == generation)
        except OSError:
            continue
        finally:
            reader.close()
    found.sort(key=_time)
    return [line.text for line in found[-count:]] if count > 0 else []
