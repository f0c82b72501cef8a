"""All commands by name, and `dispatch`: check the arguments, authorise, audit, call the handler.

Every way in (control socket, later HTTP and chat) goes through `dispatch`; no handler is called any other way. `ping` is
not here: the control server answers it itself, so that it works whatever else is broken.
"""

from __future__ import annotations

from collections.abc import Mapping

from processsupervisor.commands import bots, config, data, edits, fleet, letters, notify, release, secrets, service, tasks, versions
from processsupervisor.commands.command import Command, bind, nearest_hint
from processsupervisor.commands.ports import ASKING, Caller, Emit, FleetPort
from processsupervisor.kernel.errors import Refused, UsageError

REGISTRY: dict[str, Command] = {
    command.name: command
    for room in (fleet, bots, data, letters, edits, config, versions, release, secrets, tasks, service, notify)
    for command in room.COMMANDS
}

_GRANTS: dict[str, frozenset[str]] = {
    # The socket is 0600 and the server has looked at the peer's uid: who comes this way is the owner.
    "control": frozenset({"view", "operate", "admin", "own"}),
    "bot": frozenset({"own"}),
}


def authorise(caller: Caller, command: Command) -> None:
    """Raise Refused unless `caller` holds the permission of `command`."""
    if command.permission not in _GRANTS.get(caller.via, frozenset()):
        raise Refused(f"{caller.name} may not use {command.name}", hint=f'it needs the permission "{command.permission}"')


async def dispatch(port: FleetPort, op: str, raw_args: Mapping[str, object], caller: Caller, emit: Emit) -> object:
    """Carry out `op` for `caller` and return its JSON-able result; events of a streaming command go to `emit`.

    Raises UsageError for an unknown operation or wrong arguments, Refused without the permission, and what the handler
    raises. Cancellation reaches the handler; an operation already begun on a bot goes on in the fleet.
    """
    command = REGISTRY.get(op)
    if command is None:
        raise UsageError(f'there is no operation "{op}"', hint=nearest_hint(op, list(REGISTRY), "known are"))
    if command.handler is None:
        raise UsageError(f"{op} is carried out by the client, not by psvd")
    args = bind(command, raw_args)
    authorise(caller, command)
    if command.permission != "view":
        port.audit(caller, op, args)
    ASKING.set(caller.name)
    return await command.handler(port, emit, **args)
