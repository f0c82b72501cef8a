"""The notifier: started when fleet.toml has a table [notify.NAME]. It follows events and tells people; psvd only keeps it running.

Which channels cannot be reached is in run/notify.json, which the notifier itself writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from processsupervisor.config.spec import NotifySpec
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.process.launcher import KeeperPort
from processsupervisor.supervisor.ownrole import OwnRole


class NotifyRole(OwnRole):
    """The notifier of one fleet; `begun` gives the number of the last event before the fleet was started, for a notifier that knows none.

    Not before this psvd: the notifier of the one before may have been killed ere it noted where it was to begin.
    """

    role = "notify"
    ask_s = 3.0
    """It finishes what it is just sending."""

    def __init__(self, paths: FleetPaths, keeper: KeeperPort, channels: Sequence[NotifySpec], begun: Callable[[], int]) -> None:
        super().__init__(paths, keeper)
        self._channels = channels
        self._begun = begun

    def take(self, channels: Sequence[NotifySpec]) -> bool:
        """Go by other channels; True when they are others, so that the process has to be replaced."""
        is_other, self._channels = list(channels) != list(self._channels), channels
        return is_other

    def argv(self) -> list[str]:
        """See OwnRole."""
        return Code.own().argv("processsupervisor.notify.main", str(self._paths.folder), str(self._begun()))

    @property
    def is_wanted(self) -> bool:
        """See OwnRole."""
        return bool(self._channels)

    def trouble(self) -> str:
        """Return what an operator should know: it keeps ending, or a channel cannot be reached."""
        facts = read_json(self._paths.run / "notify.json") if self.pid is not None else None
        if not isinstance(facts, dict) or facts.get("pid") != self.pid or not isinstance(facts.get("problems"), list):
            return self.problem
        self.problem = ""
        return "; ".join(map(str, facts["problems"]))
