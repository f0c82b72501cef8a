"""One change of fleet.toml by psv itself: edited, checked as `psv check` does, written in one step, and taken over by a running fleet.

All or nothing: what would not be valid, or what the fleet refuses, leaves fleet.toml as it was to the byte. Two changes at once wait
for each other. What the change is comes from the caller, as a function on the text.
"""

from __future__ import annotations

import contextlib
import os
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from processsupervisor.cli.check import print_problems
from processsupervisor.cli.present import last_applied
from processsupervisor.cli.session import Session, keeper_runs, user_name
from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import Loaded, load_text
from processsupervisor.config.problem import Problem
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import ConfigError, NoSupervisor, PsvError, Refused, SystemRefused
from processsupervisor.kernel.files import is_flocked, write_atomic
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.supervisor.moves import Move, drop_move, drop_unfit, finish_moves, note_move
from processsupervisor.version import __version__

HAND_OVER_S = 30.0
_LOOK_AGAIN_S = 0.02
_BOM = b"\xef\xbb\xbf"


class Taken(Enum):
    """What became of the change: the fleet does not run; it runs by it now; it runs by an older fleet.toml."""

    DOWN = "down"
    NOW = "now"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Change:
    """`edit` turns the text into the new one; `reason` is for the version that it makes; `resting` must not run; `move` is what happens
    to what is kept of the bot."""

    edit: Callable[[str], str]
    reason: str
    resting: Sequence[str] = ()
    move: Move | None = None


def carry_out(session: Session, change: Change) -> Taken:
    """Do all of it, or nothing. Raises ConfigError for a change that would not be valid, Refused, and what `edit` raises."""
    paths = session.paths
    with _alone(paths.folder):
        before = _read(paths)
        after = _edited(before, change.edit)
        loaded = _checked(session, before, after)
        loaded["change"] = {"author": user_name(), "reason": change.reason}
        _drop_stale(paths, before)
        running = _running(session) if keeper_runs(paths) else None
        if running is None or (change.move is not None and after == before):
            for name in change.resting:
                if is_flocked(paths.bot_run(name) / "lock"):
                    how, way = (", without a supervisor", "psv up takes it over; then ") if running is None else ("", "")
                    raise Refused(f"{name} still runs{how}", hint=f"{way}psv stop {name}")
        if running is not None and not running.is_current and change.move is not None and after != before:
            why = "the fleet runs by an older fleet.toml, so that nothing can be moved under it"
            raise Refused(why, hint="psv config apply, then this again")
        return _write(session, change, before, after, loaded, running)


def _drop_stale(paths: FleetPaths, content: bytes) -> None:
    """Drop moves that do not fit fleet.toml as it is: nobody else is at it, so they were not carried out, and would hit a later bot."""
    bots = tomllib.loads(content.removeprefix(_BOM).decode()).get("bots")
    with contextlib.suppress(OSError, PsvError):
        drop_unfit(paths, bots if isinstance(bots, dict) else {})


@dataclass(frozen=True, slots=True)
class _Running:
    """The psvd that runs, and whether it runs by the fleet.toml of this moment and is of our version."""

    pid: int
    is_current: bool


def _running(session: Session) -> _Running:
    with session.client() as client:
        status = client.call("fleet.status")
    return _Running(_psvd_of(status), not status.get("config_differs") and status.get("version") == __version__)


def _psvd_of(status: dict[str, object]) -> int:
    processes = status.get("processes")
    rows = processes if isinstance(processes, list) else []
    return next((int(row["pid"]) for row in rows if row.get("role") == "psvd"), 0)


def _write(session: Session, change: Change, before: bytes, after: bytes, loaded: Applied, running: _Running | None) -> Taken:
    paths = session.paths
    old_applied = paths.applied.read_bytes() if running is not None else b""
    if change.move is not None:
        try:
            note_move(paths, change.move)
        except OSError as err:
            raise SystemRefused(f"cannot write in {paths.data}: {err.strerror}", hint="free some space; nothing was changed") from err
    try:
        if after != before:
            replace_file(paths.config, before, after)
        if running is not None and running.is_current and after != before:
            write_applied(paths, loaded)
            hand_over(session, change.resting)
    except PsvError:
        if after != before:
            with contextlib.suppress(SystemRefused, Refused):
                replace_file(paths.config, after, before)
        if old_applied:
            write_atomic(paths.applied, old_applied, durable=True)
        if change.move is not None:
            drop_move(paths, change.move)
        raise
    if running is None or after == before:
        _finish(paths, loaded)
        return Taken.DOWN if running is None else Taken.NOW
    if not running.is_current:
        return Taken.LATER
    wait_for_successor(session, running.pid)
    return Taken.NOW


def _finish(paths: FleetPaths, loaded: Applied) -> None:
    bots = {spec["name"] for spec in loaded["bots"]}
    drop_unfit(paths, bots)
    for why in finish_moves(paths, bots).values():
        raise SystemRefused(why, hint="psv up tries it again")


def hand_over(session: Session, resting: Sequence[str]) -> int:
    """Have a new psvd read the applied settings, and return the pid of the one that ends. Raises Refused when one of `resting` runs."""
    with session.client() as client:
        return int(client.call("fleet.hand-over", {"names": list(resting)})["pid"])


def wait_for_successor(session: Session, pid: int) -> None:
    """Return when another psvd than `pid` answers, with all bots adopted."""
    deadline = time.monotonic() + HAND_OVER_S
    while time.monotonic() < deadline:
        with contextlib.suppress(NoSupervisor), session.client() as client:
            if _psvd_of(client.call("fleet.status")) not in (pid, 0):
                return
        time.sleep(_LOOK_AGAIN_S)
    raise PsvError(f"fleet.toml is changed, but no new psvd answered within {HAND_OVER_S:g} s", hint="see psv status")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other changes of this folder's fleet.toml away; nothing is written for it."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(paths: FleetPaths) -> bytes:
    try:
        return paths.config.read_bytes()
    except OSError as err:
        raise ConfigError(f"cannot read {paths.config}: {err.strerror}", hint="check owner and mode, or make a fleet: psv init") from err


def _edited(content: bytes, edit: Callable[[str], str]) -> bytes:
    try:
        text = content.removeprefix(_BOM).decode("utf-8")
        edited = edit(text)
    except ValueError as err:  # no UTF-8, or no TOML
        raise ConfigError("fleet.toml cannot be read as it is", hint="mend it first: psv check names the places") from err
    return (_BOM if content.startswith(_BOM) else b"") + edited.encode("utf-8")


def _checked(session: Session, before: bytes, after: bytes) -> Applied:
    """Return the settings of the new text; raises ConfigError, with every new mistake printed, when it would not be valid."""
    last = last_applied(session.paths)
    loaded = _load(session.paths, after, last)
    new = _new_mistakes(_load(session.paths, before, last), loaded)
    print_problems(session, new)
    if new or loaded.applied is None:
        raise ConfigError("fleet.toml stays as it is: the change would not be valid", hint="the places above are those that it would have")
    return loaded.applied


def _load(paths: FleetPaths, content: bytes, last: Applied | None) -> Loaded:
    """Resolve `content` with what was set by command, and with the release that runs."""
    if last is None:
        return load_text(paths.folder, content)
    return load_text(paths.folder, content, runtime=last.get("runtime", ()), release=last.get("release"))


def _new_mistakes(before: Loaded, after: Loaded) -> list[Problem]:
    known = {(problem.code, problem.message) for problem in before.problems}
    return [p for p in after.problems if p.severity == "fatal" or (p.severity == "bot" and (p.code, p.message) not in known)]


def replace_file(path: Path, expected: bytes, content: bytes) -> None:
    """Replace a file of the configuration, through a link where it is one, with the owner and mode that it has.

    Raises Refused when it no longer holds what is `expected`, SystemRefused when it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.read_bytes() != expected:
            raise Refused(f"{path.name} was changed by somebody else in this moment", hint="give the command again")
        facts = target.stat()
        write_atomic(target, content, mode=0o600, durable=True)
        if os.geteuid() == 0:
            os.chown(target, facts.st_uid, facts.st_gid)
        target.chmod(facts.st_mode & 0o7777)
    except OSError as err:
        raise SystemRefused(f"cannot write {target}: {err.strerror}", hint="check owner, mode and free space; nothing was changed") from err
