"""Rows 11 and 12: messages through a bot, from its socket to the committed reply, and what a bot weighs behind real traffic.

Row 11 says beside the rates what bounds them: CPU time of a message in the bot's loop, in its database's thread and in the load, which
has the same two cores, and how many messages share a commit. Row 12 is private memory (what no other process shares) of 200 bots that have
all talked, on the page and on Telegram.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import mean
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.flood import MOST_CONVERSATIONS, Load, flood
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import PROGRAMS, Program
from benchmarks.peers.psv import Psv
from benchmarks.rows.talk import ask
from processsupervisor.testing.botapi.people import Person
from processsupervisor.testing.botapi.server import BotApi

_BOTS = 50
_SETTLE_S = 5.0
_PEOPLE = 25
_EACH_PERSON_SAYS = 4


def rates(bench: Bench) -> Row:
    """Row 11."""
    row = Row(11, "message in to reply committed, echo, over web.sock",
              [Goal("one_per_s", 2000, more_is_better=True), Goal("fifty_per_s", 8000, more_is_better=True)])  # fmt: skip
    size = 10 if bench.quick else 1
    with bench.guarded(row, "psv"), bench.running(Psv, _echoes(_BOTS)) as system:
        assert isinstance(system, Psv)
        system.wait_until_ready(60)
        pids = {bot["name"]: int(bot["pid"]) for bot in system.bots()}
        flood(system.folder, Load(sorted(pids), 20, 4, 4))  # files are made, code is warm
        found = row.measured["psv"] = {"alone_p50_ms": flood(system.folder, Load(["b0000"], 500 // size, 1, 1))["p50_ms"]}
        loads = {"one": Load(["b0000"], 20_000 // size, MOST_CONVERSATIONS, 200), "fifty": Load(sorted(pids), 1_000 // size, 4, 20)}
        for name, load in loads.items():
            found |= {f"{name}_{key}": value for key, value in _loaded(system, load, pids).items()}
        row.notes += [_said(found, "one", 1), _said(found, "fifty", _BOTS)]
    return row


def _echoes(count: int) -> list[Program]:
    return [Program(f"b{n:04}", PROGRAMS / "echo.py", native=True) for n in range(count)]


def _loaded(system: Psv, load: Load, pids: dict[str, int]) -> dict[str, float]:
    """Run a load; returns its figures, CPU time a message of the bots' two threads, loop and database, and messages a commit."""
    chosen = [pids[name] for name in load.bots]
    commits, loops, threads = _commits(system, load.bots), sum(map(measure.main_cpu_s, chosen)), sum(map(measure.cpu_s, chosen))
    found = flood(system.folder, load)
    messages = load.messages * len(load.bots)
    loops, threads = sum(map(measure.main_cpu_s, chosen)) - loops, sum(map(measure.cpu_s, chosen)) - threads
    found |= {"loop_us_each": 1e6 * loops / messages, "database_us_each": 1e6 * (threads - loops) / messages}
    return found | {"messages_per_commit": messages / (_commits(system, load.bots) - commits)}


def _commits(system: Psv, bots: list[str]) -> int:
    """Return how many transactions these bots have committed; asking is one or two itself."""
    return sum(int(ask(system.paths, name, "commits?")) for name in bots)


def _said(found: dict[str, float], name: str, bots: int) -> str:
    """Say what bounds a rate: who has used how much of the cores."""
    rate, cores = found[f"{name}_per_s"], measure.cores()
    loop, database = found[f"{name}_loop_us_each"] * rate / 1e6, found[f"{name}_database_us_each"] * rate / 1e6
    load = found[f"{name}_client_us_each"] * rate / 1e6
    return (f"{bots} bot{'s' if bots > 1 else ''}: of {cores} cores the loops used {loop:.2f}, the database threads {database:.2f}, "
            f"the load {load:.2f}; {found[f'{name}_messages_per_commit']:.1f} messages a commit")  # fmt: skip


def memory(bench: Bench) -> Row:
    """Row 12."""
    count = 20 if bench.quick else 200
    row = Row(12, f"private memory of each of {count} bots after traffic, MB", [Goal("web_mb_each", 6), Goal("telegram_mb_each", 16)])
    row.measured["psv"] = {}
    with bench.guarded(row, "psv"):
        row.measured["psv"] |= _on_the_page(bench, count)
        row.measured["psv"] |= _on_telegram(bench, count)
    return row


def _on_the_page(bench: Bench, count: int) -> dict[str, float]:
    with bench.running(Psv, _echoes(count)) as system:
        assert isinstance(system, Psv)
        system.wait_until_ready(120)
        time.sleep(_SETTLE_S)
        found = {f"web_idle_{key}": value for key, value in _weighed(system).items()}
        for names in _in_parts([bot["name"] for bot in system.bots()], 50):
            flood(system.folder, Load(names, 200, 10, 20))
        time.sleep(_SETTLE_S)
        return found | {f"web_{key}": value for key, value in _weighed(system).items()}


def _on_telegram(bench: Bench, count: int) -> dict[str, float]:
    with BotApi() as api:
        tokens = [f"{number}:{'t' * 35}" for number in range(1, count + 1)]
        programs = [replace(echo, settings=f'networks.telegram = {{ token = "{token}", base_url = "{api.url}" }}\n')
                    for echo, token in zip(_echoes(count), tokens, strict=True)]  # fmt: skip
        with bench.running(Psv, programs) as system:
            assert isinstance(system, Psv)
            system.wait_until_ready(120)
            for token in tokens:
                api.wait_for_poll(token, 1, 60)
            time.sleep(_SETTLE_S)
            found = {f"telegram_idle_{key}": value for key, value in _weighed(system).items()}
            crowds = [api.bot(token) for token in tokens]
            for _ in range(_EACH_PERSON_SAYS):
                for crowd in crowds:
                    for number in range(_PEOPLE):
                        crowd.says("hello", Person(100 + number, f"Person {number}"))
            for crowd in crowds:
                crowd.wait_until((_EACH_PERSON_SAYS + 1) * _PEOPLE, 300.0)  # and once that a program answers
            time.sleep(_SETTLE_S)
            return found | {f"telegram_{key}": value for key, value in _weighed(system).items()}


def _weighed(system: Psv) -> dict[str, float]:
    bots: list[dict[str, Any]] = system.bots()
    private = [measure.private_bytes(bot["pid"]) / 2**20 for bot in bots]
    return {"mb_each": mean(private), "mb_most": max(private), "pss_mb_each": measure.pss_mb(bot["pid"] for bot in bots) / len(bots)}


def _in_parts(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
