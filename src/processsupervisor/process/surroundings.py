"""What a bot's handle needs of the fleet around it, given by the supervisor; nothing here acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.hooks import Hooks, NoHooks
from processsupervisor.process.launcher import KeeperPort, Launcher
from processsupervisor.process.lifecycle import Transition
from processsupervisor.process.search import Search


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Ports and callbacks; every callback is synchronous and names the bot it is about."""

    paths: FleetPaths
    launcher: Launcher
    keeper: KeeperPort
    on_transition: Callable[[Transition], None]
    on_born: Callable[[str, Identity], None]
    on_refused: Callable[[str, str], None]
    """Called when the system had no process, descriptor or disk block for a start; the bot is RECOVERING and waits."""
    on_end: Callable[[str, ExitRecord], None]
    """Called once a generation, after the whole tree is gone: decides what follows."""
    known_pids: Callable[[], Iterable[int]]
    """First processes of all bots and our own processes: never leftovers of anybody."""
    search: Search = field(default_factory=Search)
    hooks: Hooks = field(default_factory=NoHooks)
