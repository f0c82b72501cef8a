"""`psv dev [FILE|DIR]`: a bot, or the fleet of a folder, in the foreground while one works on it. What is saved is restarted.

It is a fleet of its own, in `.psv-dev` beside the file: data and logs of the fleet that may run in the same folder are not touched, and
its locks on tokens hold against it. Before a bot is stopped its new code is imported elsewhere; when that fails, the old one goes on.
The fleet ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.cli import machine
from processsupervisor.cli.change import hand_over, wait_for_successor
from processsupervisor.cli.check import line_of, print_problems
from processsupervisor.cli.detach import last_words
from processsupervisor.cli.devfiles import Files, saved_at
from processsupervisor.cli.devscreen import Screen
from processsupervisor.cli.rehearsals import Rehearsals
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.cli.single import make_single
from processsupervisor.commands.command import Command
from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.release import FROM_FOLDER
from processsupervisor.config.spec import Applied
from processsupervisor.config.watch import moments
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import EXIT_OK, ConfigError, NoSupervisor, PsvError, Refused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code, install, prune

STATE = ".psv-dev"
KEEPER = "processsupervisor.process.keeper"
_START_S, _END_S = 60.0, 20.0
_LOOK_AGAIN_MS = 1000
_READY_AFTER_S = 0.05
_PR_SET_PDEATHSIG = 1


def dev(session: Session, command: Command, *, path: str | None) -> int:
    """Run until Ctrl-C."""
    machine.require_linux()
    target = session.beside(path) if path is not None else session.paths.folder
    if target.is_dir():
        loaded = load_fleet(target.absolute(), release=FROM_FOLDER)
        print_problems(session, loaded.problems)
        if loaded.applied is None:
            raise ConfigError(f"the fleet in {target} cannot be used", hint="mend fleet.toml, or name a Python file: psv dev FILE")
        folder, paths, applied = target.absolute(), FleetPaths(target.absolute() / STATE), _for_dev(loaded.applied, target.absolute())
        paths.folder.mkdir(mode=0o700, exist_ok=True)
    else:
        paths, applied = make_single(target, STATE)
        _quicken(applied)
        folder = target.absolute().parent
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _Workshop(folder, paths, applied, is_fleet=target.is_dir()).run()
    return EXIT_OK


def _for_dev(applied: Applied, folder: Path) -> Applied:
    """Return the settings of a fleet as they are here: its modules are found from another folder, and it takes nobody's port.

    Nobody is told of what fails here, and no dead man's switch hears that all is well: those belong to the fleet that runs for good.
    """
    for spec in applied["bots"]:
        spec["essential"] = False
        spec["home"] = str(folder)
        if spec["kind"] == "native":
            spec["env"]["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), spec["env"].get("PYTHONPATH"))))
    _quicken(applied)
    applied["web"]["next_free"] = True
    applied["notify"] = []
    applied["source_digest"] = ""  # there is no fleet.toml in its own folder
    return applied


def _quicken(applied: Applied) -> None:
    """Let programs that are ready after a time be so at once, and no bot write compiled files.

    Two saves within one second may have the same size, and then the compiled file of the first is taken for that of the second.
    """
    for spec in applied["bots"]:
        spec["env"].setdefault("PYTHONDONTWRITEBYTECODE", "1")
        if spec["ready"]["kind"] == "after" and isinstance(spec["ready"]["value"], float):
            spec["ready"]["value"] = min(spec["ready"]["value"], _READY_AFTER_S)


class _Workshop:
    """One run of `psv dev`."""

    def __init__(self, folder: Path, paths: FleetPaths, applied: Applied, *, is_fleet: bool) -> None:
        self._folder, self._paths, self._is_fleet = folder, paths, is_fleet
        self._applied = applied
        self._configs = _configs(folder, applied) if is_fleet else set()
        self._files = Files(folder, self._configs)
        self._session = Session(str(paths.folder))
        self._unstarted: set[str] = set()
        """Bots whose code on disk could not be imported: perhaps a module was not there yet."""
        names = [spec["name"] for spec in applied["bots"]]
        self._screen = Screen(paths, names, [spec["name"] for spec in applied["bots"] if spec["kind"] == "native"])

    def run(self) -> None:
        """Start, watch until interrupted, and end the fleet."""
        if keeper_runs(self._paths):
            raise Refused(f"psv dev already runs for {self._folder}", hint=f"end it, or: psv -C {self._paths.folder} down")
        machine.require_folder(self._paths)
        write_applied(self._paths, self._applied)
        code = install(self._paths)
        prune(self._paths, code)
        self._files.take(self._applied["bots"])
        rehearsals = Rehearsals(self._paths, code)
        keeper = _start_keeper(self._paths, code)
        try:
            _wait_until_it_answers(self._paths, keeper)
            self._screen.start()
            self._screen.tell(f"{self._folder}: watching {self._files.count} file{'' if self._files.count == 1 else 's'}; Ctrl-C ends")
            for spec in self._applied["bots"]:
                rehearsals.warm(spec)
            self._watch(rehearsals, keeper)
        finally:
            rehearsals.close()
            self._end(keeper)

    def _watch(self, rehearsals: Rehearsals, keeper: subprocess.Popen[bytes]) -> None:
        while keeper.poll() is None:
            folders = self._files.folders
            for _ in moments(folders, _LOOK_AGAIN_MS):
                changed = self._files.changed()
                if changed:
                    self._on_save(changed, rehearsals)
                    self._files.take(self._applied["bots"])
                elif self._unstarted and self._files.has_more_sources():
                    self._renew(self._unstarted, time.time(), rehearsals)
                    self._files.take(self._applied["bots"])
                if keeper.poll() is not None or self._files.folders != folders:
                    break
        self._screen.tell("the fleet has ended")

    def _on_save(self, changed: set[Path], rehearsals: Rehearsals) -> None:
        at = saved_at(changed)
        if self._configs & changed:
            try:
                self._reconfigure()
            except PsvError as err:
                self._screen.tell(f"{err}\nthe old settings stay")
        self._renew(self._files.bots_of(changed), at, rehearsals)

    def _renew(self, bots: Iterable[str], at: float, rehearsals: Rehearsals) -> None:
        """Restart bots for a save, each unless its code cannot be imported."""
        specs = {spec["name"]: spec for spec in self._applied["bots"]}
        for bot in sorted(specs.keys() & set(bots)):
            error = rehearsals.error_of(specs[bot])
            self._unstarted.discard(bot)
            if error is not None:
                self._unstarted.add(bot)
                self._files.has_more_sources()  # what is there now is what the error is about
                self._screen.tell(f"{error.rstrip()}\n{bot} is not restarted: it cannot be imported as it is now; the old one goes on")
                continue
            self._screen.expect(bot, at)
            self._command("bot.restart", bot)

    def _reconfigure(self) -> None:
        """Take over another fleet.toml; one that cannot be used changes nothing."""
        loaded: Loaded = load_fleet(self._folder, release=FROM_FOLDER)
        for problem in loaded.problems:
            self._screen.tell(line_of(problem))
        if loaded.applied is None:
            self._screen.tell("fleet.toml cannot be used as it is now; the old settings stay")
            return
        before = {spec["name"]: spec for spec in self._applied["bots"]}
        applied = _for_dev(loaded.applied, self._folder)
        now = {spec["name"]: spec for spec in applied["bots"]}
        for bot in before.keys() - now.keys():
            self._command("bot.stop", bot)
        write_applied(self._paths, applied)
        wait_for_successor(self._session, hand_over(self._session, sorted(before.keys() - now.keys())))
        self._applied = applied
        self._configs = _configs(self._folder, applied)
        self._files.watch(self._configs)
        self._files.take(applied["bots"])
        self._screen.use(list(now), [name for name, spec in now.items() if spec["kind"] == "native"])
        for bot in now.keys() & before.keys():
            if now[bot] != before[bot]:
                self._command("bot.restart", bot)

    def _command(self, op: str, bot: str) -> None:
        try:
            with ControlClient(self._paths) as client:
                (row,) = client.call(op, {"names": [bot], "wait": op == "bot.stop", "timeout_s": 30.0}, timeout_s=60.0)
            if not row.get("ok"):
                self._screen.tell(f"{bot}: {row.get('message')}")
        except PsvError as err:
            self._screen.tell(str(err))

    def _end(self, keeper: subprocess.Popen[bytes]) -> None:
        """End the fleet; a second Ctrl-C kills what has not stopped."""
        for _ in range(2):
            if keeper.poll() is None:
                keeper.send_signal(signal.SIGTERM)
                with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                    keeper.wait(_END_S)


def _configs(folder: Path, applied: Applied) -> set[Path]:
    """Return fleet.toml and the files that it includes."""
    return {folder / file["path"] for file in applied.get("files", [])}


def _start_keeper(paths: FleetPaths, code: Code) -> subprocess.Popen[bytes]:
    """Start the keeper so that it goes down in order when this process ends, however it does."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    with (paths.own_logs / "keeper.out").open("ab") as out:
        return subprocess.Popen(
            code.argv(KEEPER, str(paths.folder), "--foreground"), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509 - no thread runs yet
        )  # fmt: skip


def _wait_until_it_answers(paths: FleetPaths, keeper: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and keeper.poll() is None:
        with contextlib.suppress(NoSupervisor), ControlClient(paths) as client:
            client.call("ping")
            return
        time.sleep(0.02)
    said = last_words(paths.own_logs / "keeper.out")
    raise PsvError(f"the fleet did not start{': ' + said if said else ''}", hint=f"see {paths.own_logs}")
