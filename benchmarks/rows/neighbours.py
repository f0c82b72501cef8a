"""Row 14: what 20 bots, half of them on Telegram, notice while another one is a bad neighbour: p99 of their replies.

The neighbours: one whose token is refused, one that blocks its loop, one that leaks, one that has no byte of disk. Their causes follow each
other in rounds, a quiet window before each. The disk is a small file system of its own, which takes the right to mount.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import PROGRAMS, Program
from benchmarks.peers.psv import Psv
from benchmarks.rows.hangs import POLICY, hang
from benchmarks.rows.starts import PRELOAD
from benchmarks.rows.talk import Pollster, post
from processsupervisor.testing.botapi.people import Person
from processsupervisor.testing.botapi.server import BotApi

_HALF = 10
_ROUNDS = 5
_QUIET_S = 6.0
_SETTLE_S = 5.0
_LASTS_S = 4.0
_EACH_S = 0.2
_PEOPLE = 20
_DISK = "256k"
CAUSES = ("bad_token", "block", "leak", "full_disk")


def neighbours(bench: Bench) -> Row:
    """Row 14: in ms; `worst_ratio` is the worst cause's p99 beside that of the quiet windows, of the page and of Telegram each."""
    goals = [Goal("web_worst_ratio", 1.2), Goal("telegram_worst_ratio", 1.2)]
    row = Row(14, f"reply latency of {2 * _HALF} bots beside a bad neighbour, p99", goals)
    with bench.guarded(row, "psv"), BotApi() as api:
        tokens = [f"{number}:{'t' * 35}" for number in range(1, _HALF + 2)]
        api.revoke(tokens[-1])
        programs = _programs(api, tokens)
        with bench.running(lambda folder: _WithDisk(folder, PRELOAD, policy=POLICY), programs) as system:
            assert isinstance(system, _WithDisk)
            for token in tokens[:-1]:
                api.wait_for_poll(token, 1, 60)
            if not system.is_mounted:
                row.notes.append("full_disk was left out: it takes the right to mount")
            row.measured["psv"] = asyncio.run(_measured(system, api, tokens[:-1], 1 if bench.quick else _ROUNDS))
    return row


def _programs(api: BotApi, tokens: list[str]) -> list[Program]:
    def on_telegram(name: str, token: str) -> Program:
        settings = f'networks.telegram = {{ token = "{token}", base_url = "{api.url}" }}\n'
        return Program(name, PROGRAMS / "echo.py", native=True, settings=settings)

    web = [Program(f"w{number:02}", PROGRAMS / "echo.py", native=True) for number in range(_HALF)]
    telegram = [on_telegram(f"t{number:02}", token) for number, token in enumerate(tokens[:-1])]
    victim = Program("victim", PROGRAMS / "victim.py", {"BOT_TOKEN": "9:v"}, native=True)
    return [*web, *telegram, victim, Program("full", PROGRAMS / "echo.py", native=True), on_telegram("bad", tokens[-1])]


class _WithDisk(Psv):
    """psv whose bot `full` keeps its data on a file system without a free byte."""

    is_mounted = False

    def start(self, programs: Any) -> None:
        disk = self.paths.bot_data("full")
        disk.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(disk)], capture_output=True, check=False)
        self.is_mounted = done.returncode == 0
        super().start(programs)

    def stop(self) -> None:
        super().stop()
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.paths.bot_data("full"))], check=False)

    @contextlib.contextmanager
    def no_byte_free(self) -> Iterator[None]:
        """Fill the disk of `full` as long as the block runs."""
        filler = self.paths.bot_data("full") / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        try:
            yield
        finally:
            filler.unlink()


class _Phone:
    """Writes to each of some bots on Telegram and takes the times at which people were shown the answers, in ms."""

    def __init__(self, api: BotApi, tokens: list[str]) -> None:
        self._crowds = [api.bot(token) for token in tokens]
        self._said: list[dict[str, float]] = [{} for _ in tokens]
        self._taken = [0] * len(tokens)

    async def run(self) -> None:
        """Write for ever, each time as another person: one chat may have an answer a second."""
        for number in itertools.count():
            began = time.monotonic()
            for said, crowd in zip(self._said, self._crowds, strict=True):
                said[f"you said {number}"] = time.monotonic()
                crowd.says(str(number), Person(100 + number % _PEOPLE, "Ada"))
            await asyncio.sleep(max(0.0, began + _EACH_S - time.monotonic()))

    def take(self) -> list[float]:
        """Return the latencies since the last call."""
        found = []
        for place, crowd in enumerate(self._crowds):
            shown = crowd.shown[self._taken[place] :]
            self._taken[place] += len(shown)
            found += [1000 * (one.at_mono - self._said[place].pop(one.text)) for one in shown if one.text in self._said[place]]
        return found


async def _measured(system: _WithDisk, api: BotApi, tokens: list[str], rounds: int) -> dict[str, float]:
    pollster, phone = Pollster(system.paths, [f"w{number:02}" for number in range(_HALF)]), _Phone(api, tokens)
    await pollster.begin()
    writing = asyncio.create_task(phone.run())
    samples: dict[str, dict[str, list[float]]] = {name: {key: [] for key in ("quiet", *CAUSES)} for name in ("web", "telegram")}

    def keep(key: str) -> None:
        samples["web"][key] += pollster.take()
        samples["telegram"][key] += phone.take()

    await asyncio.sleep(2 * _SETTLE_S)  # every person was told by every bot that a program answers
    causes = [cause for cause in CAUSES if cause != "full_disk" or system.is_mounted]
    for _ in range(rounds):
        for cause in causes:
            pollster.take(), phone.take()
            await asyncio.sleep(_QUIET_S)
            keep("quiet")
            await _befall(system, cause)
            keep(cause)
    writing.cancel()
    await pollster.end()
    found: dict[str, float] = {}
    for name, by_cause in samples.items():
        p99 = {key: measure.Spread.of(values).p99 for key, values in by_cause.items() if values}
        found |= {f"{name}_{key}_p99_ms": value for key, value in p99.items()}
        found[f"{name}_worst_ratio"] = max(p99[cause] for cause in causes) / p99["quiet"]
        found[f"{name}_samples"] = sum(map(len, by_cause.values()))
    return found


async def _befall(system: _WithDisk, cause: str) -> None:
    match cause:
        case "bad_token":
            await asyncio.to_thread(_start_bad, system)
        case "full_disk":
            with system.no_byte_free():
                until = time.monotonic() + _LASTS_S
                for number in itertools.count():
                    if time.monotonic() > until:
                        return
                    await post(system.paths, "full", f"full-{os.getpid()}-{number}-{until:.0f}", "hello")
                    await asyncio.sleep(_EACH_S)
        case _:
            await hang(system, cause)


def _start_bad(system: _WithDisk) -> None:
    """Start the bot with the refused token again and again; it must end by that each time."""
    until = time.monotonic() + _LASTS_S
    with system.client() as client:
        while time.monotonic() < until:
            client.call("bot.start", {"names": ["bad"]})
            while (now := client.call("bot.status", {"names": ["bad"]})[0])["state"] != "FAILED":
                time.sleep(0.1)
            assert now["last_exit"]["reason"] == "auth", f"it ended as {now['last_exit']['reason']}, expected auth"
