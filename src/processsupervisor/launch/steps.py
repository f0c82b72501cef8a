"""The steps in their order: session, output, lock, cgroup, signals, environment, token locks, limits, user, folder.

Called in the child, single-threaded, by zygote and keeper alike. A step that fails raises LaunchFailed and the program
never begins. The bot's lock comes before everything else: whoever has it is the bot (invariant I1).
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.botapi import proxy_variables
from processsupervisor.launch.context import FIRST_HIGH_FD, LaunchContext, LaunchFailed, reading_path
from processsupervisor.launch.environment import compose, values_of
from processsupervisor.launch.locks import lock_bot, lock_resources
from processsupervisor.launch.references import substitute
from processsupervisor.launch.release import refuse_missing

ALL_SIGNALS = signal.valid_signals()


def prepare(context: LaunchContext) -> dict[str, str]:
    """Run all steps but the last (become) and return the environment that the program is to have."""
    reach(CrashPoint.CHILD_FORKED)
    os.setsid()
    open_output(context)
    reach(CrashPoint.CHILD_OUTPUT_OPEN)
    lock_bot(context)
    reach(CrashPoint.CHILD_LOCKED)
    _refuse_superseded(context)
    refuse_missing(context.spec)
    join_cgroup(context)  # what is started to read values ends with the bot's tree
    reset_signals()  # that may take a while, in which a stop must end this process
    values = values_of(context.spec)
    with contextlib.suppress(OSError):
        reading_path(context.paths, context.bot).unlink(missing_ok=True)
    environment = compose(context.spec, values) | proxy_variables(context.spec)
    if values:
        context.spec["options_written"] = context.spec.get("options") or {}
        context.spec["options"] = substitute(context.spec["options_written"], values)
        context.spec["networks"] = substitute(context.spec.get("networks") or {}, values)
    lock_resources(context, environment)
    set_limits(context)
    reach(CrashPoint.CHILD_PREPARED)
    return environment


def become(context: LaunchContext) -> None:
    """Note the start, take the user, umask and working folder of the bot, and close what it must not inherit."""
    if budget := context.spec.get("login_budget"):
        from processsupervisor.launch.logins import note_start  # only for those who have a budget

        note_start(context.paths, context.bot, context.ledgers, int(budget["count"]))
    if context.spec.get("umask") is not None:
        os.umask(int(context.spec["umask"]))
    if context.spec.get("user"):
        _switch_user(str(context.spec["user"]))
    cwd = str(context.spec["cwd"])
    try:
        os.chdir(cwd)
    except OSError as err:
        raise LaunchFailed(Reason.CONFIG, f"cannot enter cwd {cwd}: {err.strerror}", hint="create the folder or change cwd") from err
    close_descriptors(context.kept_fds)


def _refuse_superseded(context: LaunchContext) -> None:
    """Give up if a newer generation was decided while this child waited for the lock."""
    latest = read_json(context.paths.bot_run(context.bot) / "spec.json")
    if isinstance(latest, dict) and latest.get("generation") != context.generation:
        raise LaunchFailed(Reason.START_FAILED, f"generation {context.generation} was superseded")


def open_output(context: LaunchContext) -> None:
    """Put the bot's two FIFOs on descriptors 1 and 2 and /dev/null on 0.

    1 and 2 are O_WRONLY (with O_RDWR asyncio closes its stdout pipe). One reading descriptor per FIFO is kept at a high
    number, so that a write never meets a pipe without a reader while keeper and logd are both away.
    """
    import fcntl

    folder = context.paths.bot_run(context.bot)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0, inheritable=True)
    os.close(null)
    for target, name in ((1, "out"), (2, "err")):
        path = folder / f"{name}-{context.generation}"
        try:
            reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            writing = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as err:
            raise LaunchFailed(Reason.START_FAILED, f"cannot open {path}: {err.strerror}") from err
        os.dup2(writing, target, inheritable=True)
        context.kept_fds.add(fcntl.fcntl(reading, fcntl.F_DUPFD, FIRST_HIGH_FD))
        os.close(reading)
        os.close(writing)


def join_cgroup(context: LaunchContext) -> None:
    """Move this process into the cgroup that psvd made for the bot, unless it was made there or there is none."""
    group = context.spec.get("cgroup")
    if not group or context.is_in_group:
        return
    try:
        Path(group, "cgroup.procs").write_text("0")
    except OSError as err:
        raise LaunchFailed(Reason.START_FAILED, f"cannot enter the cgroup {group}: {err.strerror}", hint="see psv doctor") from err


def set_limits(context: LaunchContext) -> None:
    """Apply the resource limits of the spec; those not named stay as psv itself was started with."""
    import resource

    limits = context.spec.get("limits") or {}
    for key, which in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        value = limits.get(key)
        if value is None:
            continue
        try:
            resource.setrlimit(which, (int(value), int(value)))
        except (OSError, ValueError) as err:
            hard = resource.getrlimit(which)[1]
            message = f"limits.{key} = {value} is refused (hard limit {hard})"
            raise LaunchFailed(Reason.CONFIG, message, hint="lower it or raise the system's limit") from err


def fork_with_signals_blocked() -> int:
    """Fork; in the child every signal stays blocked until reset_signals.

    The child shares the parent's signal wakeup descriptor: a SIGTERM that met it before its handlers are reset would be
    written there, and the parent would take it for its own.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    return pid


def reset_signals() -> None:
    """Give every signal the action a fresh Python interpreter has, and block none."""
    signal.set_wakeup_fd(-1)
    for number in ALL_SIGNALS:
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def restore_signals_for_exec() -> None:
    """Undo what Python ignores for itself, so that an executed program starts with plain defaults."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _switch_user(name: str) -> None:
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError as err:
        raise LaunchFailed(Reason.CONFIG, f'user "{name}" does not exist', hint="create it or change user") from err
    if os.geteuid() == entry.pw_uid and os.getuid() == entry.pw_uid:
        return
    try:
        os.initgroups(name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except OSError as err:
        raise LaunchFailed(Reason.CONFIG, f'may not become user "{name}"', hint="psv must run as root for user") from err


def close_descriptors(kept: set[int]) -> None:
    """Close every descriptor above 2 that is not in `kept`."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in kept:
            with contextlib.suppress(OSError):
                os.close(descriptor)
