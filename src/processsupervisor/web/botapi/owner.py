"""The real token of one bot: read as the owner of the fleet, locked against every other owner, and shown to nobody.

What a bot gets in its place is a stand-in: the number of the real one, which is no secret and which libraries read, and a secret half
of its own that is worth something only here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from processsupervisor.kernel.errors import ConfigError, StorageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import hold_token
from processsupervisor.launch.values import resolve_text
from processsupervisor.web.botapi.values import TOKEN

_PLACE = ("telegram_proxy", "token")


class Owner:
    """Holds the real token of one bot. Blocking; proxy.py calls it in a thread."""

    def __init__(self, paths: FleetPaths, bot: Mapping[str, object]) -> None:
        self._paths = paths
        self._bot = bot
        self._lock = -1
        self._locked = ""

    def take(self, text: str, number: str = "") -> str:
        """Return the real token, locked; of the bot with this number, if one is given.

        Raises PsvError: what it refers to is not there, is no token or another bot's, or is in use elsewhere. What was held stays held.
        """
        spec = {**self._bot, "folder": str(self._paths.folder)}
        token = resolve_text(spec, _PLACE, text)
        if TOKEN.fullmatch(token) is None:
            found = f"{len(token)} characters" if token else "nothing"
            raise ConfigError(
                f"telegram_proxy.token of {self._bot['name']}: found {found}, expected a token as @BotFather gives it (digits, a colon, "
                "35 letters, digits, - and _)",
                hint="psv secret set NAME, without a line end or quotes",
            )
        if number and token.partition(":")[0] != number:
            hint = f"put a token of bot {number} there, or give the other one a name of its own and write that into telegram_proxy.token"
            raise ConfigError(f"telegram_proxy.token of {self._bot['name']} is of another bot than before", hint=hint)
        if token != self._locked:
            try:
                descriptor = hold_token(self._paths, str(self._bot["name"]), token)
            except OSError as err:
                raise StorageError(f"the lock of the token cannot be taken: {err.strerror}", hint="free disk space") from err
            self.release()  # behind it: until then the token in use stays locked
            self._lock, self._locked = descriptor, token
        return token

    def release(self) -> None:
        """Give the lock up."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self._locked = -1, ""
