"""One probe of one bot: what it asks, and the words for why the bot did not pass. Nothing here judges.

http and tcp are asked by psvd itself, a command runs as the bot (process/hookrun.py): never with more than the bot may do.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from processsupervisor.config.spec import BotSpec, HealthSpec
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import is_exhausted
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_LAUNCH_FAILED
from processsupervisor.launch.known import known_values
from processsupervisor.observe.redact import redact
from processsupervisor.process.hookjob import run_job
from processsupervisor.process.reach import accept, answer

Kind = Literal["http", "tcp", "exec"]
KINDS: tuple[Kind, ...] = ("http", "tcp", "exec")
_SHOWN_CHARACTERS = 200


def shown(kind: Kind, health: HealthSpec) -> str:
    """Return how a probe is named in messages: its kind and what it asks; an address without a password in it."""
    if kind == "exec":
        return f"exec {(health['exec'] or [''])[0]}"
    return redact(f"{kind} {health[kind]}")


async def ask(paths: FleetPaths, spec: BotSpec, kind: Kind) -> str | None:
    """Ask once; return "" when the bot passes, why not otherwise, and None when it says nothing about the bot.

    Cancelled, it ends what it began.
    """
    health = spec["health"]
    assert health is not None
    if kind == "exec":
        return await _execute(paths, spec, health)
    try:
        async with asyncio.timeout(health["timeout_s"]):
            await (accept(int(health["tcp"] or 0)) if kind == "tcp" else answer(str(health["http"])))
    except TimeoutError:
        return f"no answer within {health['timeout_s']:g} s"
    except OSError as err:
        return None if is_exhausted(err) else _words(err)
    return ""


async def _execute(paths: FleetPaths, spec: BotSpec, health: HealthSpec) -> str | None:
    event = {"hook": "probe", "bot": spec["name"], "at": wall(), "fleet": str(paths.folder)}
    result = await run_job(paths, spec, health["exec"] or [], health["timeout_s"], env=health["env"], event=event)
    last = redact(str(result["tail"][-1]), known_values(paths, spec["name"])).strip()[:_SHOWN_CHARACTERS] if result["tail"] else ""
    tail = f": {last}" if last else ""
    if result["outcome"] == "timed-out":
        return f"not done within {health['timeout_s']:g} s{tail}"
    if result["outcome"] == "ok":
        return ""
    if result["code"] == EXIT_LAUNCH_FAILED and last:
        return last  # it never began, and the line says why
    # Without a code it never ran, or somebody ended what ran it: that is not the bot's doing.
    return None if result["code"] is None else f"exit code {result['code']}{tail}"


def _words(err: OSError) -> str:
    if isinstance(err, ConnectionRefusedError):
        return "connection refused"
    return str(err)[:_SHOWN_CHARACTERS] or type(err).__name__
