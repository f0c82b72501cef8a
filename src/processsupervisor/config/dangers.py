"""What is legal and dangerous all the same: warnings that look at several bots, or at the machine.

Each is a small function in a list, over the bots that nothing else is wrong with. They are cheap, and name no token.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping

from processsupervisor.config.logins import DISCORD_LIMIT, Logins
from processsupervisor.config.problem import Finding, KeyPath, table_name
from processsupervisor.config.resolve import Resolved
from processsupervisor.config.rules import Site
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.units import format_bytes

Fleet = Mapping[str, Resolved]
_DAY_S = 86400.0


def one_token_for_two(fleet: Fleet, logins: Logins, site: Site) -> Iterator[tuple[str, Finding]]:
    """Two bots that lock the same network token: only one of them can run at a time."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, bot in fleet.items():
        for variable in (lock["env"] for lock in bot.spec["lock"] if "env" in lock):
            token = _token(bot.spec, variable, site)
            if token:
                users.setdefault((variable, token), []).append(name)
    for (variable, _), names in users.items():
        if len(names) > 1:
            yield _second_user(fleet, variable, names)


def _second_user(fleet: Fleet, variable: str, names: list[str]) -> tuple[str, Finding]:
    """Return the warning at the second bot of a token, or at the template of all of them."""
    template = fleet[names[0]].template
    path: KeyPath = ("env", variable) if variable in fleet[names[1]].spec["env"] else ("lock",)
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    if template is not None and all(fleet[name].template == template for name in names):
        text = f"{len(names)} bots of [{table_name(('bots', template))}] have one {variable}: all but one of them wait as lock-held"
        hint = f'give each its own, as in env.{variable} = "env:{variable}_{{n}}"'
        return names[1], Finding(path, "template-token", text, hint, warning=True)
    text = f"bots {names[0]}, {names[1]}{rest} have one {variable}: all but one of them wait as lock-held"
    return names[1], Finding(path, "token-shared", text, "give each bot a token of its own", warning=True)


def _token(spec: BotSpec, variable: str, site: Site) -> str | None:
    """Return the value of a variable as the bot will have it, a reference as it is written; None when it has none now."""
    if variable in spec["env"]:
        return spec["env"][variable]
    for path in reversed(spec["env_files"]):
        if (value := site.env_file(path).get(variable)) is not None:
            return value
    return os.environ.get(variable) if variable in spec["inherit"] else None


def more_memory_than_there_is(fleet: Fleet, logins: Logins, site: Site) -> Iterator[tuple[str, Finding]]:
    """Limits of memory, of one bot or of all together, that are no limits because the machine has less."""
    machine = _machine_bytes()
    limits = {name: limit for name, bot in fleet.items() if (limit := bot.spec["limits"]["memory_bytes"]) is not None}
    if not machine or not limits:
        return
    path: KeyPath = ("limits", "memory")
    for name, limit in limits.items():
        if limit > machine:
            text = f"found limits.memory of {format_bytes(limit)}, and this machine has {format_bytes(machine)}"
            yield name, Finding(path, "memory-over-machine", text, "a limit above the machine's memory limits nothing", warning=True)
    total = sum(limits.values())
    if total > machine and max(limits.values()) <= machine:
        count = f"{len(limits)} bots" if len(limits) > 1 else "one bot"
        text = f"limits.memory of {count} come to {format_bytes(total)} together, and this machine has {format_bytes(machine)}"
        hint = "when all are large at once, the kernel kills what it likes: lower the limits, or run fewer bots here"
        yield max(limits, key=limits.__getitem__), Finding(path, "memory-over-machine", text, hint, warning=True)


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def more_starts_than_logins(fleet: Fleet, logins: Logins, site: Site) -> Iterator[tuple[str, Finding]]:
    """Restart windows that somebody wrote and that allow more starts in a day than the network allows logins."""
    for name, bot in fleet.items():
        written = bot.used.get("restart")
        if not bot.spec["lock"] or not isinstance(written, dict) or "window" not in written:
            continue
        budget = bot.spec["login_budget"]
        limit = _a_day(budget["count"], budget["within_s"]) if budget else DISCORD_LIMIT if logins.speaks_discord(bot.spec) else None
        starts = min((_a_day(window["count"], window["within_s"]) for window in bot.spec["restart"]["window"]), default=None)
        if limit is not None and (starts is None or starts > limit):
            allowed = f"allow {starts} starts a day" if starts is not None else "set no limit to starts"
            text = f"the windows of restart {allowed}, and the network {limit} logins"
            hint = 'lower them, as in { count = 100, within = "24h" }: at the limit of the network the token is reset, or the bot held back'
            yield name, Finding(("restart", "window"), "more-starts-than-logins", text, hint, warning=True)


def _a_day(count: int, within_s: float) -> int:
    return count * max(1, math.ceil(_DAY_S / within_s))


Danger = Callable[[Fleet, Logins, Site], Iterator[tuple[str, Finding]]]
DANGERS: tuple[Danger, ...] = (one_token_for_two, more_memory_than_there_is, more_starts_than_logins)


def dangers(fleet: Fleet, logins: Logins, site: Site) -> Iterator[tuple[str, Finding]]:
    """Yield `(bot, warning)` of every kind."""
    for danger in DANGERS:
        yield from danger(fleet, logins, site)
