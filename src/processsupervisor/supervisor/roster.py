"""Bots that come, go, or get other settings while psvd runs: every part of the fleet that remembers something of settings is told.

Nothing here decides when. A bot that goes must have come to rest; what is kept of it on disk stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from processsupervisor.config.spec import Applied, BotSpec, FleetSpec
from processsupervisor.kernel.states import Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.settings import take_settings
from processsupervisor.supervisor.webrole import proxies_of

_REMEMBERED = ("schedule", "recycle", "depends_on", "restart_with", "priority", "error")
"""Settings of which a part of the fleet remembers something; all others are read when they are needed."""


class Roster:
    """The bots of one fleet, as far as they change."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def add(self, spec: BotSpec, wanted: Wanted | None = None) -> BotHandle:
        """Take a bot into the fleet. One of its generations that runs after all is adopted when it is started."""
        fleet, name = self._fleet, spec["name"]
        fleet.paths.bot_run(name).mkdir(mode=0o700, exist_ok=True)
        handle = fleet.make_handle(spec, wanted or fleet.store.wanted().get(name))
        handle.generation = fleet.store.last_generations().get(name, 0)
        self.learn()
        return handle

    def drop(self, handle: BotHandle) -> None:
        """Let a bot go that rests; who waited for it is asked again."""
        fleet, name = self._fleet, handle.name
        fleet.line.leave(name)
        fleet.alerts.forget(name)
        fleet.breaker.waiting.pop(name, None)
        fleet.breaker.done(name)
        fleet.tasks.drop(name)
        handle.close()
        del fleet.handles[name]
        self.learn()
        fleet.line.wake(name)

    def swap(self, specs: Mapping[str, BotSpec]) -> None:
        """Give bots other settings; what a process was started with holds on in it until its next start."""
        is_learned = False
        for name, spec in specs.items():
            handle = self._fleet.handles[name]
            is_learned = is_learned or any(handle.spec.get(key) != spec.get(key) for key in _REMEMBERED)
            handle.spec = spec
        if is_learned:
            self.learn()

    def learn(self) -> None:
        """Let every part take over what the settings say now."""
        fleet = self._fleet
        for handle in fleet.handles.values():
            fleet.tasks.take(handle)
        fleet.recycling.learn()
        fleet.dependencies.learn()
        fleet.companions.learn()
        fleet.line.relearn()

    def take_fleet(self, applied: Applied) -> None:
        """Take over what is of no bot: [fleet], [web] and [notify]. Who listens, and to whom, is another process's and begins anew."""
        fleet = self._fleet
        settings: FleetSpec = applied["fleet"]
        fleet.settings.update(settings)
        names = {spec["name"] for spec in applied["bots"]}
        fleet.misnamed = {name: why for name, why in fleet.misnamed.items() if name in names}
        self.tell_log_limits()
        fleet.launcher.fleet_name = str(settings["name"])
        if fleet.web.take(applied["web"], proxies_of(applied)):
            fleet.web.replace(fleet.role_facts.get("web"))
        if fleet.notify.take(applied.get("notify", [])):
            fleet.notify.replace(fleet.role_facts.get("notify"))

    def tell_log_limits(self) -> None:
        """Tell logd, by way of the keeper, how much disk space logs may take."""
        settings = self._fleet.settings
        self._fleet.keeper.tell("limits", total_bytes=settings["log_total_bytes"], disk_free_percent=settings["disk_free_percent"])

    def tell_settings(self, bots: Collection[str] | None = None) -> None:
        """Tell which settings of which bot (None: of any) are others than they were, and run the hooks that follow."""
        fleet = self._fleet
        specs = {name: handle.spec for name, handle in fleet.handles.items() if bots is None or name in bots}
        for bot, keys in take_settings(fleet.store, specs, bots).items():
            fleet.events.tell("config", bot=bot, changed=keys)
            fleet.hooks.after(bot, "config", {"changed": keys})
