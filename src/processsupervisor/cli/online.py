"""`psv doctor --online`: every network token and model key of the fleet is tried at the server that it is for, all at once.

Finding them is credentials', asking networks'. Whatever a server does, this ends: each has its deadline, and who has not
answered by the last of them is named.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from functools import partial

from processsupervisor.cli.credentials import Credential, find, parse_bases
from processsupervisor.cli.finding import Finding
from processsupervisor.cli.networks import Round, longest_s, look
from processsupervisor.config.elsewhere import find_elsewhere
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder, token_holder

AT_ONCE = 16
_LOG_S = 600.0
_CONFLICT = r"Conflict: terminated by other getUpdates request"


def ask_all(paths: FleetPaths, base_url: str | None, timeout_s: float) -> list[Finding]:
    """Return what was found of each credential, in the order of fleet.toml; raises UsageError for a wrong `base_url`."""
    bases = parse_bases(base_url)
    applied = load_fleet(paths.folder).applied
    if applied is None:
        return [Finding("tokens", "bad", "fleet.toml cannot be read", "see psv check")]
    credentials, unknown = find(applied["bots"], bases, paths.folder)
    findings = [Finding(f"token: {bot} ({name})", "note", "of no network that psv can ask", "it was not tried") for bot, name in unknown]
    if not credentials and not findings:
        return [Finding("tokens", "ok", "none in env, env_file and lock of the bots")]
    round_ = Round(timeout_s, partial(_running, paths), partial(_conflicts, paths), partial(_elsewhere, applied["bots"]))
    return _at_once(credentials, round_) + findings


def _at_once(credentials: list[Credential], round_: Round) -> list[Finding]:
    """Ask about all, AT_ONCE at a time. The threads are daemons: one that a server holds up does not hold up the end."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, list[Finding]]] = queue.SimpleQueue()
    for number in range(len(credentials)):
        waiting.put(number)

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((number, look(credentials[number], round_)))

    for _ in range(min(AT_ONCE, len(credentials))):
        threading.Thread(target=work, daemon=True).start()
    deadline = time.monotonic() + longest_s(round_) * math.ceil(len(credentials) / AT_ONCE)
    results = _collect(done, len(credentials), deadline)
    missing = partial(Finding, level="note", found="no whole answer in time", instead="nothing is known of it; look at the network")
    return [finding for number, c in enumerate(credentials) for finding in results.get(number) or [missing(c.check)]]


def _collect(done: queue.SimpleQueue[tuple[int, list[Finding]]], count: int, deadline: float) -> dict[int, list[Finding]]:
    results: dict[int, list[Finding]] = {}
    while len(results) < count and (left := deadline - time.monotonic()) > 0:
        try:
            number, findings = done.get(timeout=left)
        except queue.Empty:
            break
        results[number] = findings
    return results


def _running(paths: FleetPaths, credential: Credential) -> list[str]:
    """Return the bots with this credential that run now, by what stands in their locks: no psvd is needed."""

    def runs(bot: str) -> bool:
        holder = read_holder(paths.bot_run(bot) / "lock")
        identity = Identity.from_json(holder) if holder is not None else None
        return identity is not None and identity.liveness() is Liveness.ALIVE

    return [bot for bot in credential.bots if runs(bot)]


def _elsewhere(specs: list[BotSpec], credential: Credential) -> str:
    """Return who else on this machine has the credential: a bot of another fleet, by its lock, or one of these bots."""
    holder = token_holder(credential.value)
    if holder is not None:
        return f"bot {holder.get('bot')} of the fleet in {holder.get('folder')} (pid {holder.get('pid')})"
    found = find_elsewhere([spec for spec in specs if spec["name"] in credential.bots])
    return f"{found[0].bot}: {found[0].text}" if found else ""


def _conflicts(paths: FleetPaths, bots: list[str]) -> int:
    from processsupervisor.process.logview import read

    return sum(not line.is_gap for line in read(paths, bots, since_s=_LOG_S, grep=_CONFLICT))
