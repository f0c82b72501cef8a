"""The commands on the configuration (`config.*`): declarations, and the handlers of those that psvd carries out."""

from __future__ import annotations

from processsupervisor.commands.command import Command

COMMANDS = (
    Command("config.schema", "Print the JSON Schema of fleet.toml, by which an editor completes and checks it", (), "view",
            place="client", verbs=("config schema",)),
)
