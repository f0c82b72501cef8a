"""The web process: started when there is a table [web] or a bot with telegram_proxy, tried again each minute when its port is taken.

Where it listens is in run/web.json, which the web process itself writes.
"""

from __future__ import annotations

from processsupervisor.config.spec import Applied, TelegramProxySpec, WebSpec
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_CONFIG
from processsupervisor.launch.code import Code
from processsupervisor.process.launcher import KeeperPort
from processsupervisor.supervisor.ownrole import OwnRole

_PORT_RETRY_S = 60.0
Proxies = dict[str, TelegramProxySpec]


def proxies_of(applied: Applied) -> Proxies:
    """Return {bot: the settings of its proxy}; the web process opens them when it starts."""
    return {spec["name"]: proxy for spec in applied["bots"] if (proxy := spec.get("telegram_proxy"))}


class WebRole(OwnRole):
    """The web process of one fleet."""

    role = "web"

    def __init__(self, paths: FleetPaths, keeper: KeeperPort, settings: WebSpec, proxies: Proxies | None = None) -> None:
        super().__init__(paths, keeper)
        self._settings = settings
        self._proxies = proxies or {}

    def take(self, settings: WebSpec, proxies: Proxies | None = None) -> bool:
        """Go by other settings; True when they are others, so that the process has to be replaced."""
        is_other = (settings, proxies or {}) != (self._settings, self._proxies)
        self._settings, self._proxies = settings, proxies or {}
        self.problem = "" if is_other else self.problem
        return is_other

    def argv(self) -> list[str]:
        """See OwnRole."""
        return Code.own().argv("processsupervisor.web.main", str(self._paths.folder))

    @property
    def is_wanted(self) -> bool:
        """See OwnRole: whether this fleet is to have a page."""
        return self._settings["enabled"]

    def end_problem(self, exit_code: int) -> tuple[str, float] | None:
        """See OwnRole."""
        if exit_code != EXIT_CONFIG:
            return None
        address = f"{self._settings['listen_host']}:{self._settings['listen_port']}"
        return f"the page is off: port taken, cannot listen on {address}; change [web] listen, or set next_free = true", _PORT_RETRY_S

    def url(self) -> str | None:
        """Return the address of the page, or None while nothing listens."""
        facts = read_json(self._paths.run / "web.json")
        if isinstance(facts, dict) and self.pid is not None and facts.get("pid") == self.pid:
            self.problem = ""
            return str(facts.get("url"))
        return None
