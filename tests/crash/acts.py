"""What is done to a fleet so that psvd or the keeper comes by a crash point."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.crash.fleet import CrashFleet
from tests.supervisor.live import eventually

from processsupervisor.kernel.identity import read_stat


@dataclass(slots=True)
class Outcome:
    """What an act led to: the answer of the command it used (None = it never came), and how an old generation ended."""

    answer: dict[str, Any] | None = None
    ended: set[str] = field(default_factory=set)


def _signal(number: int) -> Callable[[CrashFleet, str], Outcome]:
    def act(fleet: CrashFleet, bot: str) -> Outcome:
        os.kill(int(fleet.bot(bot)["pid"]), number)
        return Outcome(ended={"code"} if number == signal.SIGUSR1 else {"signal"})

    return act


def _command(op: str) -> Callable[[CrashFleet, str], Outcome]:
    def act(fleet: CrashFleet, bot: str) -> Outcome:
        return Outcome(fleet.ask(op, names=[bot]), {"admin"})

    return act


def _psvd(fleet: CrashFleet, _bot: str) -> Outcome:
    os.kill(fleet.psvd_pid(), signal.SIGKILL)
    return Outcome()


def _unseen(fleet: CrashFleet, bot: str) -> Outcome:
    """The bot ends while psvd cannot look, and psvd is gone before it could."""
    psvd, pid = fleet.psvd_pid(), int(fleet.bot(bot)["pid"])
    os.kill(psvd, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: read_stat(pid) is None or fleet.is_keeper_dead(), "the keeper reaps the bot")
    os.kill(psvd, signal.SIGKILL)
    return Outcome(ended={"signal"})


def _keeper(fleet: CrashFleet, bot: str) -> Outcome:
    """The keeper is killed; with a forked bot, while psvd talks to its zygote."""
    if bot == "script":
        fleet.ask("bot.restart", names=[bot])
    assert fleet.keeper is not None
    fleet.keeper.kill()
    fleet.keeper.wait(10)
    return Outcome()


def _logd(fleet: CrashFleet, _bot: str) -> Outcome:
    fleet.kill_role("logd")
    return Outcome()


def _zygote(fleet: CrashFleet, bot: str) -> Outcome:
    for role in [p for p in fleet.call("fleet.status")["processes"] if p["role"].startswith("zygote-")]:
        os.kill(int(role["pid"]), signal.SIGKILL)
    return _command("bot.restart")(fleet, bot)


def _web(fleet: CrashFleet, _bot: str) -> Outcome:
    fleet.kill_role("web")
    return Outcome()


def _down(fleet: CrashFleet, _bot: str) -> Outcome:
    return Outcome(fleet.ask("fleet.down"))


def _term(fleet: CrashFleet, _bot: str) -> Outcome:
    assert fleet.keeper is not None
    fleet.keeper.terminate()
    return Outcome()


def _first(fleet: CrashFleet, bot: str) -> Outcome:
    """Down, then up in a folder whose run/ is not of this boot."""
    fleet.down()
    fleet.paths.epoch.unlink()
    fleet.spawn_keeper()
    return Outcome()


ACTS: dict[str, Callable[[CrashFleet, str], Outcome]] = {
    "kill": _signal(signal.SIGKILL),
    "crash": _signal(signal.SIGUSR1),
    "stop": _command("bot.stop"),
    "start": _command("bot.start"),
    "restart": _command("bot.restart"),
    "psvd": _psvd,
    "unseen": _unseen,
    "keeper": _keeper,
    "logd": _logd,
    "zygote": _zygote,
    "web": _web,
    "down": _down,
    "term": _term,
    "first": _first,
}
