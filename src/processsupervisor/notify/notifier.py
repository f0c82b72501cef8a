"""The notifier's loop: follow psvd, answer the keeper, notice when either is away, send what is due, tell that all is well.

One thread, no waiting but in the selector, and a second at most for psvd's answer when a message is made; what is sent is sent by
processes of its own. It may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Sequence

from processsupervisor.config.applied import read_applied
from processsupervisor.config.spec import Applied, NotifySpec
from processsupervisor.ipc.presence import Presence
from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.causes import Causes, Event, Notice, Until
from processsupervisor.notify.couriers import Courier, Couriers
from processsupervisor.notify.desk import Desk
from processsupervisor.notify.job import Job, Result
from processsupervisor.notify.psvdlink import PsvdLink
from processsupervisor.notify.queue import Queue, Waiting
from processsupervisor.notify.space import space_of
from processsupervisor.notify.troubles import Troubles
from processsupervisor.observe.logging import log

_SPACE_EVERY_S = 60.0
_PING_EVERY_S = 5.0
_KEEPER_SILENT_S = 10.0
_STALLED_S = 2.0
_BUSY_S = 0.2
_IDLE_S = 2.0
_LAST_WORDS_S = 1.5
_UNWELL = ("FAILED", "UNKNOWN")

Errand = Waiting | str
"""What a sending process is under way for: a message, or the heartbeat of the channel of that name."""


def _facts_of(applied: Applied) -> tuple[dict[str, float], set[str]]:
    """Return each bot's `stable_after`, and the bots that are left alone when they are unhealthy."""
    stable_after = {bot["name"]: bot["restart"]["stable_after_s"] for bot in applied["bots"]}
    return stable_after, {bot["name"] for bot in applied["bots"] if (health := bot.get("health")) and health["action"] == "none"}


def _known_of(applied: Applied) -> tuple[object, ...]:
    """Return all that a notifier goes by."""
    fleet = applied["fleet"]
    return applied.get("notify"), fleet["name"], fleet["disk_free_percent"], _facts_of(applied)


class Notifier:
    """One fleet's notifier; `begun` is the number of the event after which to begin when none was dealt with before."""

    def __init__(self, paths: FleetPaths, applied: Applied, begun: str) -> None:
        channels = applied.get("notify", [])
        queue = Queue(paths.data / "notify.db")
        stable_after, unhealthy_only = _facts_of(applied)
        self._paths = paths
        self._applied = applied
        self._queue = queue
        self._desk = Desk(paths, applied["fleet"]["name"], channels, queue, Causes(unhealthy_only), Troubles(queue, stable_after))
        self._selector = selectors.DefaultSelector()
        self._couriers: Couriers[str] = Couriers(paths, self._selector)
        self._errands: dict[str, Errand] = {}
        shortest_s = min((c["away_s"] for c in channels), default=_IDLE_S * 3) / 3
        self._psvd = PsvdLink(paths, min(_PING_EVERY_S, shortest_s))
        self._presence = Presence(paths, "notify")
        self._keeper_mono = mono()
        if queue.cursor is None:
            queue.change(lambda: queue.move(int(begun), ""))  # another psvd would say another number
        self._after = queue.cursor or begun
        self._read_again = ""
        self._free_percent = applied["fleet"]["disk_free_percent"]
        self._space_mono = 0.0
        self._beats = {c["name"]: mono() for c in channels if c["heartbeat"]}
        self._away: dict[Until, set[str]] = {Until.PSVD: set(), Until.KEEPER: set()}
        self._is_down = self._is_stopped = False
        self._idle_s = min(_IDLE_S, shortest_s)
        self._turned_mono = mono()
        self._noted: list[str] | None = None
        self._wake, self._wake_writing = socket.socketpair()

    def run(self) -> None:
        """Serve until SIGTERM."""
        for end in (self._wake, self._wake_writing):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writing.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._selector.register(self._wake, selectors.EVENT_READ)
        if self._presence.fileno() >= 0:
            self._selector.register(self._presence, selectors.EVENT_READ)
        while not self._is_stopped:
            due_s = self._queue.next_due_s()
            self._turn(self._idle_s if due_s is None else max(_BUSY_S, min(due_s, self._idle_s)))
        deadline = mono() + _LAST_WORDS_S
        while self._couriers.keys and mono() < deadline:
            self._listen(0.1)
        self._couriers.close()
        self._queue.close()

    def _turn(self, patience_s: float) -> None:
        self._listen(patience_s)
        if mono() - self._turned_mono > patience_s + _STALLED_S:
            self._keeper_mono = self._psvd.heard_mono = mono()  # this process was stopped: nobody could have been heard
        self._turned_mono = mono()
        if self._psvd.tick(self._after):
            self._selector.register(self._psvd, selectors.EVENT_READ)
        if not self._is_down:
            self._look_for(Until.PSVD, mono() - self._psvd.heard_mono, 0.0)
            self._look_for(Until.KEEPER, mono() - self._keeper_mono, _KEEPER_SILENT_S if self._presence.fileno() >= 0 else 0.0)
        self._look_at_space()
        self._beat()
        self._send()
        self._note()

    def _listen(self, patience_s: float) -> None:
        for key, _ in self._selector.select(patience_s):
            if key.fileobj is self._wake:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
                self._is_stopped = True
            elif key.fileobj is self._presence:
                self._hear_keeper()
            elif key.fileobj is self._psvd:
                self._hear_psvd()
            elif isinstance(key.data, Courier) and (result := self._couriers.read(key.data)) is not None:
                self._take_result(key.data.key, result)
        for name, result in self._couriers.late():
            self._take_result(name, result)

    # -- psvd and keeper

    def _hear_psvd(self) -> None:
        events = self._psvd.read()
        if events is None:
            self._selector.unregister(self._psvd)
            self._psvd.drop()
            return
        if self._psvd.is_back:
            self._psvd.is_back = False
            self._ends(Until.PSVD)
            self._is_stopped = self._is_stopped or self._is_outdated()
        lost = next((number for number, event in enumerate(events) if event.get("kind") == "lost"), len(events))
        self._take(events[:lost])
        if lost == len(events):
            return
        if self._read_again != self._after:  # psvd had too much to tell at once, and has it on disk: begin behind what was told
            self._read_again = self._after
            self._selector.unregister(self._psvd)
            self._psvd.drop()
        else:  # it is not there any more
            self._take(events[lost:])

    def _take(self, events: Sequence[Event]) -> None:
        self._desk.take(events, self._psvd.life)
        for event in events:
            self._after = f"{event.get('seq', self._after.partition('-')[0])}-{self._psvd.life}"
            if event.get("kind") in ("down", "psvd"):
                self._is_down = event["kind"] == "down"
            elif event.get("kind") == "config-change" and event.get("step") == "end":
                self._is_stopped = self._is_stopped or self._is_outdated()

    def _is_outdated(self) -> bool:
        """Tell whether psvd runs by other settings than this process knows; it starts another one then."""
        try:
            applied = read_applied(self._paths)
        except PsvError:
            return False
        return _known_of(applied) != _known_of(self._applied)

    def _hear_keeper(self) -> None:
        descriptor = self._presence.fileno()
        if self._presence.serve():
            self._keeper_mono = mono()
            self._ends(Until.KEEPER)
            return
        self._selector.unregister(descriptor)
        self._presence.close()

    def _look_for(self, who: Until, gone_s: float, at_least_s: float) -> None:
        """Tell every channel once that psvd or the keeper has been away for too long."""
        told = self._away[who]
        if not told and self._desk.is_open(who):
            told.update(self._desk.channels)  # an earlier notifier has told it
        late = [name for name, c in self._desk.channels.items() if gone_s > max(c["away_s"], at_least_s) and name not in told]
        if late:
            words = "nothing is supervised" if who is Until.PSVD else "nothing is started; psv up brings a new one"
            text = f"{who} has given no answer for {gone_s:.0f} s: bots go on, {words}"
            log.error("an own process is away", who=str(who), seconds=round(gone_s))
            told.update(late)
            self._desk.begins(Notice(str(who), "", text, wall(), who), late, gone_s)

    def _ends(self, who: Until) -> None:
        told, self._away[who] = self._away[who], set()
        self._desk.ends(who, told or None)

    # -- disk and heartbeat

    def _look_at_space(self) -> None:
        if mono() < self._space_mono:
            return
        self._space_mono = mono() + _SPACE_EVERY_S
        try:
            space = space_of(self._paths.data)
        except OSError:
            return
        if space.free_percent >= self._free_percent:
            self._desk.ends(Until.SPACE)
        elif not self._desk.is_open(Until.SPACE):
            text = f"{space.words}, disk_free_percent is {self._free_percent:g}: the oldest log lines are dropped"
            self._desk.begins(Notice("disk", "", text, wall(), Until.SPACE))

    def _beat(self) -> None:
        """Ask how the fleet does when a heartbeat is due, and send it when the answer is good: silence is what raises the alarm."""
        due = [name for name, at in self._beats.items() if at <= mono()]
        status = self._psvd.take_status()
        if status is not None and not self._is_down and self._is_well(status):
            for name in due:
                address = self._desk.channels[name]["heartbeat"]
                self._begin(f"heartbeat {name}", name, {**self._job(self._desk.channels[name]), "channel": None, "heartbeat": address})
        if status is not None:
            self._beats.update({name: mono() + self._desk.channels[name]["heartbeat_every_s"] for name in due})
        elif due and not self._is_down:
            self._psvd.ask_status()

    def _is_well(self, status: dict[str, object]) -> bool:
        bots = status.get("bots")
        is_kept = mono() - self._keeper_mono < _KEEPER_SILENT_S
        return is_kept and isinstance(bots, dict) and not any(bots.get(state) for state in _UNWELL)

    # -- sending

    def _send(self) -> None:
        for waiting in self._desk.due(self._couriers.keys):
            channel = self._desk.channels[waiting.channel]
            if left := [address for address in channel["address"] if address in waiting.left]:
                channel = {**channel, "address": left}
            self._begin(waiting.channel, waiting, {**self._job(channel), "message": waiting.message})

    def _job(self, channel: NotifySpec) -> Job:
        timeout_s = channel["timeout_s"]
        return {"folder": str(self._paths.folder), "timeout_s": timeout_s, "channel": channel, "message": None, "heartbeat": None}

    def _begin(self, key: str, errand: Errand, job: Job) -> None:
        if key in self._couriers.keys:
            return
        self._errands[key] = errand
        try:
            self._couriers.send(key, job)
        except OSError as err:
            self._take_result(key, {"ok": False, "said": f"no process can be started: {err.strerror}", "retry_after_s": 0.0})

    def _take_result(self, key: str, result: Result) -> None:
        errand = self._errands.pop(key)
        if isinstance(errand, Waiting):
            self._desk.result(errand, result)
        elif not result["ok"]:
            log.warning("the heartbeat was not taken", channel=errand, said=result["said"])

    def _note(self) -> None:
        """Let psvd show what does not work; in memory only while the disk refuses."""
        notes = self._desk.notes()
        if notes != self._noted:
            with contextlib.suppress(OSError):
                write_json(self._paths.run / "notify.json", {"pid": os.getpid(), "problems": notes})
                self._noted = notes
