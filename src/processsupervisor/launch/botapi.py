"""What a bot with `telegram_proxy` gets in its environment: a stand-in for its token, and the address of the local Bot API.

Both are in the note that the web process writes when the proxy of the bot is open. A bot that starts before that waits for it. The real
token is read by the web process alone: it is never in this process, which becomes the bot. Standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed

WAIT_S = 20.0
_LOOK_S = 0.02


def note_path(paths: FleetPaths, bot: str) -> Path:
    """Return the file in which the web process says how the bot reaches its Bot API."""
    return paths.bot_run(bot) / "telegram.json"


def proxy_variables(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a bot with a proxy, {} for one without. Raises LaunchFailed when there is no proxy for it."""
    settings = spec.get("telegram_proxy")
    if not isinstance(settings, dict):
        return {}
    note = _wait(note_path(FleetPaths(spec["folder"]), str(spec["name"])))
    if "error" in note:
        raise LaunchFailed(Reason(note.get("reason", Reason.CONFIG)), f"telegram_proxy: {note['error']}")
    return {str(settings["env"]): str(note["token"]), str(settings["url_env"]): str(note["url"])}


def _wait(path: Path) -> dict[str, Any]:
    """Return the note of a web process that lives. There is no event for a file, and this process must not open a connection."""
    deadline = time.monotonic() + WAIT_S
    while True:
        note = read_json(path)
        if isinstance(note, dict):
            web = Identity.from_json(note.get("web"))
            if web is not None and web.liveness() is Liveness.ALIVE:
                return note
        if time.monotonic() > deadline:
            raise LaunchFailed(
                Reason.START_FAILED,
                f"the web process has not opened the Bot API of telegram_proxy within {WAIT_S:g} s",
                hint="see psv status and .psv/logs/psv/web.err; it is tried again",
            )
        time.sleep(_LOOK_S)
