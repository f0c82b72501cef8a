"""What the web process takes from the applied configuration (`.psv/data/fleet.json`): where to listen, and which bots exist.

Read again when the file changes, so that a bot added by a reload is known without a restart. Independent of psvd: chat goes
on while it is away. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from processsupervisor.kernel.errors import ConfigError
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.problem import Problem

DEFAULT_PORT = 8450


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the one port is wanted; `port` 0 lets the system choose."""

    host: str
    port: int
    next_free: bool


@dataclass(frozen=True, slots=True)
class KnownBot:
    """A bot as the configuration names it."""

    name: str
    kind: str
    type: str | None

    @property
    def has_chat(self) -> bool:
        """Only bots of ours serve a chat; programs (script, command) do not."""
        return self.kind == "native"


class Applied:
    """The applied configuration, reread when the file on disk is another one."""

    def __init__(self, paths: FleetPaths) -> None:
        self._path = paths.applied
        self._folder_name = paths.folder.name
        self._seen: tuple[int, int, int] | None = None
        self._content: dict[str, object] = {}
        self._bots: dict[str, KnownBot] = {}

    def fleet_name(self) -> str:
        """Return the fleet's name, or its folder's while nothing is applied."""
        self._refresh()
        fleet = self._content.get("fleet")
        name = fleet.get("name") if isinstance(fleet, dict) else None
        return str(name or self._folder_name)

    def listen(self) -> Listen:
        """Return where to listen; raises ConfigError for what cannot be a host or a port."""
        self._refresh()
        table = self._content.get("web")
        web = table if isinstance(table, dict) else {}
        host, port = web.get("listen_host", "127.0.0.1"), web.get("listen_port", DEFAULT_PORT)
        if not isinstance(host, str) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise ConfigError(f"[web] listen: {host!r}, port {port!r} is no address", hint='write listen = "127.0.0.1:8450" in fleet.toml')
        return Listen(host, port, bool(web.get("next_free", False)))

    def bots(self) -> dict[str, KnownBot]:
        """Return the bots by name, in the order of fleet.toml."""
        self._refresh()
        return self._bots

    def specs(self) -> list[dict[str, object]]:
        """Return the specs of all bots as psvd applied them."""
        self._refresh()
        listed = self._content.get("bots")
        return [spec for spec in listed if isinstance(spec, dict)] if isinstance(listed, list) else []

    def chat_bot(self, name: str) -> KnownBot:
        """Return the bot if it can be chatted with; raises Problem 404 or 409."""
        bot = self.bots().get(name)
        if bot is None:
            raise Problem(404, "no-such-bot", f"this fleet has no bot named {name[:80]!r}", hint="GET /api/bots lists them")
        if not bot.has_chat:
            hint = f"psv logs {name} shows what it says"
            raise Problem(409, "no-chat", f"{name} is a program ({bot.kind}) and has no chat of its own", hint=hint)
        return bot

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            return  # being replaced or not applied yet: what was read last stays true
        mark = (status.st_mtime_ns, status.st_ino, status.st_size)
        if mark == self._seen:
            return
        content = read_json(self._path)
        if not isinstance(content, dict):
            return
        self._seen, self._content = mark, content
        specs = content.get("bots")
        listed = [spec for spec in specs if isinstance(spec, dict)] if isinstance(specs, list) else []
        self._bots = {str(spec.get("name")): KnownBot(str(spec.get("name")), str(spec.get("kind")), spec.get("type")) for spec in listed}
