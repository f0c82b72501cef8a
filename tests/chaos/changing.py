"""Changes of the configuration under kills: after each round the fleet is on one version as a whole, desired and observed.

Each round gives the fleet the other one of two files while own processes are killed at random times: some bots change what their
process reads, some a live value, one comes or goes; now and then the new one cannot run, so that the change goes back by itself.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.fleet import ChaosFleet, Shape, splits
from tests.chaos.sampler import Sampler
from tests.supervisor.live import spec_of

from processsupervisor.kernel.errors import PsvError

WITHIN_S = 60.0
_ROLES = ("psvd", "psvd", "psvd", "keeper", "logd", "zygote", "web")
_LONGEST_S = 4.0
_HOOK = '''
    @bot.on_config_change
    async def changed(old, new):
        pass
'''


class Changing:
    """One run over one fleet."""

    def __init__(self, folder: Path, bots: int, seed: int, *, say: Callable[[str], None] = print) -> None:
        self._fleet = ChaosFleet(folder, Shape(*splits(bots), turn_s=0.5))
        self._say = say
        self._random = random.Random(seed)
        self._seed = seed
        self._sampler = Sampler(folder)
        self._hits: Counter[str] = Counter()
        self._results: Counter[str] = Counter()
        self._violations: list[str] = []
        self._round_s: list[float] = []

    def run(self, rounds: int) -> tuple[dict[str, Any], bool]:
        """Start the fleet, do the rounds, go down; returns what was seen, and whether everything held."""
        fleet = self._fleet
        try:
            fleet.prepare()
            fleet.write("bots.py", (fleet.folder / "bots.py").read_text() + _HOOK.replace("\n    ", "\n"))
            self._head = (fleet.folder / "fleet.toml").read_text().partition("[bots.")[0]
            fleet.canary_settle = "0.5s"
            fleet.configure(self._text(0), web=True)
            fleet.bring_keeper()
            fleet.call_when_up()
            self._sampler.start()
            for number in range(1, rounds + 1):
                self._round(number)
                if len(self._violations) >= 5:
                    break
            self._violations += [f"doubled: {text}" for text in self._sampler.doubled]
        finally:
            fleet.stop()
            self._sampler.end()
        ordered = sorted(self._round_s) or [0.0]
        result = {
            "seed": self._seed, "rounds": len(self._round_s), "bots": len(fleet.shape.bots), "kills": dict(sorted(self._hits.items())),
            "results": dict(self._results), "round_p50_s": ordered[len(ordered) // 2], "round_max_s": ordered[-1],
            "samples": self._sampler.samples, "violations": self._violations,
        }  # fmt: skip
        return result, not self._violations

    def _text(self, version: int) -> str:
        """Return the bots' tables of a version: a third changes its environment, a third an option or a live key; one comes and goes."""
        tables = []
        for place, name in enumerate(self._fleet.shape.bots):
            table = self._fleet.section(name)
            if place % 3 == 0:
                table += f'env = {{ V = "{version}" }}\n'
            elif place % 3 == 1:
                table += f"options = {{ v = {version} }}\n" if name in self._fleet.shape.natives else f"priority = {version % 100}\n"
            tables.append(table)
        if version % 2:
            tables.append('[bots.guest]\ncommand = ["sleep", "1000"]\n')
        return self._globals() + "".join(tables)

    def _globals(self) -> str:
        return "[global]" + self._head.partition("[global]")[2]

    def _round(self, number: int) -> None:
        began = time.monotonic()
        is_wrong = self._random.random() < 0.25
        text = self._text(number) + ('[bots.wrong]\ncommand = ["false"]\n' if is_wrong else "")
        moments = sorted(self._random.uniform(0.0, _LONGEST_S) for _ in range(self._random.randint(1, 3)))
        roles = [self._random.choice(_ROLES) for _ in moments]
        asking = threading.Thread(target=self._ask, args=(text, self._random.random() < 0.5))
        asking.start()
        for moment, role in zip(moments, roles, strict=True):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            self._kill(role)
        asking.join(3 * WITHIN_S)
        wrong = self._settle()
        self._round_s.append(round(time.monotonic() - began, 2))
        self._say(f"round {number} {self._round_s[-1]:6.2f} s  {', '.join(roles)}{'  wrong' if is_wrong else ''}  {wrong}")
        if wrong:
            self._violations.append(f"round {number}: {wrong}")

    def _ask(self, text: str, now: bool) -> None:
        try:
            self._results[str(self._fleet.apply(text, now=now, again=True, web=True)["result"])] += 1
        except PsvError as err:
            self._results[err.code] += 1

    def _kill(self, role: str) -> None:
        found = self._fleet.role_process(role, self._random.randrange(4))
        if found is not None:
            os.kill(found.pid, signal.SIGKILL)
            self._hits[role] += 1
            if role == "keeper":
                assert self._fleet.keeper is not None
                self._fleet.keeper.wait(10)
                self._fleet.bring_keeper()

    def _settle(self) -> str:
        """Wait until the fleet is on one version as a whole; returns what it is instead at the end of the time."""
        deadline, what = time.monotonic() + WITHIN_S, "nothing seen yet"
        while time.monotonic() < deadline:
            try:
                what = self._look()
            except (PsvError, OSError, ValueError, KeyError) as err:
                what = f"{type(err).__name__}: {err}"
            if not what:
                return ""
            time.sleep(0.2)
        return what

    def _look(self) -> str:
        """Return in what the fleet is not on one version."""
        fleet = self._fleet
        if (fleet.paths.data / "change.json").exists():
            return "a change is under way"
        versions = fleet.call("config.versions", limit=3)
        if any(version["result"] == "pending" for version in versions):
            return "a version is pending"
        bots = {bot["name"]: bot for bot in fleet.call("bot.list")}
        if not_ready := [f"{name} {bot['state']}" for name, bot in bots.items() if bot["state"] != "RUNNING"]:
            return f"not ready: {', '.join(not_ready)}"
        values = {str(spec_of(fleet, name)["env"].get("V")) for place, name in enumerate(fleet.shape.bots) if place % 3 == 0}
        if len(values) != 1:
            return f"several versions run: {sorted(values)}"
        wanted = int(values.pop())
        expected = {*fleet.shape.bots, *(["guest"] if wanted % 2 else [])}
        if set(bots) != expected:
            return f"of version {wanted} run other bots: {sorted(set(bots) ^ expected)}"
        strangers = [name for name in ("guest", "wrong") if name not in expected and fleet.copies(name)]
        return f"still there: {', '.join(strangers)}" if strangers else ""
