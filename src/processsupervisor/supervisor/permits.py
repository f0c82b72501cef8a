"""What has to be true before a command may start a bot; each refusal says what to do about it."""

from __future__ import annotations

import asyncio

from processsupervisor.kernel.errors import Refused
from processsupervisor.kernel.states import HAS_PROCESS, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.fleet import Fleet


def refuse_wrong(fleet: Fleet, handle: BotHandle) -> None:
    """Refuse what cannot be started now; a mistake outside fleet.toml is looked at again at the start itself."""
    if fleet.keeper.is_silent:
        pid = fleet.keeper.last_pid
        raise Refused(f"{handle.name} cannot be started: the keeper (pid {pid}) gives no answer", hint=f"stopped? kill -CONT {pid}")
    if fleet.keeper.pid is None:
        raise Refused(f"{handle.name} cannot be started: no keeper", hint="bots go on as they are; psv up brings a new keeper")
    if (folder := fleet.moved_to()) is not None:
        way_out = f"move it back; or psv -C {folder} down, then psv -C {folder} up"
        raise Refused(f"{handle.name} cannot be started: the fleet folder was moved to {folder} while it runs", hint=way_out)
    if handle.spec["error"] and not handle.spec["error_rechecks"]:
        raise Refused(f"{handle.name} cannot be started: {handle.spec['error']}", hint="correct fleet.toml, then psv reload")


async def want_up(fleet: Fleet, handle: BotHandle, *, no_deps: bool, is_restart: bool = False) -> None:
    """Want a bot up, together with all others of the same command; raises Refused, and leaves what was wanted.

    A restart asks for no bot that is stopped: who ran without it comes back without it.
    """
    refuse_wrong(fleet, handle)
    name, before, budgets = handle.name, handle.wanted, fleet.budgets
    if wait_s := budgets.wait_s(handle):
        hint = 'it is started by itself then; raise login_budget in fleet.toml, or set it to "off", then psv reload'
        raise Refused(f"{name} is not started: {budgets.message(handle, wait_s)}", hint=hint)
    fleet.want(handle, Wanted.UP)
    fleet.forget_quick(handle)
    (fleet.dependencies.waived.add if no_deps else fleet.dependencies.waived.discard)(name)
    for _ in range(1 + fleet.dependencies.depth(handle)):
        await asyncio.sleep(0)  # what the same command says of those before it is done then
    if not is_restart and (off := fleet.dependencies.switched_off(handle)) and handle.life.state not in HAS_PROCESS:
        if handle.wanted is Wanted.UP:
            fleet.want(handle, before)
        hint = f"psv start {' '.join([*off, name])} starts both; --no-deps starts it without"
        raise Refused(f"{name} depends on {' and '.join(off)}, which {'are' if len(off) > 1 else 'is'} stopped", hint=hint)
