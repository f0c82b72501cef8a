"""Rules on resolved bots that look outside fleet.toml (files, programs, users, the clock), and those between bots.

Standard library only, so that psvd can ask again before a start (`recheck`). Each rule is a small function that yields
findings at keys of the bot; none raises, none imports or runs anything of the fleet.
"""

from __future__ import annotations

import datetime
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from processsupervisor.config.missing import like, outside
from processsupervisor.config.modules import bot_is_in_module, module_is_there
from processsupervisor.config.networks import networks_are_known, settings_of_networks_fit
from processsupervisor.config.problem import HIDDEN, Finding, hidden_in, printable, quoted
from processsupervisor.config.references import Sources, references_hold
from processsupervisor.config.spec import BotSpec
from processsupervisor.config.telegramtoken import telegram_token_is_elsewhere, telegram_token_is_one
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.units import format_duration
from processsupervisor.launch.envfile import parse_env_file
from processsupervisor.launch.release import MISSING_HINT, why_missing


class Site:
    """The place where rules look: the fleet folder, with answers remembered for one check of many bots."""

    def __init__(self, folder: Path, *, has_store: bool = True) -> None:
        self.folder = folder
        self.sources = Sources(folder, has_store=has_store)
        self._installed: dict[str, bool] = {}
        self._env_files: dict[str, dict[str, str] | PsvError] = {}

    def is_installed(self, module: str) -> bool:
        """Tell whether a top-level module can be found without importing it; in doubt yes."""
        if module not in self._installed:
            try:
                self._installed[module] = importlib.util.find_spec(module) is not None
            except (ImportError, ValueError, AttributeError, OSError):
                self._installed[module] = True
        return self._installed[module]

    def env_file_error(self, path: str) -> PsvError | None:
        """Return why an env file cannot be used, or None."""
        found = self._read(path)
        return found if isinstance(found, PsvError) else None

    def env_file(self, path: str) -> dict[str, str]:
        """Return the variables of an env file; none when it cannot be used."""
        found = self._read(path)
        return {} if isinstance(found, PsvError) else found

    def _read(self, path: str) -> dict[str, str] | PsvError:
        if path not in self._env_files:
            try:
                self._env_files[path] = parse_env_file(Path(path))
            except PsvError as err:
                self._env_files[path] = err
        return self._env_files[path]


Rule = Callable[[BotSpec, Site], Iterator[Finding]]
_USUAL = frozenset({"PATH", "HOME", "LANG", "TZ", "LC_ALL"})
"""What a bot may well do without."""


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def script_is_a_file(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The script exists, is a file and can be read."""
    if spec["script"] is None:
        return
    path = Path(spec["script"])
    if path.is_file() and os.access(path, os.R_OK):
        return
    if path.is_dir():
        yield outside(("script",), "script-missing", f"script {path} is a folder", "name the file in it")
    elif not path.exists():
        yield outside(("script",), "script-missing", f"script {path} does not exist", like(path, "paths are relative to fleet.toml"))
    elif not path.is_file():
        yield outside(("script",), "script-missing", f"script {path} is not a regular file", "name a Python file")
    else:
        yield outside(("script",), "script-unreadable", f"script {path} cannot be read", f"chmod u+r {path}")


def command_can_run(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The program of a command is found, on the PATH that the bot will have, and may be executed."""
    if not spec["command"] or spec["command"][0] == "python":
        return
    program = spec["command"][0]
    path = Path(program)
    if "/" not in program:
        search = spec["env"].get("PATH") or os.environ.get("PATH") or os.defpath
        if shutil.which(program, path=search) is None:
            is_beside = (site.folder / program).is_file()
            hint = f'for a file beside fleet.toml write "./{program}"' if is_beside else "install it, or give its path"
            yield outside(("command", 0), "command-missing", f"command {quoted(program)} is not on PATH", hint)
    elif not path.exists():
        yield outside(("command", 0), "command-missing", f"command {path} does not exist", like(path, "paths are relative to fleet.toml"))
    elif not _is_executable(path):
        hint = "name the program in it" if path.is_dir() else f"chmod +x {path}"
        yield outside(("command", 0), "command-not-executable", f"command {path} is not executable", hint)


def python_can_run(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The interpreter of its own exists and may be executed."""
    if spec["python"] is not None and not _is_executable(Path(spec["python"])):
        what = "is not executable" if Path(spec["python"]).exists() else "does not exist"
        yield outside(
            ("python",), "python-missing", f"python {spec['python']} {what}", "name an interpreter, or the folder made by python -m venv"
        )


def cwd_is_a_folder(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The working folder exists."""
    if not Path(spec["cwd"]).is_dir():
        yield outside(("cwd",), "cwd-missing", f"cwd {spec['cwd']} is not a folder", f"mkdir -p {spec['cwd']}")


def env_files_can_be_read(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """Every env file exists and is well formed."""
    for path in spec["env_files"]:
        error = site.env_file_error(path)
        if error is not None:
            yield outside(("env_file",), error.code, error.message, error.hint)


def values_are_there(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """What stands elsewhere (env:, file:, cmd:, secret:) is there."""
    yield from references_hold(spec, site.folder, site.sources)
    yield from telegram_token_is_one(spec, site.env_file, site.sources)
    yield from telegram_token_is_elsewhere(spec)


def nothing_is_hidden(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """A file that `psv config show` printed, with its secrets hidden, must not be run as it is."""
    for place in sorted(hidden_in({"env": spec["env"], "options": spec["options"], "networks": spec.get("networks") or {}})):
        text = f"found {HIDDEN}, which psv prints in place of what may be a secret"
        yield Finding(place, "hidden-value", text, "put the value itself back, or a reference such as secret:NAME")


def user_can_be_taken(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """Only root can run a bot as somebody else, and the user exists."""
    if spec["user"] is None or sys.platform == "win32":
        return
    import pwd

    try:
        uid = pwd.getpwnam(spec["user"]).pw_uid
    except KeyError:
        text = f"user {quoted(spec['user'])} does not exist on this machine"
        yield outside(("user",), "user-unknown", text, f"useradd {spec['user']}, or remove user")
        return
    if os.geteuid() not in (0, uid):
        yield outside(
            ("user",), "user-not-root", f"user {quoted(spec['user'])} needs psv to run as root", "run psv as root, or remove user"
        )


def probe_can_run(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The program of an exec probe exists and may be executed: else the bot would be restarted for it."""
    health = spec.get("health")  # settings that an older psv applied have none
    wrong = _why_not(spec, site, health["exec"][0], health["env"]) if health and health["exec"] else None
    if wrong is not None:
        yield outside(("health", "exec"), "probe-missing", f"exec of health: {wrong[0]}", wrong[1])


def hooks_can_run(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The programs of hooks exist and may be executed; a bot runs without, so it is a warning."""
    for name, hook in (spec.get("hooks") or {}).items():  # settings that an older psv applied have none
        wrong = _why_not(spec, site, hook["command"][0], hook["env"])
        if wrong is not None:
            message, hint = f"{name} of hooks: {wrong[0]}", wrong[1]
            yield Finding(("hooks", name), "hook-missing", printable(message), printable(hint), outside=True, warning=True)


def _why_not(spec: BotSpec, site: Site, program: str, named: list[str]) -> tuple[str, str] | None:
    """Return why a command that psv runs as the bot cannot be run, and the way out; it sees of the bot's variables those `named`."""
    path = Path(program)
    if "/" in program:
        if _is_executable(path):
            return None
        hint = f"chmod +x {path}" if path.is_file() else like(path, "paths are relative to fleet.toml")
        return f"{path} {'is not executable' if path.exists() else 'does not exist'}", hint
    if program == "python" or ("PATH" in named and spec["env_files"]):  # an env file may say another PATH
        return None
    search = (spec["env"].get("PATH") if "PATH" in named else None) or (os.environ.get("PATH") if "PATH" in spec["inherit"] else None)
    if shutil.which(program, path=search or os.defpath) is not None:
        return None
    beside = f'for a file beside fleet.toml write "./{program}"' if (site.folder / program).is_file() else ""
    return f"{quoted(program)} is not on PATH", beside or "install it, or give its path"


def runs_are_to_come(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """One of the times of a task is still to come: a task that is new makes up for none."""
    schedule = spec.get("schedule")  # settings that an older psv applied have none
    if not schedule or not schedule["at"]:
        return
    import zoneinfo  # here, so that psvd does not pay for it

    try:
        zone = zoneinfo.ZoneInfo(schedule["tz"]) if schedule["tz"] else None
    except (OSError, zoneinfo.ZoneInfoNotFoundError):
        return  # it went from this machine since it was read
    moments = [datetime.datetime.fromisoformat(text) for text in schedule["at"]]
    last = max((m if m.tzinfo or zone is None else m.replace(tzinfo=zone) for m in moments), key=datetime.datetime.timestamp)
    if last.timestamp() < wall():
        text = f"every time of schedule.at is past, the last was {last.isoformat()}"
        hint = f"a new task never runs by it: write a time to come, or psv task run {spec['name']}"
        yield Finding(("schedule", "at"), "schedule-past", text, hint, outside=True, warning=True)


def jitter_is_within(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The runs of a task keep their order."""
    schedule = spec.get("schedule")
    if schedule and schedule["every_s"] is not None and schedule["jitter_s"] > schedule["every_s"]:
        jitter, every = format_duration(schedule["jitter_s"]), format_duration(schedule["every_s"])
        text = f"found jitter {jitter} for runs that are due every {every}: several come together, and all but one are left out"
        yield Finding(("schedule", "jitter"), "schedule-jitter", text, "lower schedule.jitter, or raise schedule.every", warning=True)


def inherited_is_set(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """A variable that is to be taken from psv's environment is there."""
    for index, name in enumerate(spec["inherit"]):
        if name not in os.environ and name not in spec["env"] and name not in _USUAL:
            text = f"{name} is not set here: the bot gets it from the environment in which psv up is run, if it is set there"
            yield Finding(("inherit", index), "inherit-unset", text, f"set {name} before psv up, or use env or env_file", warning=True)


RULES: tuple[Rule, ...] = (
    script_is_a_file,
    command_can_run,
    module_is_there,
    bot_is_in_module,
    python_can_run,
    cwd_is_a_folder,
    env_files_can_be_read,
    values_are_there,
    nothing_is_hidden,
    networks_are_known,
    settings_of_networks_fit,
    user_can_be_taken,
    probe_can_run,
    hooks_can_run,
    runs_are_to_come,
    jitter_is_within,
    inherited_is_set,
)


def check_bot(spec: BotSpec, site: Site) -> list[Finding]:
    """Apply every rule to one bot; of one whose release is gone only that is said."""
    if missing := why_missing(site.folder, spec.get("release")):
        return [outside(("source",), "release-missing", missing, MISSING_HINT)]
    findings: list[Finding] = []
    for rule in RULES:
        try:
            findings += rule(spec, site)
        except (OSError, ValueError) as err:  # a name too long for the system, a loop of links
            findings.append(outside((), "unusable-path", f"a path of the bot cannot be used: {err}", "correct the path"))
    return findings


def recheck(spec: BotSpec, folder: Path) -> str | None:
    """Return what still keeps the bot from starting, or None when its error is gone; for specs with `error_rechecks`."""
    if not spec["error_rechecks"]:
        return spec["error"]
    if spec.get("is_elsewhere"):
        from processsupervisor.config.elsewhere import elsewhere_now  # asks other supervisors over HTTP, which few need

        if why := elsewhere_now(spec):
            return why
    findings = [finding for finding in check_bot(spec, Site(folder, has_store=False)) if not finding.warning]
    return f"{findings[0].message}; {findings[0].hint}" if findings else None


def look_again(spec: BotSpec, folder: Path) -> None:
    """Bring the error of a bot that is to be started up to date: a script may be there by now, and a release may be gone."""
    if spec["error"] and spec["error_rechecks"]:
        spec["error"] = recheck(spec, folder)
    elif not spec["error"] and (missing := why_missing(folder, spec.get("release"))):
        spec["error"], spec["error_rechecks"] = f"{missing}; {MISSING_HINT}", True


def shared_lock_files(specs: Mapping[str, BotSpec]) -> Iterator[tuple[str, Finding]]:
    """Yield `(second bot, warning)` for each session file that two bots lock: only one of them can run at a time."""
    first: dict[str, str] = {}
    for name, spec in specs.items():
        for index, path in enumerate(lock["file"] for lock in spec["lock"] if "file" in lock):
            owner = first.setdefault(path, name)
            if owner != name:
                message = f"bots {owner} and {name} lock the same file {printable(path)}: the second one waits as lock-held"
                yield name, Finding(("lock", index), "lock-shared", message, "give each its own session file", warning=True)


def open_to_others(host: str) -> Iterator[Finding]:
    """Warn of a page that other machines reach: whoever does may see and use every bot."""
    if host not in ("localhost", "::1") and not host.startswith("127."):
        text = f"the page listens on {printable(host)}: whoever reaches this machine sees and uses every bot"
        hint = 'use "127.0.0.1:8450" and an SSH tunnel or a proxy with a login'
        yield Finding(("web", "listen"), "listen-open", text, hint, warning=True)
