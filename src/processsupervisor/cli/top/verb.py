"""`psv top`: whether there is a screen to use, then the screen. Imports Textual only when there is one."""

from __future__ import annotations

import os
import sys

from processsupervisor.cli.session import Session, is_terminal
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import UsageError

_INSTEAD = "psv ls prints the bots once, psv events -f and psv logs -f follow them"


def top(session: Session, command: Command, *, names: list[str], type: str | None, every_s: float) -> int:
    """Show the fleet until the user quits."""
    paths = session.paths
    # Textual writes to stderr, so that must be the terminal too.
    if not (is_terminal() and all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))):
        raise UsageError("psv top needs a terminal for stdin, stdout and stderr", hint=_INSTEAD)
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise UsageError("this terminal cannot show a full screen (TERM is not set, or dumb)", hint=_INSTEAD)
    from processsupervisor.cli.top.app import TopApp

    app = TopApp(paths, names, type, every_s)
    app.run()
    return app.return_code or 0
