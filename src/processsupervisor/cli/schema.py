"""`psv config schema`: the JSON Schema of fleet.toml on stdout. Needs no fleet, and reads no file."""

from __future__ import annotations

import json

from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.jsonschema import json_schema
from processsupervisor.kernel.errors import EXIT_OK


def schema(session: Session, command: Command) -> int:
    """Print it, indented, in ASCII."""
    session.say_text(json.dumps(json_schema(), indent=2))
    return EXIT_OK
