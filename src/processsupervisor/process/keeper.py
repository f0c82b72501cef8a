"""The keeper: parent and only reaper of everything, tiny, one thread, standard library, runs no user code.

It journals every exit before it tells psvd, keeps psvd and logd alive, holds every FIFO and the two listening sockets,
and forks programs. It decides nothing about bots: psvd does, over run/keeper.sock (dialogue.py). Run by
`boot.py processsupervisor.process.keeper FOLDER [--foreground] [--progress-pid PID]`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

from processsupervisor.ipc.journal import wait_status
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_REFUSED, LockHeld, PsvError, Refused
from processsupervisor.kernel.identity import read_stat
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.launch.steps import ALL_SIGNALS
from processsupervisor.process import ending
from processsupervisor.process.dialogue import DOWN_MARGIN_S, Dialogue
from processsupervisor.process.fifos import DROP_AFTER_S
from processsupervisor.process.groundwork import OwnLog, unlist_fleet
from processsupervisor.process.holdings import Holdings, unpack
from processsupervisor.process.links import Links
from processsupervisor.process.roles import PING_EVERY_S, WEDGED_AFTER_S, Role
from processsupervisor.process.upgrade import Step, Upgrade, of_facts

_MODULE = "processsupervisor.process.keeper"
_TERMINATING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_TERMINATING, signal.SIGHUP, signal.SIGCHLD)
_STALLED_S = 2.0
_HOLDER_LASTS_S = 3 * WEDGED_AFTER_S
"""A logd of an earlier keeper that is there for longer cannot be killed or named: bots wait for it no more."""


class Keeper:
    """One fleet's keeper; `run` returns the exit status of the whole fleet."""

    def __init__(self, held: Holdings) -> None:
        self._held = held
        self._log = OwnLog(held.paths.own_logs / "keeper.log")
        self._selector = selectors.DefaultSelector()
        self._links = Links(self._selector, self._log, self._on_message, self._on_lost)
        self._dialogue = Dialogue(held, self._links, self._log, self)
        self._exit_status: int | None = None
        self._is_forced = False
        self._next_ping = mono() + PING_EVERY_S
        self._upgrade: Upgrade | None = None
        self._wake, self._wake_writing = socket.socketpair()

    def listen(self) -> None:
        """Take signals and connections from now on."""
        for end in (self._wake, self._wake_writing):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writing.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(self._held.listeners["keeper"], selectors.EVENT_READ)

    def run(self) -> int:
        """Serve until the fleet is down."""
        self._log.write("keeper runs", pid=os.getpid(), folder=str(self._held.paths.folder), code=Code.own().name)
        while self._exit_status is None:
            patience_s = self._patience_s()
            expected = mono() + patience_s
            events = self._selector.select(patience_s)
            if mono() - expected > _STALLED_S:
                self._log.write("the keeper itself was stopped", seconds=round(mono() - expected, 1))
                self._held.roles.forgive(mono())
            for key, mask in events:
                if key.fileobj is self._wake:
                    self._on_signals()
                elif key.fileobj is self._held.listeners["keeper"]:
                    self._links.accept(self._held.listeners["keeper"])
                else:
                    self._links.serve(key.fd, mask)
            self._on_time()
        return self._finish(self._exit_status)

    def _patience_s(self) -> float:
        now = mono()
        times = [self._next_ping, self._held.roles.next_due(), self._held.down_deadline]
        if self._upgrade is not None:
            times.append(now if self._upgrade.step is Step.KEEPER else self._upgrade.deadline)
        if self._is_logd_long_away(now):
            times.append(now + 0.2)
        elif self._held.logd_away_since is not None:
            times.append(self._held.logd_away_since + DROP_AFTER_S)
        return max(0.0, min(t for t in times if t is not None) - now)

    def _is_logd_long_away(self, now: float) -> bool:
        return self._held.logd_away_since is not None and now - self._held.logd_away_since > DROP_AFTER_S

    # -- signals and time

    def _on_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wake.recv(4096):
                if number == signal.SIGCHLD:
                    continue
                if number in _TERMINATING or (number == signal.SIGHUP and self._held.is_foreground and os.isatty(2)):
                    self._go_down("signal")
                elif number == signal.SIGHUP:
                    self._dialogue.tell("psvd", {"op": "reload"})
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
            entry = self._held.journal.append(found.si_pid, facts[3] if facts else 0, status, time.time())
            os.waitpid(found.si_pid, 0)  # last: a keeper that dies before the journal has it leaves a zombie, not a riddle
            reach(CrashPoint.KEEPER_REAPED)
            if found.si_pid == self._held.progress_pid:
                self._held.progress_pid = None
                continue
            role = self._held.roles.ended(found.si_pid)
            if role is not None:
                self._on_role_ended(role, found.si_pid, status)
            self._dialogue.tell("psvd", {"op": "exit", **dataclasses.asdict(entry)} | ({"role": role.name} if role else {}))
            reach(CrashPoint.KEEPER_EXIT_TOLD)

    def _on_role_ended(self, role: Role, pid: int, status: int) -> None:
        self._log.write("own process ended", role=role.name, pid=pid, status=status)
        if role.name == "logd" and self._held.logd_away_since is None:
            self._held.logd_away_since = mono()
        if self._upgrade is not None:
            self._upgrade.on_ended(role)

    def _on_time(self) -> None:
        now, roles = mono(), self._held.roles
        for role in roles.due(now):
            roles.spawn(role)
            if role.name == "logd" and role.held_since is not None and now - role.held_since < _HOLDER_LASTS_S:
                self._held.logd_away_since = now  # it is there, and reads what waits before it would hear of a gap
            self._dialogue.tell("psvd", {"op": "spawned", **role.facts()})
            if self._upgrade is not None and role.start_at_mono is None:
                self._upgrade.on_spawned(role)
        if now >= self._next_ping:
            self._next_ping = now + PING_EVERY_S
            for name in roles.kill_wedged(now):
                self._log.write("own process gave no answer and was killed", role=name)
            for name in list(roles.by_name):
                self._dialogue.tell(name, {"op": "ping", "n": int(now)})
            self._held.manager.beat(roles.by_name["psvd"].link is not None)
        if self._is_logd_long_away(now):
            self._held.fifos.drop_from_full()
        if self._held.down_deadline is not None and now >= self._held.down_deadline:
            self._force_down()
        if self._upgrade is not None:
            self._go_on_upgrading(self._upgrade, now)

    # -- messages; see dialogue.KeeperActions

    def _on_message(self, link: Any, message: dict[str, Any]) -> None:
        self._dialogue.on_message(link, message)

    def _on_lost(self, link: Any) -> None:
        self._dialogue.on_lost(link)

    def end(self, exit_status: int) -> None:
        """Leave the loop: all bots are down."""
        if self._held.down_deadline is None:
            self._held.manager.say("STOPPING=1")
        self._exit_status = exit_status

    def on_served(self, role: Role) -> None:
        """Let an upgrade know that a role answers."""
        if self._upgrade is not None:
            self._upgrade.on_served(role)

    # -- upgrade

    def begin_upgrade(self, after: Code) -> None:
        """Begin to run another copy of the package; raises Refused while another upgrade or the end of the fleet is under way."""
        if self._upgrade is not None and not self._upgrade.is_over:
            raise Refused(f"an upgrade to {self._upgrade.after.name} is under way", hint="wait until it has come to its end")
        if self._held.down_deadline is not None:
            raise Refused("the fleet is going down")
        Upgrade.check(after, self._held.roles)
        self._log.write("upgrade begins", before=Code.own().name, after=after.name)
        bots = len(self._held.fifos.pairs)
        self._upgrade = Upgrade(self._held.roles, Code.own(), after, self._dialogue.tell, bots)
        self._upgrade.begin()

    def _go_on_upgrading(self, upgrade: Upgrade, now: float) -> None:
        upgrade.on_time(now)
        if upgrade.step is Step.KEEPER and self._exit_status is None:
            self._become(upgrade)
        if upgrade.is_over:
            self._log.write("upgrade ended", step=upgrade.step, code=Code.own().name, problem=upgrade.message)
            self._upgrade = None

    def _become(self, upgrade: Upgrade) -> None:
        """Exec the other copy with everything held; returns when a signal is to be served first, or the exec itself is refused.

        Every signal is blocked until the other side has its handlers: a SIGTERM in between must not end it. One that came
        before is in the wake socket, which the exec closes, so it is served first and the exec tried again.
        """
        held = self._held
        signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
        if self._is_awake():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL_SIGNALS)
            return
        for role in held.roles.by_name.values():
            if role.link is not None and not role.link.flush():
                self._links.drop(role.link)
        descriptor = -1
        try:
            descriptor = held.pack(upgrade.facts())
            arguments = [str(held.paths.folder), "--resume", str(descriptor)]
            otherwise = [*Code.own().argv(_MODULE, *arguments), "--refused"]
            boot = upgrade.before.package / "boot.py"
            if not boot.is_file():  # somebody removed the copy that runs: there is nothing to go back to
                boot = upgrade.after.package / "boot.py"
            into = str(upgrade.after.package), json.dumps(otherwise), _MODULE
            argv = [upgrade.after.python, "-P", str(boot), "--resume", *into, *arguments]
            os.execv(argv[0], argv)
        except OSError as err:
            held.keep()
            if descriptor >= 0:
                os.close(descriptor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL_SIGNALS)
            upgrade.fail(f"the keeper cannot become the other copy: {err.strerror}")

    def _is_awake(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(self._wake.recv(1, socket.MSG_PEEK))
        return False

    def take_up(self, facts: dict[str, Any], *, is_refused: bool) -> None:
        """Go on, after the exec, where the keeper before it was; `is_refused` = the other copy failed and this is the old one again."""
        for role in self._held.roles.by_name.values():
            if role.link is not None:
                self._links.adopt(role.link)
        upgrade = of_facts(facts, self._held.roles, self._dialogue.tell)
        if is_refused:
            upgrade.fail("the new keeper could not take over; see .psv/logs/psv/keeper.out")
        else:
            upgrade.finish()
        self._dialogue.tell("psvd", {"op": "renewed", "code": Code.own().name})
        self._log.write("upgrade ended", step=upgrade.step, code=Code.own().name, problem=upgrade.message)

    # -- going down

    def _go_down(self, why: str) -> None:
        if self._held.down_deadline is not None and not self._held.is_led_by_psvd:
            self._force_down()
            return
        self._held.is_led_by_psvd = False
        self._log.write("going down", why=why)
        reach(CrashPoint.KEEPER_GOES_DOWN)
        self._held.manager.say("STOPPING=1")
        self._held.down_deadline = mono() + self._held.down_timeout_s + DOWN_MARGIN_S
        self._dialogue.tell("psvd", {"op": "go-down", "timeout_s": self._held.down_timeout_s})

    def _force_down(self) -> None:
        self._is_forced = True
        self._exit_status = EXIT_FAILED if self._exit_status is None else self._exit_status

    def _finish(self, status: int) -> int:
        held = self._held
        if self._is_forced:
            self._log.write("killing everything")
            ending.kill_adopted(held.paths, held.roles)
            ending.kill_descendants(spare=held.progress_pid)
        else:
            ending.end_roles(held.roles, lambda: self._dialogue.tell("logd", {"op": "stop"}), held.progress_pid)
            held.fifos.close_all()
        for name, listener in held.listeners.items():
            with contextlib.suppress(OSError):
                os.unlink(held.paths.socket(name))
            listener.close()
        held.paths.running.unlink(missing_ok=True)
        ending.sign_off(held.paths)
        unlist_fleet(held.listed)
        ending.await_progress(held.progress_pid)
        self._log.write("keeper ends", status=status)
        return status


def resume(argv: list[str]) -> Keeper:
    """Be the keeper that this process was before its exec: `FOLDER --resume FD [--refused]`."""
    descriptor = int(argv[2])
    held, facts = unpack(FleetPaths(argv[0]), descriptor)
    keeper = Keeper(held)
    keeper.listen()
    keeper.take_up(facts, is_refused="--refused" in argv)
    held.keep()  # last: until here the former keeper's code may have to begin again with the same descriptors
    os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL_SIGNALS)
    return keeper


def main(argv: list[str]) -> int:
    """Run the keeper of the folder `argv[0]`."""
    if "--resume" in argv:
        return resume(argv).run()
    paths = FleetPaths(argv[0])
    progress_pid = int(argv[argv.index("--progress-pid") + 1]) if "--progress-pid" in argv else None
    try:
        held = Holdings.take(paths, is_foreground="--foreground" in argv, progress_pid=progress_pid)
    except LockHeld as err:
        print(f"psv: this fleet already runs: {err.message}; see: psv -C {paths.folder} status", file=sys.stderr)
        return EXIT_REFUSED
    except (PsvError, OSError) as err:
        print(f"psv: cannot start: {err}", file=sys.stderr)
        return EXIT_FAILED
    held.roles.keep_all(Code.own())
    keeper = Keeper(held)
    keeper.listen()
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
