"""`login_budget`: a bot whose locks have seen enough starts is held until the oldest of them is long enough ago.

Networks count logins and take a token away from who has too many (Discord: 1,000 in a day). The bots note their starts themselves
(launch/logins.py); psvd only reads, and knows no token.
"""

from __future__ import annotations

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.units import short_duration
from processsupervisor.launch.logins import ages_of_starts
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.gates import Hold

_MARGIN_S = 1.0


class Budgets:
    """The login budgets of one fleet."""

    def __init__(self, paths: FleetPaths, alerts: Alerts) -> None:
        self._paths = paths
        self._alerts = alerts

    def wait_s(self, handle: BotHandle) -> float:
        """Return how long the next start has to wait; 0 = it is within the budget, or there is none."""
        budget = handle.spec.get("login_budget")
        if not budget:
            return 0.0
        count, within_s = int(budget["count"]), float(budget["within_s"])
        ages = ages_of_starts(self._paths, handle.name)
        if len(ages) < count or ages[count - 1] >= within_s:
            return 0.0
        return within_s - ages[count - 1] + _MARGIN_S

    def message(self, handle: BotHandle, wait_s: float) -> str:
        """Return what an operator is told of a budget that is used up."""
        budget = handle.spec["login_budget"]
        assert budget is not None
        used = f"its login budget of {budget['count']} starts in {short_duration(budget['within_s'])} is used up"
        return f"{used}; the next start is due in {short_duration(wait_s)}"

    def look(self, handle: BotHandle, how: str) -> Hold | None:
        """See Gate."""
        wait_s = self.wait_s(handle)
        if not wait_s:
            self._alerts.close(handle.name, Reason.BUDGET)
            return None
        message = self.message(handle, wait_s)
        self._alerts.tell(handle.name, Reason.BUDGET, message)
        return Hold(message, Reason.BUDGET, is_resting=True, delay_s=wait_s)
