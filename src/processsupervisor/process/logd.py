"""logd: moves what every bot writes into log files. `boot.py processsupervisor.process.logd FOLDER`.

One thread, one epoll, no timers while nothing happens. The keeper says over keeper.sock which FIFOs to read; the FIFOs
outlive logd, so killing it loses and repeats nothing. Lines are looked at only for a ready pattern; framing and redaction
are the readers' work (logview, compact). Standard library only; `regex` once a pattern needs it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
from collections import OrderedDict
from typing import Any

from processsupervisor.kernel.anchor import Anchor
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import LockHeld, PsvError
from processsupervisor.kernel.files import hold_role_lock
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.observe.logging import log
from processsupervisor.process.compactor import Compactor
from processsupervisor.process.logindex import STREAMS, Gap
from processsupervisor.process.loglimits import Limits
from processsupervisor.process.loglink import KeeperLink
from processsupervisor.process.logmatch import LineMatcher, MatchFailed, shown_match
from processsupervisor.process.logsource import FIFO_NAMES, Source
from processsupervisor.process.segments import Stream

_MOST_OPEN_STREAMS = 256
_CHECK_EVERY_S = 30.0
_FULL_AGAIN_S = 1.0
_REOPEN_EVERY_S = 1.0


class Logd:
    """All streams and sources of one fleet; `run` returns the exit status."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        paths.ensure()
        self._anchor = Anchor(paths.logs / "bots")
        self._folder = self._anchor.path
        log.open("logd", paths.own_logs / "logd.log", "info")
        self._epoll = select.epoll()
        self._link = KeeperLink(paths, self._epoll)
        self._streams: dict[tuple[str, str], Stream] = {}
        self._open_streams: OrderedDict[tuple[str, str], Stream] = OrderedDict()
        self._sources: dict[tuple[str, int], Source] = {}
        self._by_fifo: dict[int, tuple[Source, int]] = {}
        self._unopened: set[tuple[str, int]] = set()
        self._limits = Limits(self._folder, self._on_dropped, self._close_active)
        self._compactor = Compactor(self._folder, str(paths.folder))
        self._check_at: float | None = mono() + _CHECK_EVERY_S
        self._reopen_at: float | None = None
        self._full_until = 0.0
        self._is_stopping = False

    def open(self) -> None:
        """Take the lock and prepare; raises LockHeld when another logd serves this fleet."""
        self._lock = hold_role_lock(self._paths.role_lock("logd"), f"logd pid {os.getpid()}")
        with contextlib.suppress(OSError, ValueError):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._wake, writing = socket.socketpair()
        for end in (self._wake, writing):
            end.setblocking(False)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self._wake_writing = writing
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._epoll.register(self._wake.fileno(), select.EPOLLIN)

    def run(self) -> int:
        """Serve until told to stop; what is in the FIFOs then is stored first."""
        log.info("logd runs", folder=str(self._paths.folder))
        self._compactor.add_all()
        while not self._is_stopping:
            for descriptor, events in self._epoll.poll(self._patience_s()):
                entry = self._by_fifo.get(descriptor)
                if entry is not None:
                    self._pump(*entry)
                elif descriptor == self._link.descriptor:
                    self._serve(events)
                elif descriptor == self._compactor.pidfd:
                    self._on_compacted()
                elif descriptor == self._wake.fileno():
                    self._is_stopping = True
            self._on_time()
        return self._finish()

    # -- time

    def _patience_s(self) -> float | None:
        times = [self._check_at, self._reopen_at, self._link.connect_at]
        soonest = min((t for t in times if t is not None), default=None)
        return None if soonest is None else max(0.0, soonest - mono())

    def _on_time(self) -> None:
        now = mono()
        if self._link.connect_at is not None and now >= self._link.connect_at:
            self._link.connect()
        if self._reopen_at is not None and now >= self._reopen_at:
            self._reopen_at = None
            for key in list(self._unopened):
                self._open_source(self._sources[key])
        if self._check_at is not None and now >= self._check_at:
            # Only output, or a child at work, makes another check worth while: an idle fleet costs nothing.
            self._check_at = now + _CHECK_EVERY_S if self._compactor.pidfd >= 0 else None
            self._limits.check()
            self._compactor.kill_stuck()
        if self._compactor.pidfd < 0 and self._compactor.start():
            self._epoll.register(self._compactor.pidfd, select.EPOLLIN)
            self._check_at = self._check_at or now + _CHECK_EVERY_S

    def _on_compacted(self) -> None:
        self._epoll.unregister(self._compactor.pidfd)
        self._compactor.reap()

    # -- the keeper

    def _serve(self, events: int) -> None:
        for message in self._link.serve(events):
            try:
                self._perform(message)
            except (KeyError, TypeError, ValueError) as err:
                log.error("message of the keeper not understood", error=repr(err))

    def _perform(self, message: dict[str, Any]) -> None:
        match message.get("op"):
            case "open":
                self._on_open(message)
            case "drain":
                self._on_drain(str(message["bot"]), int(message["generation"]))
            case "pid":
                source = self._sources.get((str(message["bot"]), int(message["generation"])))
                if source is not None and message["pid"]:
                    self._set_pid(source, int(message["pid"]))
            case "limits":
                self._limits.total_bytes = int(message["total_bytes"])
                self._limits.disk_free_percent = float(message["disk_free_percent"])
                self._check_at = mono()
            case "ping":
                self._link.tell({"op": "pong", "n": message.get("n")})
            case "stop":
                self._is_stopping = True
            case other:
                log.warning("unknown message of the keeper", op=str(other))

    def _on_open(self, message: dict[str, Any]) -> None:
        bot, generation = str(message["bot"]), int(message["generation"])
        logs = message["logs"]
        streams = tuple(self._stream(bot, name, int(logs["max_bytes"]), int(logs["keep"])) for name in STREAMS)
        source = self._sources.get((bot, generation))
        if source is not None and source.fifos[0] >= 0 and not source.is_in_place():
            self._forget(source)
            source = None
        if source is not None and source.verdict is not None:
            self._link.tell(source.verdict)
        if source is None:
            source = self._sources[bot, generation] = Source(bot, generation, str(message["dir"]), (streams[0], streams[1]))
            if message.get("ready_log"):
                self._begin_match(source, str(message["ready_log"]))
        for which, name in enumerate(FIFO_NAMES):
            lost = int((message.get("dropped") or {}).get(name, 0))
            if lost:
                source.streams[which].lose(lost, Gap.NO_READER, generation)
        if message.get("pid"):
            self._set_pid(source, int(message["pid"]))
        if source.fifos[0] < 0:
            self._open_source(source)

    def _stream(self, bot: str, name: str, max_bytes: int, keep: int) -> Stream:
        stream = self._streams.get((bot, name))
        if stream is None:
            stream = self._streams[bot, name] = Stream(f"{self._folder}/{bot}", name, max_bytes, keep)
        stream.max_bytes, stream.keep = max(max_bytes, 1), max(keep, 0)
        return stream

    def _open_source(self, source: Source) -> None:
        key = source.bot, source.generation
        try:
            source.open()
        except OSError as err:
            if key not in self._unopened:
                log.error("cannot open the FIFOs of a bot", bot=source.bot, generation=source.generation, error=str(err))
            self._unopened.add(key)
            self._reopen_at = mono() + _REOPEN_EVERY_S
            return
        self._unopened.discard(key)
        for which, fifo in enumerate(source.fifos):
            self._by_fifo[fifo] = source, which
            self._epoll.register(fifo, select.EPOLLIN)

    def _set_pid(self, source: Source, pid: int) -> None:
        for stream in source.streams:
            stream.set_pid(source.generation, pid)
            self._use(source.bot, stream)

    def _on_drain(self, bot: str, generation: int) -> None:
        source = self._sources.get((bot, generation))
        if source is not None:
            if source.fifos[0] >= 0:
                self._on_match(source, source.drain(self._make_room))
                self._note_output(bot)
            for stream in source.streams:
                stream.end(generation)
                self._use(bot, stream)
            self._forget(source)
        self._link.tell({"op": "drained", "bot": bot, "generation": generation})

    def _forget(self, source: Source) -> None:
        for fifo in source.fifos:
            if fifo >= 0:
                self._epoll.unregister(fifo)
                del self._by_fifo[fifo]
        source.close()
        self._unopened.discard((source.bot, source.generation))
        self._sources.pop((source.bot, source.generation), None)

    # -- output

    def _pump(self, source: Source, which: int) -> None:
        stream = source.streams[which]
        segments = stream.number
        try:
            _, found = source.pump(which, self._make_room)
        except MatchFailed as err:
            self._on_match_failed(source, err)
        except OSError as err:
            # Nothing a FIFO that we hold open does; should it happen all the same, the loop must not spin on it.
            log.error("cannot read a FIFO", bot=source.bot, error=str(err))
            self._forget(source)
        else:
            self._on_match(source, found)
        self._use(source.bot, stream)
        self._note_output(source.bot)
        if stream.number != segments:
            self._compactor.add_folder(source.bot)
            self._check_at = min(self._check_at or mono() + 1.0, mono() + 1.0)

    def _note_output(self, bot: str) -> None:
        self._limits.dirty.add(bot)
        if self._check_at is None:
            self._check_at = mono() + _CHECK_EVERY_S

    def _use(self, bot: str, stream: Stream) -> None:
        """Keep the files of the streams used last open, and close the one not used for longest past the limit."""
        key = bot, stream.name
        if not stream.is_open:
            return
        self._open_streams[key] = stream
        self._open_streams.move_to_end(key)
        if len(self._open_streams) > _MOST_OPEN_STREAMS:
            self._open_streams.popitem(last=False)[1].close()

    def _make_room(self, err: OSError) -> bool:
        """Try to make room once files refused; nothing is tried again within a second of having found nothing."""
        now = mono()
        if now < self._full_until:
            return False
        with contextlib.suppress(OSError):
            self._anchor.renew()
        if self._limits.free_some():
            return True
        self._full_until = now + _FULL_AGAIN_S
        log.warning("output is dropped, its log cannot be written", error=str(err))
        return False

    def _on_dropped(self, bot: str, stream_name: str, number: int, size: int) -> None:
        stream = self._streams.get((bot, stream_name))
        if stream is not None:
            if number in stream.closed:
                stream.closed.remove(number)
            stream.lose(size, Gap.LIMIT, 0)
            self._use(bot, stream)

    def _close_active(self, bot: str, stream_name: str) -> bool:
        stream = self._streams.get((bot, stream_name)) or Stream(f"{self._folder}/{bot}", stream_name, 1 << 62, 1 << 30)
        try:
            stream.rotate()
        except OSError:
            return False
        return True

    # -- ready patterns

    def _begin_match(self, source: Source, text: str) -> None:
        source.matcher = LineMatcher(text)
        try:
            source.matcher.check()
            self._on_match(source, source.rescan())
        except MatchFailed as err:
            self._on_match_failed(source, err)
        for stream in source.streams:
            self._use(source.bot, stream)

    def _on_match(self, source: Source, line: str | None) -> None:
        if line is not None and source.matcher is not None:
            source.matcher = None
            self._decide(source, {"op": "matched", "line": shown_match(self._paths, source.bot, line)})

    def _on_match_failed(self, source: Source, err: MatchFailed) -> None:
        source.matcher = None
        self._decide(source, {"op": "match-error", "message": str(err)})

    def _decide(self, source: Source, verdict: dict[str, object]) -> None:
        source.verdict = verdict | {"bot": source.bot, "generation": source.generation}
        self._link.tell(source.verdict)

    # -- the end

    def _finish(self) -> int:
        for source in list(self._sources.values()):
            if source.fifos[0] >= 0:
                with contextlib.suppress(OSError):
                    self._on_match(source, source.drain(self._make_room))
                for stream in source.streams:
                    self._use(source.bot, stream)
        self._compactor.kill()
        for stream in self._open_streams.values():
            stream.close()
        log.info("logd ends")
        return 0


def main(argv: list[str]) -> int:
    """Serve the fleet in folder `argv[0]`."""
    try:
        logd = Logd(FleetPaths(argv[0]))
        logd.open()
    except LockHeld as err:
        print(f"psv: logd runs already: {err.message}", file=sys.stderr)
        return 0
    except (PsvError, OSError) as err:
        print(f"psv: logd cannot start: {err}", file=sys.stderr)
        return 1
    return logd.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
