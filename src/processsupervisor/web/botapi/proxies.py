"""All proxies of a fleet: opened with the web process, told to the bots by a note, tried again while something is in their way.

The set is fixed for the life of the process: psvd starts another one when the settings of a proxy are others. The note
`run/bots/NAME/telegram.json` has the stand-in and the address, or why there is none; launch/botapi.py reads it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Mapping, Sequence

from processsupervisor.kernel.errors import ConfigError, PsvError, SystemRefused
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.botapi import note_path
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.web.botapi.proxy import Proxy
from processsupervisor.web.botapi.values import Told

_AGAIN_S = 3.0
_log = logging.getLogger(__name__)


class Proxies:
    """The proxies of all bots that have `telegram_proxy`. `bots` are their specs as psvd applied them."""

    def __init__(self, paths: FleetPaths, bots: Sequence[Mapping[str, object]], url: str) -> None:
        self._paths = paths
        self._url = f"{url.rstrip('/')}/telegram"
        self._bots = [bot for bot in bots if isinstance(bot.get("telegram_proxy"), dict)]
        self._by_secret: dict[str, Proxy] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to open them; returns at once."""
        if self._bots:
            self._task = asyncio.create_task(self._open_all())

    async def close(self) -> None:
        """End all of them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(proxy.close() for proxy in self._by_secret.values()), return_exceptions=True)
        self._by_secret.clear()

    def find(self, token: str) -> Proxy:
        """Return the proxy of a stand-in. Raises Told (401) for one that nobody has."""
        secret = token.partition(":")[2]
        for known, proxy in self._by_secret.items():
            if hmac.compare_digest(known.encode(), secret.encode()):
                return proxy
        raise Told(401, "Unauthorized")

    async def _open_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for bot in self._bots:
                group.create_task(self._open(bot))

    async def _open(self, bot: Mapping[str, object]) -> None:
        settings = bot["telegram_proxy"]
        assert isinstance(settings, dict)
        said = ""
        while True:
            proxy = Proxy(self._paths, bot, settings)
            try:
                await proxy.open()
            except Exception as err:  # noqa: BLE001 - what is wrong with one bot must not end the task group of all
                words = str(err) if isinstance(err, PsvError) else type(err).__name__
                if words != said:
                    said = words
                    _log.warning("%s has no Bot API: %s", proxy.name, said)
                await self._tell(proxy.name, {"error": said, "reason": _reason_of(err)})
                await asyncio.sleep(_AGAIN_S)
                continue
            self._by_secret[proxy.secret] = proxy
            await self._tell(proxy.name, {"token": proxy.stand_in, "url": self._url})
            return

    async def _tell(self, bot: str, note: dict[str, str]) -> None:
        identity = Identity.of(os.getpid())
        path = note_path(self._paths, bot)
        while True:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_json(path, note | {"web": identity.to_json() if identity else None})
                return
            except (OSError, SystemRefused):
                _log.warning("cannot write %s; it is tried again", path)
                await asyncio.sleep(_AGAIN_S)


def _reason_of(err: Exception) -> Reason:
    """Return why a bot that starts now cannot: `config` is for people to mend, all else passes and is tried again."""
    if isinstance(err, LaunchFailed):
        return err.reason
    return Reason.CONFIG if isinstance(err, ConfigError) else Reason.START_FAILED
