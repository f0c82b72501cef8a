"""What the keeper's own processes say to it over run/keeper.sock, and what they are answered.

A peer is believed to be a role only if it is the process that holds the role's lock. psvd asks for FIFOs, forks and roles;
logd confirms what it has drained; all of them answer pings. A person's `psv upgrade` asks here too. Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import ProtocolError, PsvError, Refused, refused_by_system
from processsupervisor.kernel.identity import Identity, Liveness, is_below, read_stat
from processsupervisor.launch.code import Code
from processsupervisor.launch.locks import read_holder
from processsupervisor.process.groundwork import OwnLog
from processsupervisor.process.holdings import Holdings
from processsupervisor.process.links import Links
from processsupervisor.process.program import launch_program
from processsupervisor.process.roles import Role
from processsupervisor.version import PROTOCOL

DOWN_MARGIN_S = 2.0
"""psvd stops the bots within down_timeout; the margin is for its own last words."""


class KeeperActions(Protocol):
    """What only the keeper itself can do about what it is told."""

    def end(self, exit_status: int) -> None:
        """Leave the loop with this status: psvd says that all bots are down."""
        ...

    def begin_upgrade(self, after: Code) -> None:
        """Begin to run another copy of the package; raises Refused."""
        ...

    def on_served(self, role: Role) -> None:
        """Hear that a role's process answers: logd and the others by their hello, psvd when it serves commands."""
        ...


class Dialogue:
    """One keeper's conversations; `tell` is the only way in which anything is said to a role."""

    def __init__(self, held: Holdings, links: Links, log: OwnLog, keeper: KeeperActions) -> None:
        self._held = held
        self._links = links
        self._log = log
        self._keeper = keeper

    def tell(self, role_name: str, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send one line to a role; lost when it has no link."""
        role = self._held.roles.by_name.get(role_name)
        if role is not None and role.link is not None:
            self._links.send(role.link, message, fds)

    def role_of(self, link: LineSocket) -> Role | None:
        """Return whose link this is."""
        return next((role for role in self._held.roles.by_name.values() if role.link is link), None)

    def on_lost(self, link: LineSocket) -> None:
        """A link broke: its process ended, or will come back."""
        role = self.role_of(link)
        if role is not None:
            role.link = None
            if role.name == "logd":
                self._held.logd_away_since = mono()
            self._held.roles.revive(role)

    def on_message(self, link: LineSocket, message: dict[str, Any]) -> None:
        """Serve one line; raises KeyError, TypeError or ValueError when it lacks what it needs."""
        op, role = message.get("op"), self.role_of(link)
        if op == "hello":
            self._on_hello(link, message)
        elif op == "upgrade":
            self._on_upgrade(link, message)
        elif role is None:
            return
        elif op == "pong":
            role.pong_mono = mono()
        elif role.name == "psvd":
            self._on_psvd(role, message)
        elif role.name == "logd":
            self._on_logd(message)

    # -- hello

    def _on_hello(self, link: LineSocket, message: dict[str, Any]) -> None:
        roles = self._held.roles
        role = roles.by_name.get(str(message.get("role")))
        pid = int(message["pid"])
        if role is None or pid != link.peer_pid() or not roles.is_held_by(role, pid):
            self._log.write("hello refused: not the process that holds the role's lock", role=message.get("role"), pid=pid)
            return
        if not role.is_kept and (role.identity is None or role.identity.pid != pid):
            # An earlier keeper started it, and psvd has asked for another one, which will have the lock when this one was ended.
            self._log.write("hello refused: not the process that this keeper started", role=role.name, pid=pid)
            return
        if role.link is not None:
            self._links.drop(role.link)
        roles.take_over(role, pid)
        role.link, role.pong_mono, role.has_served = link, mono(), True
        role.code = str(message.get("code", ""))
        if role.name == "psvd":
            self._welcome_psvd()
            return
        if role.name == "logd":
            self._held.logd_away_since = None
            if self._held.log_limits is not None:
                self.tell("logd", self._held.log_limits)
            for pair in self._held.fifos.pairs.values():
                self.open_in_logd(pair.bot, pair.generation)
            self.tell("psvd", {"op": "spawned", **role.facts()})
        self._keeper.on_served(role)

    def _welcome_psvd(self) -> None:
        held = self._held
        welcome = {
            "op": "welcome",
            "protocol": PROTOCOL,
            "keeper_pid": os.getpid(),
            "code": Code.own().name,
            "sequence": held.journal.sequence,
            "foreground": held.is_foreground,
            "roles": [r.facts() for r in held.roles.by_name.values()],
            "fifos": [{"bot": p.bot, "generation": p.generation, "matched": p.is_matched} for p in held.fifos.pairs.values()],
        }
        self.tell("psvd", welcome, (held.listeners["psv"].fileno(), held.listeners["bot"].fileno()))
        reach(CrashPoint.KEEPER_WELCOMED)
        if held.down_deadline is not None:
            left_s = max(0.5, held.down_deadline - DOWN_MARGIN_S - mono())
            self.tell("psvd", {"op": "go-down", "timeout_s": left_s, "exit_status": held.down_status})

    # -- psv upgrade

    def _on_upgrade(self, link: LineSocket, message: dict[str, Any]) -> None:
        """Serve the one request of a person. It needs no psvd: a broken one is a reason to upgrade."""
        answer: dict[str, Any] = {"op": "answer", "ok": True}
        try:
            if link.peer_pid() and read_stat(link.peer_pid()) is None:
                raise Refused("whoever asked has gone")  # was told that the keeper, stopped then, gives no answer
            if self._is_in_a_bot(link.peer_pid()):
                raise Refused("a bot may not upgrade the fleet it runs in", hint="run psv outside of the bot")
            self._keeper.begin_upgrade(Code(Path(message["package"]), str(message["python"])))
        except PsvError as err:
            self._log.write("upgrade refused", error=err.message)
            answer |= {"ok": False, "message": err.message, "hint": err.hint, "code": err.code}
        self._links.send(link, answer)

    def _is_in_a_bot(self, pid: int) -> bool:
        """Tell whether a process is, or is below, a bot: those of an earlier keeper are not below this one, but hold their locks."""
        holders = (Identity.from_json(read_holder(lock)) for lock in self._held.paths.run.glob("bots/*/lock"))
        bots = (h.pid for h in holders if h is not None and h.liveness() is Liveness.ALIVE)
        return is_below(pid, os.getpid()) or any(pid == bot or is_below(pid, bot) for bot in bots)

    # -- logd

    def open_in_logd(self, bot: str, generation: int) -> None:
        """Tell logd to read a pair of FIFOs, and to drain it if that was asked for before."""
        pair = self._held.fifos.pairs[bot, generation]
        self.tell("logd", pair.open_message(self._held.paths.bot_run(bot)))
        self._held.fifos.forget_dropped(pair)
        if pair.is_releasing:
            self.tell("logd", {"op": "drain", "bot": bot, "generation": generation})

    def _on_logd(self, message: dict[str, Any]) -> None:
        if message.get("op") == "drained":
            key = str(message["bot"]), int(message["generation"])
            pair = self._held.fifos.pairs.get(key)
            if pair is not None and pair.is_releasing:
                self._held.fifos.close(*key)
                self.tell("psvd", {"op": "released", "bot": key[0], "generation": key[1]})
            return
        if message.get("op") == "matched":
            matched = self._held.fifos.pairs.get((str(message["bot"]), int(message["generation"])))
            if matched is not None:
                matched.is_matched = True  # for a psvd that is not there to hear it now
        self.tell("psvd", message)

    # -- psvd

    def _on_psvd(self, role: Role, message: dict[str, Any]) -> None:
        """Serve one request of psvd; requests with an `id` are answered with the same `id`."""
        answer: dict[str, Any] = {"op": "answer", "id": message.get("id"), "ok": True}
        try:
            answer |= self._perform(role, message)
        except PsvError as err:
            answer |= {"ok": False, "message": err.message, "hint": err.hint, "code": err.code}
        except OSError as err:
            refused = refused_by_system("the system refused", err, hint="see psv doctor")
            answer |= {"ok": False, "message": refused.message, "hint": refused.hint, "code": refused.code}
        if message.get("id") is not None:
            self.tell("psvd", answer)

    def _perform(self, role: Role, message: dict[str, Any]) -> dict[str, Any]:
        held = self._held
        match message["op"]:
            case "fifos":
                pair = held.fifos.create(message["bot"], message["generation"], message["options"])
                self.open_in_logd(pair.bot, pair.generation)
            case "release":
                if held.fifos.release(message["bot"], message["generation"]):
                    self.tell("logd", {"op": "drain", "bot": message["bot"], "generation": message["generation"]})
            case "pid":
                self.tell("logd", message)
            case "limits":
                held.log_limits = message
                self.tell("logd", message)
            case "spawn":
                facts = held.roles.request(message["role"], message["argv"], message.get("env")).facts()
                self.tell("psvd", {"op": "spawned", **facts})
                return facts
            case "launch":
                return launch_program(held.paths, message["bot"], message["generation"], held.roles.original_nofile)
            case "serving":
                self._keeper.on_served(role)
            case "settled" if held.down_deadline is None:
                held.manager.say("READY=1", f"STATUS={message.get('text', '')}")
            case "settled":
                pass  # too late: systemd knows that the fleet is stopping
            case "going-down":
                if held.down_deadline is None:  # a psvd that dies in the middle of it leaves it to the next one
                    held.manager.say("STOPPING=1")
                    held.is_led_by_psvd, held.down_status = True, int(message["exit_status"])
                    held.down_deadline = mono() + float(message["timeout_s"]) + 2 * DOWN_MARGIN_S
            case "down":
                self._log.write("psvd says that all bots are down", exit_status=message["exit_status"])
                self._keeper.end(int(message["exit_status"]))
            case other:
                raise ProtocolError(f'unknown request "{other}"')
        return {}
