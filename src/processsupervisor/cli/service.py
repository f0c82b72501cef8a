"""`psv service install|remove`: let the machine start this fleet at boot, by systemd or by cron.

Decides which, for whom and with what environment; the unit's text is unit's, the crontab's line crontab's. Both verbs may be
given again: what is there already is left as it is. A file that psv did not write, or that somebody changed, is never touched.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from processsupervisor.cli import machine
from processsupervisor.cli.check import print_problems
from processsupervisor.cli.crontab import fits, line_for, read_crontab, with_line, write_crontab
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.cli.unit import Service, Written, psv_argv, read_unit, render, unit_folder, unit_name, units_of
from processsupervisor.commands.command import Command
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import EXIT_OK, EXIT_USAGE, PsvError, Refused
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths

BOOTED = Path("/run/systemd/system")
"""sd_booted(3)"""
_CARRIED = ("PATH", "LANG", "TZ", "PSV_RUNTIME_DIR")
_GIVEN_BY_SYSTEMD = frozenset({"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL"})
_PATIENCE_S = 60.0
_START_PATIENCE_S = 620.0
"""Longer than TimeoutStartSec= of the unit."""


def install(session: Session, command: Command, *, user: bool | None, now: bool, print: bool) -> int:
    """Write the unit or the line, enable it, and start the fleet if that is wanted."""
    machine.require_linux()
    paths = session.paths
    if not str(paths.folder).isprintable():
        raise Refused("the fleet folder's path has characters that no unit and no crontab can hold", hint="move the fleet")
    loaded = load_fleet(paths.folder)
    print_problems(session, loaded.problems)
    if loaded.applied is None:
        return EXIT_USAGE
    is_user = os.geteuid() != 0 if user is None else user
    service = _service(paths, loaded.applied, is_user)
    if not BOOTED.is_dir() and not (print and user is not None):
        return _install_line(session, service, now=now, is_print=print)
    if print:
        session.say_text(render(service).rstrip("\n"))
        session.note(f"this would be {unit_folder(is_user) / unit_name(service.fleet)}")
        return EXIT_OK
    _warn(session, service, loaded.applied)
    return _install_unit(session, service, now=now)


def remove(session: Session, command: Command, *, user: bool | None, now: bool) -> int:
    """Disable and remove every unit and line of this fleet."""
    machine.require_linux()
    folder = session.paths.folder
    found = [(written, is_user) for is_user in (True, False) if user in (None, is_user) for written in units_of(folder, is_user)]
    for written, is_user in found:
        _require_untouched(written)
        _require_right(is_user)
    for written, is_user in found:
        _systemctl(is_user, "disable", *(["--now"] if now else []), written.path.name, timeout_s=_START_PATIENCE_S)
        written.path.unlink(missing_ok=True)
        _systemctl(is_user, "daemon-reload")
        session.say(f"removed {written.path}")
    is_line = _remove_line(session, session.paths)
    if not found and not is_line:
        session.say(f"nothing starts the fleet in {folder} at boot")
    if now and is_line and keeper_runs(session.paths):
        return _psv(folder, "down")
    return EXIT_OK


def _service(paths: FleetPaths, applied: Applied, is_user: bool) -> Service:
    """Say who runs the fleet: root must not run what another user may write, so a unit of the machine is that user's."""
    owner = _owner(paths)
    if owner != os.geteuid() and (is_user or os.geteuid() != 0):
        raise Refused(f"the fleet in {paths.folder} belongs to uid {owner}", hint="give the command as that user, or as root with --system")
    user, home = _entry(owner)
    environment = {name: value for name in _CARRIED if (value := os.environ.get(name)) and value.isprintable()}
    if owner == 0 and not is_user:
        environment["HOME"] = home  # systemd sets it only beside User=
    fleet = applied["fleet"]
    return Service(paths.folder, fleet["name"], is_user, user if owner != 0 and not is_user else None, fleet["down_timeout_s"], environment)


def _owner(paths: FleetPaths) -> int:
    return (paths.psv if paths.psv.exists() else paths.folder).stat().st_uid


def _entry(uid: int) -> tuple[str, str]:
    """Return name and home folder of a user."""
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), "/"
    return entry.pw_name, entry.pw_dir


def _warn(session: Session, service: Service, applied: Applied) -> None:
    """Say what will be otherwise than under the shell that asks."""
    inherited = {name for bot in applied["bots"] for name in bot["inherit"]} - _GIVEN_BY_SYSTEMD
    if inherited:
        session.note(f"bots inherit {', '.join(sorted(inherited))} from psv, which a service has not; give them in an env_file")
    if service.user is not None:
        session.note(
            f"in a unit of the machine's with User={service.user} bots end and start with psv; "
            f"as {service.user}, psv service install --user keeps them over its restarts"
        )


# -- systemd


def _install_unit(session: Session, service: Service, *, now: bool) -> int:
    _require_right(service.is_user)
    name = unit_name(service.fleet)
    path = unit_folder(service.is_user) / name
    before = _present(path, service.folder)
    others = [written for written in units_of(service.folder, service.is_user) if written.path != path]
    for written in others:
        _require_untouched(written)
    is_active = _is_active(service.is_user, name)
    if now and not is_active and keeper_runs(FleetPaths(service.folder)):
        raise Refused(
            "the fleet runs already, outside of the unit; nothing was written",
            hint="psv down first; or without --now, and the unit starts it at the next boot",
        )
    text = render(service).encode("utf-8", "surrogateescape")
    if text != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text, mode=0o644, durable=True)
    try:
        _systemctl(service.is_user, "daemon-reload")
        _systemctl(service.is_user, "enable", name)
    except PsvError:
        _restore(path, before)
        raise
    for written in others:  # the fleet had another name
        _systemctl(service.is_user, "disable", written.path.name)
        written.path.unlink(missing_ok=True)
    session.say(f"{path} {'is there already' if text == before else 'written'}; it starts the fleet at boot")
    if service.is_user:
        _linger(session)
    if now and not is_active:
        _systemctl(service.is_user, "start", name, timeout_s=_START_PATIENCE_S)
        session.say(f"{name} started; see psv status")
    elif not is_active:
        session.say(f"start it now: systemctl {'--user ' if service.is_user else ''}start {name}")
    return EXIT_OK


def _present(path: Path, folder: Path) -> bytes | None:
    """Return the content of psv's own unit for this fleet at `path`, None when there is none; refuses any other file."""
    try:
        written = read_unit(path)
    except FileNotFoundError:
        return None
    if written is None:
        raise Refused(f"{path} was not written by psv; nothing was changed", hint="move it away, or give the fleet another [fleet] name")
    if written.folder != str(folder):
        raise Refused(f"{path} is the unit of the fleet in {written.folder}; nothing was changed", hint="give one another [fleet] name")
    _require_untouched(written)
    return path.read_bytes()


def _require_untouched(written: Written) -> None:
    if not written.is_untouched:
        hint = f"put changes into a drop-in (systemctl edit {written.path.name}) and remove the file by hand"
        raise Refused(f"{written.path} was changed since psv wrote it; nothing was changed", hint=hint)


def _require_right(is_user: bool) -> None:
    if not is_user and os.geteuid() != 0:
        raise Refused("a unit of the machine's needs root", hint="give the command with sudo, or with --user")


def _restore(path: Path, before: bytes | None) -> None:
    with contextlib.suppress(OSError):
        if before is None:
            path.unlink()
        else:
            write_atomic(path, before, mode=0o644, durable=True)


def _is_active(is_user: bool, name: str) -> bool:
    return _ask_systemctl(is_user, "is-active", name).stdout.strip() in ("active", "activating", "reloading")


def _systemctl(is_user: bool, *words: str, timeout_s: float = _PATIENCE_S) -> None:
    done = _ask_systemctl(is_user, *words, timeout_s=timeout_s)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        hint = "see journalctl -n 50" if not is_user else "log in as that user (not by su), or set XDG_RUNTIME_DIR=/run/user/UID"
        raise PsvError(f"systemctl {' '.join(words)} failed: {said[0] if said else done.returncode}", hint=hint)


def _ask_systemctl(is_user: bool, *words: str, timeout_s: float = _PATIENCE_S) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", *(["--user"] if is_user else []), *words]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as err:
        raise PsvError("there is no systemctl on PATH", hint="add the folder of systemctl to PATH") from err
    except subprocess.TimeoutExpired as err:
        raise PsvError(f"systemctl {' '.join(words)} took longer than {timeout_s:.0f} s", hint="see systemctl status") from err


def _linger(session: Session) -> None:
    """Have the user's manager started at boot and not ended with the last login."""
    user = _entry(os.geteuid())[0]
    if Path("/var/lib/systemd/linger", user).exists():
        return
    command = ["loginctl", "enable-linger", user]
    try:
        is_done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        is_done = False
    if not is_done:
        session.note(f"the unit runs only while {user} is logged in; as root: loginctl enable-linger {user}")


# -- cron


def _install_line(session: Session, service: Service, *, now: bool, is_print: bool) -> int:
    environment = {name: value for name, value in service.environment.items() if name != "HOME"}  # cron sets that
    line = line_for(service.folder, environment)
    if not fits(line) and environment.pop("PATH", None) is not None:
        line = line_for(service.folder, environment)
        session.note("PATH is too long for cron and was left out; name programs in fleet.toml by their whole path")
    if not fits(line):
        raise Refused("the crontab line would be longer than cron takes", hint="move the fleet, or psv, to a shorter path")
    if is_print:
        session.say(line)
        return EXIT_OK
    before = read_crontab(service.user)
    after = with_line(before, service.folder, line)
    if after != before:
        write_crontab(service.user, after)
    whose = f" of {service.user}" if service.user else ""
    what = "is there already" if after == before else "was added"
    session.say(f"crontab{whose}: the line {what}; it starts the fleet at boot (there is no systemd here)")
    if now and not keeper_runs(FleetPaths(service.folder)):
        return _psv(service.folder, "up", "--detach")
    return EXIT_OK


def _psv(folder: Path, *words: str) -> int:
    """Run psv on the fleet as a process of its own, as cron does, and return its status."""
    return subprocess.run(psv_argv(folder, *words), stdin=subprocess.DEVNULL, timeout=_START_PATIENCE_S, check=False).returncode


def _remove_line(session: Session, paths: FleetPaths) -> bool:
    """Take the line out of the crontab, if there is one; where there is no crontab there is no line."""
    owner = _owner(paths)
    user = _entry(owner)[0] if os.geteuid() == 0 and owner != 0 else None
    try:
        before = read_crontab(user)
    except Refused:
        return False
    after = with_line(before, paths.folder, None)
    if after == before:
        return False
    write_crontab(user, after)
    session.say(f"removed the line from the crontab{f' of {user}' if user else ''}")
    return True
