"""`psv notify test`: one message through each channel of fleet.toml, sent as the notifier sends it, and what came back.

It needs no running fleet and leaves none of its queue behind. Variables come from env_file and from the environment of this command.
"""

from __future__ import annotations

import fnmatch
import socket
import time

from processsupervisor.cli.check import print_problems
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command, nearest_hint
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import NotifySpec
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError
from processsupervisor.notify.couriers import deliver_once
from processsupervisor.notify.message import Gathered, Sender, compose

_TEXT = "sent by psv notify test; nothing is wrong"


def test(session: Session, command: Command, *, names: list[str]) -> int:
    """Send a test message through the chosen channels; 1 unless all were delivered."""
    loaded = load_fleet(session.paths.folder)
    if loaded.applied is None:
        print_problems(session, loaded.problems)
        return EXIT_USAGE
    channels = _chosen(loaded.applied.get("notify", []), names)
    rows = [_try(session, loaded.applied["fleet"]["name"], channel) for channel in channels]
    if session.as_json:
        session.print_json(rows)
    else:
        cells = [[str(row[key]) for key in ("name", "to", "result", "said")] for row in rows]
        print_table(("CHANNEL", "TO", "RESULT", "WHAT CAME BACK"), cells)
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_FAILED


def _chosen(channels: list[NotifySpec], names: list[str]) -> list[NotifySpec]:
    known = [channel["name"] for channel in channels]
    if not known:
        raise UsageError("fleet.toml has no table [notify.NAME]", hint="see docs/howto/notify.md")
    for name in names:
        if not fnmatch.filter(known, name):
            raise UsageError(f'there is no channel "{name}"', hint=nearest_hint(name, known, "known are"))
    return [c for c in channels if not names or any(fnmatch.fnmatchcase(c["name"], name) for name in names)]


def _try(session: Session, fleet: str, channel: NotifySpec) -> dict[str, object]:
    now = time.time()
    message = compose(Sender(fleet, socket.gethostname(), str(session.paths.folder)), "test", [Gathered("", 1, _TEXT, now, now)])
    began = time.monotonic()
    result = deliver_once({"folder": str(session.paths.folder), "timeout_s": channel["timeout_s"], "channel": channel,
                           "message": message, "heartbeat": None})  # fmt: skip
    took_s = round(time.monotonic() - began, 3)
    words = "delivered" if result["ok"] else "failed"
    return {"name": channel["name"], "to": channel["to"], "ok": result["ok"], "result": words, "said": result["said"], "took_s": took_s}
