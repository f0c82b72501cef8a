"""How the bots of a message ended last, as psvd knows it: why, with which code or signal, which exception and where, never its text.

Asked when the message is made, a second after the event: by then psvd has read the last log lines. Without an answer it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.observe.redact import redact

_PATIENCE_S = 1.0
_LONGEST_MESSAGE = 300


class Place(TypedDict):
    """An exception's type, and where it was raised."""

    type: str
    file: str
    line: int


class LastExit(TypedDict):
    """The last exit of a bot; `at` is epoch seconds, `is_failed` tells that the bot is FAILED by it."""

    message: str
    exit_code: int | None
    signal: str | None
    exception: Place | None
    at: float
    is_failed: bool


def ask_exits(paths: FleetPaths, bots: Sequence[str]) -> dict[str, LastExit]:
    """Return the last exits of these bots, as far as psvd tells them."""
    try:
        with ControlClient(paths, _PATIENCE_S) as client:
            rows = client.call("bot.status", {"names": list(bots)})
    except PsvError:
        return {}
    return {row["name"]: exit_of(row, paths.folder) for row in rows if row.get("last_exit")}


def exit_of(row: dict[str, Any], folder: Path) -> LastExit:
    """Return the last exit out of an object of bot.status; files in the fleet folder are named from there."""
    last = row["last_exit"]
    exception, place = last.get("exception"), None
    if exception:
        file = str(exception["file"]).removeprefix(f"{folder}/")
        place = Place(type=str(exception["type"]), file=file, line=int(exception["line"]))
    return {
        "message": redact(" ".join(str(last["message"]).encode("utf-8", "replace").decode().split()))[:_LONGEST_MESSAGE],
        "exit_code": last["exit_code"], "signal": last["signal"], "exception": place, "at": float(last["at"]),
        "is_failed": row["state"] == "FAILED",
    }  # fmt: skip


def words_of(last: LastExit, said: str) -> str:
    """Return the exit in a few words, without what was `said` already; it may be empty."""
    parts = [last["message"]] if last["message"] not in said else []
    so_far = f"{said} {last['message']}"
    if last["exit_code"] and f"exited with {last['exit_code']}" not in so_far:
        parts.append(f"exit code {last['exit_code']}")
    if last["signal"] and last["signal"] not in so_far:
        parts.append(str(last["signal"]))
    if (place := last["exception"]) is not None:
        parts.append(f"{place['type']} at {place['file']}:{place['line']}")
    return ", ".join(parts)
