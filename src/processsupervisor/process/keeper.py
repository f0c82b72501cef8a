"""The keeper: parent and only reaper of everything, tiny, one thread, standard library, runs no user code.

It journals every exit before it tells psvd, keeps psvd and logd alive, holds every FIFO and the two listening sockets,
and forks programs. It decides nothing about bots: psvd does, over run/keeper.sock (JSON lines). Run as
`python -P -m processsupervisor.process.keeper FOLDER [--foreground] [--progress-pid PID]`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

from processsupervisor.ipc.journal import Journal, wait_status
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_REFUSED, LockHeld, ProtocolError, PsvError
from processsupervisor.kernel.files import hold_role_lock, read_json
from processsupervisor.kernel.identity import read_stat
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process import ending
from processsupervisor.process.fifos import DROP_AFTER_S, Fifos
from processsupervisor.process.groundwork import (
    OwnLog,
    bind_listeners,
    enter_epoch,
    list_fleet,
    open_to_group,
    raise_open_files,
    unlist_fleet,
)
from processsupervisor.process.links import Links
from processsupervisor.process.notify import ServiceManager
from processsupervisor.process.program import launch_program
from processsupervisor.process.roles import PING_EVERY_S, Role, Roles
from processsupervisor.version import PROTOCOL

_TERMINATING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_TERMINATING, signal.SIGHUP, signal.SIGCHLD)


class Keeper:
    """One fleet's keeper; `run` returns the exit status of the whole fleet."""

    def __init__(self, paths: FleetPaths, *, is_foreground: bool, progress_pid: int | None) -> None:
        self._paths = paths
        self._is_foreground = is_foreground
        self._progress_pid = progress_pid
        self._log = OwnLog(paths.own_logs / "keeper.log")
        self._selector = selectors.DefaultSelector()
        self._links = Links(self._selector, self._log, self._on_message, self._on_lost)
        self._exit_status: int | None = None
        self._down_deadline: float | None = None
        self._is_forced = False
        self._is_led_by_psvd = False
        self._down_status = 0
        self._down_timeout_s = 8.0
        self._logd_away_since: float | None = mono()
        self._next_ping = mono() + PING_EVERY_S
        self._manager = ServiceManager()

    def open(self) -> None:
        """Take the lock and everything else a keeper holds; raises PsvError and leaves nothing behind when it cannot."""
        self._paths.ensure()
        self._lock = hold_role_lock(self._paths.role_lock("keeper"), f"keeper pid {os.getpid()}")
        enter_epoch(self._paths)
        self._roles = Roles(self._paths, raise_open_files())
        self._journal = Journal(self._paths.journal)
        self._fifos = Fifos(self._paths)
        self._fifos.find()
        self._listeners = bind_listeners(self._paths, ("keeper", "psv", "bot"))
        ending.become_subreaper()
        applied = read_json(self._paths.applied)
        if isinstance(applied, dict):
            if applied.get("fleet", {}).get("control_group"):
                open_to_group(self._paths, str(applied["fleet"]["control_group"]))
            self._down_timeout_s = float(applied.get("fleet", {}).get("down_timeout_s", 8.0))
        self._listed = list_fleet(self._paths, applied)
        self._wake, writing = socket.socketpair()
        for end in (self._wake, writing):
            end.setblocking(False)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self._wake_writing = writing
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(self._listeners["keeper"], selectors.EVENT_READ)
        self._roles.keep("logd", "processsupervisor.process.logd")
        self._roles.keep("psvd", "processsupervisor.app.psvd")

    def run(self) -> int:
        """Serve until the fleet is down."""
        self._log.write("keeper runs", pid=os.getpid(), folder=str(self._paths.folder))
        while self._exit_status is None:
            for key, mask in self._selector.select(self._patience_s()):
                if key.fileobj is self._wake:
                    self._on_signals()
                elif key.fileobj is self._listeners["keeper"]:
                    self._links.accept(self._listeners["keeper"])
                else:
                    self._links.serve(key.fd, mask)
            self._on_time()
        return self._finish(self._exit_status)

    def _patience_s(self) -> float:
        now = mono()
        times = [self._next_ping, self._roles.next_due(), self._down_deadline]
        if self._is_logd_long_away(now):
            times.append(now + 0.2)
        elif self._logd_away_since is not None:
            times.append(self._logd_away_since + DROP_AFTER_S)
        return max(0.0, min(t for t in times if t is not None) - now)

    def _is_logd_long_away(self, now: float) -> bool:
        return self._logd_away_since is not None and now - self._logd_away_since > DROP_AFTER_S

    # -- signals and time

    def _on_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wake.recv(4096):
                if number == signal.SIGCHLD:
                    continue
                if number in _TERMINATING or (number == signal.SIGHUP and self._is_foreground and os.isatty(2)):
                    self._go_down("signal")
                elif number == signal.SIGHUP:
                    self._tell("psvd", {"op": "reload"})
        self._reap()

    def _reap(self) -> None:
        """Collect every ended child; the start time is read while it is still a zombie, so its identity is known."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            facts = read_stat(found.si_pid)
            status = wait_status(found)
            entry = self._journal.append(found.si_pid, facts[3] if facts else 0, status, time.time())
            os.waitpid(found.si_pid, 0)  # last: a keeper that dies before the journal has it leaves a zombie, not a riddle
            reach(CrashPoint.KEEPER_REAPED)
            if found.si_pid == self._progress_pid:
                self._progress_pid = None
                continue
            role = self._roles.ended(found.si_pid)
            if role is not None:
                self._log.write("own process ended", role=role.name, pid=found.si_pid, status=status)
                if role.name == "logd" and self._logd_away_since is None:
                    self._logd_away_since = mono()
            self._tell("psvd", {"op": "exit", **dataclasses.asdict(entry)} | ({"role": role.name} if role else {}))
            reach(CrashPoint.KEEPER_EXIT_TOLD)

    def _on_time(self) -> None:
        now = mono()
        for role in self._roles.due(now):
            self._roles.spawn(role)
            self._tell("psvd", {"op": "spawned", **role.facts()})
        if now >= self._next_ping:
            self._next_ping = now + PING_EVERY_S
            for name in self._roles.kill_wedged(now):
                self._log.write("own process gave no answer and was killed", role=name)
            for name in ("psvd", "logd"):
                self._tell(name, {"op": "ping", "n": int(now)})
            self._manager.beat(self._roles.by_name["psvd"].link is not None)
        if self._is_logd_long_away(now):
            self._fifos.drop_from_full()
        if self._down_deadline is not None and now >= self._down_deadline:
            self._force_down()

    # -- going down

    def _go_down(self, why: str) -> None:
        if self._down_deadline is not None and not self._is_led_by_psvd:
            self._force_down()
            return
        self._is_led_by_psvd = False
        self._log.write("going down", why=why)
        reach(CrashPoint.KEEPER_GOES_DOWN)
        self._manager.say("STOPPING=1")
        # psvd stops the bots within down_timeout; the margin is for its own last words.
        self._down_deadline = mono() + self._down_timeout_s + 2.0
        self._tell("psvd", {"op": "go-down", "timeout_s": self._down_timeout_s})

    def _force_down(self) -> None:
        self._is_forced = True
        self._exit_status = EXIT_FAILED if self._exit_status is None else self._exit_status

    def _finish(self, status: int) -> int:
        if self._is_forced:
            self._log.write("killing everything")
            ending.kill_adopted(self._paths, self._roles)
            ending.kill_descendants(spare=self._progress_pid)
        else:
            ending.end_roles(self._roles, lambda: self._tell("logd", {"op": "stop"}), self._progress_pid)
            self._fifos.close_all()
        for name, listener in self._listeners.items():
            with contextlib.suppress(OSError):
                os.unlink(self._paths.socket(name))
            listener.close()
        unlist_fleet(self._listed)
        ending.await_progress(self._progress_pid)
        self._log.write("keeper ends", status=status)
        return status

    # -- messages

    def _tell(self, role_name: str, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        role = self._roles.by_name.get(role_name)
        if role is not None and role.link is not None:
            self._links.send(role.link, message, fds)

    def _on_lost(self, link: LineSocket) -> None:
        role = self._role_of(link)
        if role is not None:
            role.link = None
            if role.name == "logd":
                self._logd_away_since = mono()
            self._roles.revive(role)

    def _role_of(self, link: LineSocket) -> Role | None:
        return next((role for role in self._roles.by_name.values() if role.link is link), None)

    def _on_message(self, link: LineSocket, message: dict[str, Any]) -> None:
        op, role = message.get("op"), self._role_of(link)
        if op == "hello":
            self._on_hello(link, message)
        elif role is None:
            return
        elif op == "pong":
            role.pong_mono = mono()
        elif role.name == "psvd":
            self._on_psvd(message)
        elif role.name == "logd":
            self._on_logd(message)

    def _on_hello(self, link: LineSocket, message: dict[str, Any]) -> None:
        role = self._roles.by_name.get(str(message.get("role")))
        pid = int(message["pid"])
        if role is None or not role.is_kept or pid != link.peer_pid() or not self._roles.is_held_by(role, pid):
            self._log.write("hello refused: not the process that holds the role's lock", role=message.get("role"), pid=pid)
            return
        if role.link is not None:
            self._links.drop(role.link)
        self._roles.take_over(role, pid)
        role.link, role.pong_mono, role.has_served = link, mono(), True
        if role.name == "logd":
            self._logd_away_since = None
            for pair in self._fifos.pairs.values():
                self._open_in_logd(pair.bot, pair.generation)
            self._tell("psvd", {"op": "spawned", **role.facts()})
        else:
            self._welcome_psvd()

    def _welcome_psvd(self) -> None:
        welcome = {
            "op": "welcome",
            "protocol": PROTOCOL,
            "keeper_pid": os.getpid(),
            "sequence": self._journal.sequence,
            "foreground": self._is_foreground,
            "roles": [r.facts() for r in self._roles.by_name.values()],
            "fifos": [{"bot": p.bot, "generation": p.generation, "matched": p.is_matched} for p in self._fifos.pairs.values()],
        }
        self._tell("psvd", welcome, (self._listeners["psv"].fileno(), self._listeners["bot"].fileno()))
        reach(CrashPoint.KEEPER_WELCOMED)
        if self._down_deadline is not None:
            left_s = max(0.5, self._down_deadline - 2.0 - mono())
            self._tell("psvd", {"op": "go-down", "timeout_s": left_s, "exit_status": self._down_status})

    def _open_in_logd(self, bot: str, generation: int) -> None:
        pair = self._fifos.pairs[bot, generation]
        self._tell("logd", pair.open_message(self._paths.bot_run(bot)))
        pair.dropped = dict.fromkeys(pair.dropped, 0)
        if pair.is_releasing:
            self._tell("logd", {"op": "drain", "bot": bot, "generation": generation})

    def _on_logd(self, message: dict[str, Any]) -> None:
        if message.get("op") == "drained":
            key = str(message["bot"]), int(message["generation"])
            pair = self._fifos.pairs.get(key)
            if pair is not None and pair.is_releasing:
                self._fifos.close(*key)
                self._tell("psvd", {"op": "released", "bot": key[0], "generation": key[1]})
            return
        if message.get("op") == "matched":
            matched = self._fifos.pairs.get((str(message["bot"]), int(message["generation"])))
            if matched is not None:
                matched.is_matched = True  # for a psvd that is not there to hear it now
        self._tell("psvd", message)

    def _on_psvd(self, message: dict[str, Any]) -> None:
        """Serve one request of psvd; requests with an `id` are answered with the same `id`."""
        answer: dict[str, Any] = {"op": "answer", "id": message.get("id"), "ok": True}
        try:
            answer |= self._perform(message)
        except PsvError as err:
            answer |= {"ok": False, "message": err.message, "hint": err.hint, "code": err.code}
        except OSError as err:
            answer |= {"ok": False, "message": f"the system refused: {err.strerror}", "hint": "see psv doctor", "code": "system"}
        if message.get("id") is not None:
            self._tell("psvd", answer)

    def _perform(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["op"]:
            case "fifos":
                pair = self._fifos.create(message["bot"], message["generation"], message["options"])
                self._open_in_logd(pair.bot, pair.generation)
            case "release":
                if self._fifos.release(message["bot"], message["generation"]):
                    self._tell("logd", {"op": "drain", "bot": message["bot"], "generation": message["generation"]})
            case "pid" | "limits":
                self._tell("logd", message)
            case "spawn":
                facts = self._roles.request(message["role"], message["argv"], message.get("env")).facts()
                self._tell("psvd", {"op": "spawned", **facts})
                return facts
            case "launch":
                return launch_program(self._paths, message["bot"], message["generation"], self._roles.original_nofile)
            case "settled":
                self._manager.say("READY=1", f"STATUS={message.get('text', '')}")
            case "going-down":
                if self._down_deadline is None:  # a psvd that dies in the middle of it leaves it to the next one
                    self._is_led_by_psvd, self._down_status = True, int(message["exit_status"])
                    self._down_deadline = mono() + float(message["timeout_s"]) + 4.0
            case "down":
                self._log.write("psvd says that all bots are down", exit_status=message["exit_status"])
                if self._down_deadline is None:
                    self._manager.say("STOPPING=1")
                self._exit_status = int(message["exit_status"])
            case other:
                raise ProtocolError(f'unknown request "{other}"')
        return {}


def main(argv: list[str]) -> int:
    """Run the keeper of the folder `argv[0]`."""
    paths = FleetPaths(argv[0])
    progress_pid = int(argv[argv.index("--progress-pid") + 1]) if "--progress-pid" in argv else None
    keeper = Keeper(paths, is_foreground="--foreground" in argv, progress_pid=progress_pid)
    try:
        keeper.open()
    except LockHeld as err:
        print(f"psv: this fleet already runs: {err.message}; see: psv -C {paths.folder} status", file=sys.stderr)
        return EXIT_REFUSED
    except (PsvError, OSError) as err:
        print(f"psv: cannot start: {err}", file=sys.stderr)
        return EXIT_FAILED
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
