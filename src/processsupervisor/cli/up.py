"""`psv up`: check everything, then become the keeper (foreground) or leave one behind (--detach).

Nothing starts before the configuration is known to be usable and the folder to be fit. In the foreground this very process
becomes the keeper by exec, so that the pid that a service manager or a container knows is the keeper's.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from typing import Any, NoReturn

from processsupervisor.cli import machine
from processsupervisor.cli.check import print_problems, status_of
from processsupervisor.cli.config import read_files
from processsupervisor.cli.detach import Started, start_detached
from processsupervisor.cli.elsewhere import hold_back
from processsupervisor.cli.fleet import differing
from processsupervisor.cli.present import last_applied, rejected, version_of
from processsupervisor.cli.progress import count, read_hints, talk_hint
from processsupervisor.cli.session import Session, keeper_runs, user_name
from processsupervisor.commands.command import Command
from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.ondisk import FilesOnDisk
from processsupervisor.config.spec import Applied
from processsupervisor.ipc.client import ControlClient, living_bots
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, PsvError, Refused, UsageError
from processsupervisor.launch.code import Code, install, prune
from processsupervisor.supervisor.moves import drop_unfit

KEEPER = "processsupervisor.process.keeper"
_SILENT_S = 2.0
"""How long a wait says nothing."""


def up(session: Session, command: Command, *, detach: bool, wait: bool, timeout_s: float) -> int:
    """Start the fleet."""
    if wait and not detach:
        raise UsageError("--wait goes with --detach", hint="psv up --detach --wait")
    machine.require_linux()
    if keeper_runs(session.paths):
        if not detach:
            raise Refused(f"the fleet in {session.paths.folder} already runs", hint="see psv status; end it with psv down")
        session.say(f"the fleet in {session.paths.folder} already runs")
        status = report(session, wait, timeout_s)
        with session.client() as client:
            if line := differing(client.call("fleet.status")):
                session.say(line)
        return status
    machine.require_folder(session.paths)
    last = last_applied(session.paths)
    if last is not None and living_bots(session.paths):
        applied, status = _as_they_run(session, last), EXIT_OK
    else:
        loaded = read_cold(session, last)
        print_problems(session, loaded.problems)
        if loaded.applied is None:
            return EXIT_USAGE
        applied = _last_good(session, loaded.applied, last)
        status = EXIT_OK if applied is last else status_of(loaded)
    held = hold_back(session, applied)
    write_applied(session.paths, applied)
    drop_unfit(session.paths, {spec["name"] for spec in applied["bots"]})
    code = install(session.paths)
    prune(session.paths, code)
    if detach:
        return max(_detach(session, code, held, wait, timeout_s), status)
    become_keeper(session, code)


def read_cold(session: Session, last: Applied | None) -> Loaded:
    """Read the files with the values set by command; without them when they do not fit any more: only a running psvd could unset them."""
    loaded = read_files(session, last)
    if not loaded.fatal or last is None or not last.get("runtime"):
        return loaded
    plain = load_fleet(session.paths.folder, release=last.get("release"))
    if plain.fatal:
        return loaded
    print_problems(session, (problem for problem in loaded.problems if problem.severity == "fatal"))
    session.note("what was set by command does not fit these files any more and is left out, all of it")
    return plain


def _as_they_run(session: Session, last: Applied) -> Applied:
    """Return what bots that run on were started with: other files are not applied over their heads, nor a change that was cut off."""
    if FilesOnDisk(session.paths, last).digest() != last["source_digest"]:
        session.note("fleet.toml differs from what the bots that are taken over run by; psv config plan shows how, then psv config apply")
    return last


def _last_good(session: Session, new: Applied, last: Applied | None) -> Applied:
    """Return what is to run: what the files say, as a change of whoever calls, unless that was rejected before; then what ran last."""
    digest = new["source_digest"]
    if last is None or digest == last["source_digest"] or (why := rejected(session.paths).get(digest)) is None:
        return {**new, "change": {"author": user_name(), "reason": "psv up"}}
    number = version_of(session.paths, last).get("number")
    version = "what ran last" if number is None else f"version {number}"
    session.note(f"fleet.toml differs from {version}, which runs: rejected because {why['reason']}; psv config apply --again, or mend it")
    for spec in last["bots"]:
        if spec["is_elsewhere"]:  # looked for anew
            spec["error"], spec["error_rechecks"], spec["is_elsewhere"] = None, False, False
    return last


def _detach(session: Session, code: Code, held: set[str], wait: bool, timeout_s: float) -> int:
    started = start_detached(session.paths, code.argv(KEEPER, str(session.paths.folder)), timeout_s)
    if started is Started.ALREADY:
        session.say(f"the fleet in {session.paths.folder} already runs")
    return report(session, wait, timeout_s, held)


def report(session: Session, wait: bool, timeout_s: float, told: Collection[str] = ()) -> int:
    """Say what runs; with `wait` after all that is wanted is ready, naming what is not; of the bots in `told` it was said why."""
    with session.client() as client:
        if not wait:
            fleet = client.call("fleet.status")
            states = fleet.get("bots") or {}
            session.say(f"fleet {fleet.get('fleet')} runs in the background with {count(sum(states.values()))}; see psv status")
            if fleet.get("web"):
                session.say(f"web {fleet['web']}")
            return EXIT_OK
        result = _wait(session, client, timeout_s)
    for bot in (bot for bot in result["not_ready"] if bot["name"] not in told):
        reason = f": {bot['reason']}" if bot.get("reason") else ""
        session.note(f"{bot['name']} is not ready: {bot['state']}{reason}; see psv bot status {bot['name']}")
    session.say(f"{count(len(result['ready']))} ready")
    if result.get("web"):
        session.say(f"web {result['web']}")
    for hint in (*talk_hint(session.paths), *read_hints(session.paths)):
        session.say(hint)
    return EXIT_FAILED if result["not_ready"] else EXIT_OK


def _wait(session: Session, client: ControlClient, timeout_s: float) -> dict[str, Any]:
    """Wait until all that is wanted is ready or has failed; say after a moment on which bots it waits."""
    first_s = min(_SILENT_S, timeout_s)
    began = time.monotonic()
    result: dict[str, Any] = client.call("fleet.wait", {"timeout_s": first_s}, timeout_s=first_s + 10)
    waiting = [str(bot["name"]) for bot in result["not_ready"]]
    if not waiting or time.monotonic() - began < first_s or timeout_s <= first_s:
        return result
    more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
    session.note(f"waiting for {', '.join(waiting[:3])}{more}")
    result = client.call("fleet.wait", {"timeout_s": timeout_s - first_s}, timeout_s=timeout_s + 10)
    return result


def become_keeper(session: Session, code: Code, printer: str = "processsupervisor.cli.progress") -> NoReturn:
    """Start the module `printer` beside this process and exec the keeper; does not return."""
    keeper = os.getpid()
    argv = [sys.executable, "-P", "-m", printer, str(session.paths.folder), str(keeper), f"{time.time():.3f}"]
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            # Ignored until the printer has handlers of its own: a Ctrl-C now is the keeper's affair, not the end of the printer.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execv(argv[0], argv)
        finally:
            os._exit(127)
    try:
        command = code.argv(KEEPER, str(session.paths.folder), "--foreground", "--progress-pid", str(child))
        os.execv(command[0], command)
    except OSError as err:
        raise PsvError(f"cannot become the keeper: {err.strerror}", hint="see psv doctor") from err
