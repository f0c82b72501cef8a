"""What must hold after every round; each check returns what is wrong as sentences, nothing raises.

Expectations come from what the killer did and from the harness's own looks at /proc, the logs and the clients' counts; psvd is
asked only for what is itself under test: states, generations, exit records.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.fleet import ChaosFleet, is_alive
from tests.chaos.killer import WEDGED_AFTER_S, Hit
from tests.chaos.lines import LineLog
from tests.chaos.sampler import Sampler

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.identity import Identity

KERNEL_TELLS = tuple(int(n) for n in platform.release().split("-")[0].split(".")[:2]) >= (6, 15)
"""Whether a pidfd tells how a process ended that is nobody's child here (PIDFD_GET_INFO)."""
_CALL_WITHIN_S = 5.0
_LINES_WITHIN_S = 10.0
_ALMOST_WEDGED_S = WEDGED_AFTER_S - 1.0


@dataclass
class Touched:
    """What a round did to own processes; it decides which exits psv could not have known better."""

    killed: Counter[str] = field(default_factory=Counter)
    stopped_s: dict[str, float] = field(default_factory=dict)

    @classmethod
    def by(cls, hits: list[Hit]) -> Touched:
        touched = cls()
        for hit in hits:
            if hit.identity is None:
                continue
            if hit.act.kind == "kill":
                touched.killed[hit.target] += 1
            else:
                touched.stopped_s[hit.target] = max(touched.stopped_s.get(hit.target, 0.0), hit.act.for_s)
        return touched

    def was(self, *roles: str) -> bool:
        """Tell whether any of these was killed or stopped."""
        return any(role in self.killed or role in self.stopped_s for role in roles)

    def was_to_end(self, role: str) -> bool:
        """Tell whether the process of a role had to be replaced: killed, or stopped for so long that it counted as dead."""
        return role in self.killed or self.stopped_s.get(role, 0.0) > _ALMOST_WEDGED_S


class Ledger:
    """What is known of every bot at the end of a round, to compare the next one with."""

    def __init__(self, fleet: ChaosFleet, sampler: Sampler) -> None:
        self._fleet = fleet
        self._sampler = sampler
        self._lines = {name: LineLog(fleet.paths.bot_logs(name), fleet.lives(name)) for name in fleet.shape.writers}
        self._exit_row = 0
        self._bots: dict[str, dict[str, Any]] = {}
        self._processes: dict[str, Identity] = {}
        self._roles: dict[str, Identity] = {}
        self.aborted_starts = 0
        self.unknown_exits = 0
        self.lines_forgiven = 0

    @property
    def lines(self) -> int:
        """Return how many lines were found so far."""
        return sum(log.total for log in self._lines.values())

    # -- settling

    def settle(self, within_s: float) -> list[str]:
        """Wait until everything runs as it should and return what does not at the deadline."""
        deadline = time.monotonic() + within_s
        while True:
            wrong = self._unsettled()
            if not wrong or time.monotonic() > deadline:
                return [f"not within {within_s:g} s: {text}" for text in wrong]
            time.sleep(0.05)

    def _unsettled(self) -> list[str]:
        keeper = self._fleet.keeper
        if keeper is None or keeper.poll() is not None:
            return [f"the keeper ended by itself with {keeper.returncode if keeper else None}"]
        missing = [role for role in ("keeper", "psvd", "logd", "web") if self._fleet.role_process(role) is None]
        if missing:
            return [f"{', '.join(missing)} not there"]
        try:
            bots, status = self._ask("bot.list"), self._ask("fleet.status")
        except PsvError as err:
            return [f"psvd: {err}"]
        wrong = [f"note on {n['subject']}: {n['message']}" for n in status["notes"] if n["subject"] in ("keeper", "web", "psv.db")]
        if status["web"] is None:
            wrong.append("the page has no address")
        for bot in bots:
            process = self._fleet.bot_process(bot["name"])
            if bot["state"] != "RUNNING" or bot["connected"] is False:
                wrong.append(f"{bot['name']} is {bot['state']}, reason {bot['reason']}, connected {bot['connected']}")
            elif process is None or (process[0].pid, process[1]) != (bot["pid"], bot["generation"]):
                wrong.append(f"{bot['name']}: psvd says pid {bot['pid']} generation {bot['generation']}, its lock {process}")
        self._listed = {bot["name"]: bot for bot in bots}
        return wrong

    def _ask(self, op: str) -> Any:
        with ControlClient(self._fleet.paths, timeout_s=_CALL_WITHIN_S) as client:
            return client.call(op)

    # -- what was before

    def take_down(self) -> None:
        """Note how everything is now; called once before the first round and after each (settled) one."""
        self._bots = self._listed
        self._processes = {name: found[0] for name in self._bots if (found := self._fleet.bot_process(name)) is not None}
        self._roles = {role: i for role in ("keeper", "psvd", "logd", "web") if (i := self._fleet.role_process(role)) is not None}
        self._sampler.seen.clear()

    def check(self, hits: list[Hit]) -> list[str]:
        """Return everything that is not as it must be after these hits; the fleet has settled."""
        touched = Touched.by(hits)
        wrong, self._sampler.doubled[:] = list(self._sampler.doubled), []
        wrong += self._check_roles(touched)
        exits = self._new_exits()
        for name in self._fleet.shape.bots:
            met = [h for h in hits if h.target == name and h.identity is not None and h.act.kind == "kill"]
            wrong += [f"{name}: {text}" for text in self._wrong_processes(name, met)]
            wrong += [f"{name}: {text}" for text in self._wrong_exits(name, met, exits.get(name, []), touched)]
        return wrong + self._check_lines(hits, touched)

    # -- own processes

    def _check_roles(self, touched: Touched) -> list[str]:
        """No own process is replaced but one that was killed, or stopped past the limit; a new keeper brings a new web process."""
        wrong = []
        for role, before in self._roles.items():
            is_replaced = self._fleet.role_process(role) != before
            may_be = touched.was_to_end(role) or (role == "web" and touched.was("keeper"))
            if is_replaced and not may_be:
                wrong.append(f"{role} was replaced (pid {before.pid}) and nobody had touched it")
            if not is_replaced and role in touched.killed:
                wrong.append(f"{role} was killed and is still pid {before.pid}")
        return wrong

    # -- bots

    def _new_exits(self) -> dict[str, list[dict[str, Any]]]:
        with closing(sqlite3.connect(f"file:{self._fleet.paths.database}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT id, bot, record FROM exits WHERE id > ? ORDER BY id", (self._exit_row,)).fetchall()
        found: dict[str, list[dict[str, Any]]] = {}
        for row, bot, record in rows:
            self._exit_row = max(self._exit_row, row)
            found.setdefault(bot, []).append(json.loads(record))
        return found

    def _wrong_processes(self, name: str, met: list[Hit]) -> list[str]:
        """The process is the one of before, or one of before was killed; no other was ever seen."""
        before, found = self._processes[name], self._fleet.bot_process(name)
        now = found[0] if found else None
        killed = [h.identity for h in met if h.identity is not None]
        wrong = []
        if now != before and before not in killed:
            wrong.append(f"pid {before.pid} became {now.pid if now else None} and nobody had killed it")
        wrong += [f"pid {i.pid} was killed and lives" for i in killed if is_alive(i)]
        explained = {(i.pid, i.start_ticks) for i in (*killed, before, *((now,) if now else ()))}
        strangers = self._sampler.seen.get(name, set()) - explained
        return wrong + [f"pid {pid} was seen, and neither killed nor kept" for pid, _ in strangers]

    def _wrong_exits(self, name: str, met: list[Hit], exits: list[dict[str, Any]], touched: Touched) -> list[str]:
        """One exit for each kill, with its truth; a start whose parts died under it may be noted besides, of a generation of its own."""
        before, now = self._bots[name], self._listed[name]
        killed = Counter(h.generation for h in met)
        own = [e for e in exits if e["generation"] in killed]
        aborted = [e for e in exits if e["generation"] not in killed]
        wrong = []
        if Counter(e["generation"] for e in own) != killed:
            wrong.append(f"generations {sorted(killed)} were killed, exits noted: {_brief(exits)}")
        if aborted and not (met and touched.was("psvd", "zygote", "keeper")):
            wrong.append(f"an exit that nobody caused: {_brief(aborted)}")
        if aborted and any(e["reason"] == "signal" for e in aborted):
            wrong.append(f"a generation that nobody killed is said to be killed: {_brief(aborted)}")
        self.aborted_starts += len(aborted)
        if now["generation"] - before["generation"] < len(exits) or now["generation"] != self._fleet_generation(name):
            wrong.append(f"generation {before['generation']} became {now['generation']} by {len(exits)} exits")
        if now["restarts"] - before["restarts"] != len(exits) and "keeper" not in touched.killed:
            wrong.append(f"restarts {before['restarts']} became {now['restarts']} by {len(exits)} exits")
        is_unseen = touched.was("keeper") or any(h.is_orphan for h in met)
        return wrong + [text for record in own if (text := self._wrong_reason(record, touched, is_unseen))]

    def _fleet_generation(self, name: str) -> int:
        found = self._fleet.bot_process(name)
        return found[1] if found else 0

    def _wrong_reason(self, record: dict[str, Any], touched: Touched, is_unseen: bool) -> str:
        """The truth is SIGKILL; less may be known only where no keeper saw it, and psvd was away too or the kernel keeps no status."""
        if record["reason"] == "signal" and record["signal"] == "SIGKILL":
            return ""
        is_psvd_away = touched.was("psvd")
        may_be_unknown = {"unknown": is_unseen and (is_psvd_away or not KERNEL_TELLS), "unknown-while-unsupervised": is_unseen and is_psvd_away}
        if may_be_unknown.get(record["reason"], False):
            self.unknown_exits += 1
            return ""
        return f"was killed, and its exit says {_brief([record])}"

    # -- log lines

    def _check_lines(self, hits: list[Hit], touched: Touched) -> list[str]:
        """Every line whose write returned is stored once; lives that ended lost nothing at their end."""
        counters = {name: log.counters() for name, log in self._lines.items()}
        deadline = time.monotonic() + _LINES_WITHIN_S
        while True:
            missing = {}
            for name, log in self._lines.items():
                log.read()
                if found := log.missing(counters[name]):
                    missing[name] = found
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        wrong = [fault for log in self._lines.values() for fault in log.faults]
        for log in self._lines.values():
            log.faults.clear()
        return wrong + [text for name, lives in missing.items() for text in self._judge_missing(name, lives, counters[name], hits, touched)]

    def _judge_missing(self, name: str, lives: dict[str, int], counters: dict[str, int], hits: list[Hit], touched: Touched) -> list[str]:
        killed_pids = {str(h.identity.pid) for h in hits if h.target == name and h.identity is not None and h.act.kind == "kill"}
        wrong = []
        for life, count in lives.items():
            self._lines[name].forgive(life, counters[life])  # named once, not in every round from now on
            if touched.was_to_end("keeper") and touched.was_to_end("logd") and life.partition("-")[0] in killed_pids:
                self.lines_forgiven += count
            else:
                wrong.append(f"{name}: {count} lines at the end of life {life} are missing")
        return wrong


def check_clients(answer: dict[str, Any], most_kills: int) -> list[str]:
    """Return what the clients saw that must not be; an apology is right only after three deaths in one message."""
    wrong = list(answer["faults"])
    wrong += [f"{name}: no answer to {found['no_answer']}, not accepted {found['not_accepted']}" for name, found in answer["waiting"].items()]
    if answer["apologies"] and most_kills < 3:
        wrong.append(f"{answer['apologies']} messages were answered by an apology, and no bot died three times")
    return wrong


def most_kills(hits: list[Hit]) -> int:
    """Return how often the bot that was killed most was killed."""
    return max(Touched.by(hits).killed.values(), default=0)


def _brief(exits: list[dict[str, Any]]) -> str:
    return "; ".join(f"{e['reason']} signal {e['signal']} code {e['exit_code']} generation {e['generation']} {e['message']}" for e in exits) or "none"


def bounded(check: Callable[[], list[str]], most: int = 10) -> list[str]:
    """Return the first complaints of a check and how many more there were."""
    found = check()
    return found if len(found) <= most else [*found[:most], f"and {len(found) - most} more"]
