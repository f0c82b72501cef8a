"""Sources to the text of fleet.toml, checked as `psv check` does before a byte is written.

A bot that is there already stays as it is, whatever was made of it since: it is known by the comment that came with it, or by
program, arguments and folder. So a second run changes nothing. Secrets go into a file NAME.env of mode 0600, never into fleet.toml.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.table import Made, beside, duration_text, make_table
from processsupervisor.adopt.toml import bot_text, value_text
from processsupervisor.config.load import Loaded, load_text
from processsupervisor.config.problem import Problem, printable
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.errors import ConfigError, PsvError
from processsupervisor.kernel.files import write_atomic
from processsupervisor.launch.envfile import EnvFileError, parse_env_file
from processsupervisor.observe.redact import redact

_DOWN_S = 8.0
_ORIGIN = re.compile(r"^# adopted: (.+?)(?:, line \d+)?\n(?:#.*\n)*\[bots\.\"?([a-z0-9_-]+)\"?\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Added:
    """One bot that fleet.toml gets."""

    name: str
    kind: str
    place: Place


@dataclass(slots=True)
class Plan:
    """What would be written. `text` is the whole fleet.toml afterwards, `files` the env files of secrets beside it."""

    config: Path
    text: str = ""
    added: list[Added] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Programs that fleet.toml has already."""
    files: dict[Path, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Secrets that stand in arguments: never shown."""
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """What `psv check` will say of the bots."""


def make_plan(folder: Path, fleet_name: str, sources: Iterable[Source]) -> Plan:
    """Return what fleet.toml in `folder` becomes; raises ConfigError when the one that is there is faulty, CannotRead for other names."""
    sources = list(sources)
    try:
        return _planned(folder, fleet_name, sources)
    except UnicodeEncodeError as err:
        raise CannotRead("a name or path is not UTF-8, and a TOML file must be; nothing was written", hint="rename the file") from err


def _planned(folder: Path, fleet_name: str, sources: list[Source]) -> Plan:
    plan = Plan(folder / "fleet.toml")
    existing = _existing(plan.config)
    known = _Known(folder, existing)
    blocks: list[str] = []
    longest_stop_s = 0.0
    for source in sources:
        plan.left_out += source.left_out
        names = {found.name: known.name_for(found, folder) for found in source.programs}
        for found in source.programs:
            name, is_known = names[found.name]
            if is_known:
                plan.kept.append(name)
                continue
            found.depends_until = {names[other][0]: until for other, until in found.depends_until.items() if other in names}
            found.depends_on = [names[other][0] for other in found.depends_on if other in names]
            blocks.append(_block(found, name, make_table(found, folder), plan))
            longest_stop_s = max(longest_stop_s, found.stop_timeout_s or 0.0)
    head = existing if existing is not None else _head(folder, fleet_name, sources, longest_stop_s)
    plan.text = (head.rstrip("\n") + "\n\n" + "\n".join(blocks)) if blocks else head
    if existing is not None and not blocks:
        plan.text = existing
    elif existing is not None and longest_stop_s > _down_timeout(known.loaded):
        why = f"`psv down` ends every bot after {duration_text(_down_timeout(known.loaded))}; raise down_timeout of [fleet]"
        plan.left_out.append(LeftOut(Place(plan.config), f"a stop time of {duration_text(longest_stop_s)}", why))
    _check(plan, folder)
    return plan


def write_plan(plan: Plan) -> None:
    """Write the env files, then fleet.toml in one step; when something fails none of it is left."""
    made: list[Path] = []
    config = Path(os.path.realpath(plan.config))
    try:
        for path, text in plan.files.items():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
        before = config.stat() if config.exists() else None
        is_open = redact(plan.text, plan.hidden) == plan.text
        write_atomic(config, plan.text.encode(), mode=0o644 if is_open else 0o600, durable=True)
        if before is not None:
            with contextlib.suppress(OSError):
                config.chmod(before.st_mode & 0o7777)
                os.chown(config, before.st_uid, before.st_gid)
    except OSError as err:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        message = f"cannot write {err.filename or config}: {err.strerror}; nothing was changed"
        raise PsvError(message, hint="check the folder's owner and mode") from err


class _Known:
    """The bots that fleet.toml has, and the names that are taken."""

    def __init__(self, folder: Path, existing: str | None) -> None:
        self.loaded = load_text(folder, existing.encode()) if existing is not None else None
        specs = self.loaded.applied["bots"] if self.loaded is not None and self.loaded.applied is not None else []
        self._origins = dict(_ORIGIN.findall(existing or ""))
        self._programs: dict[tuple[object, ...], list[str]] = {}
        for spec in specs:
            self._programs.setdefault(_program_key(spec), []).append(spec["name"])
        self._taken = {spec["name"] for spec in specs}

    def name_for(self, found: Found, folder: Path) -> tuple[str, bool]:
        """Return the bot's name and whether it is there already."""
        if known := self._origins.get(origin_of(found, folder)):
            return known, True
        key = _key_of(found, folder)
        if key is not None and self._programs.get(key):
            return self._programs[key].pop(0), True
        plain = re.sub(r"[^a-z0-9_-]+", "-", found.name.lower()).strip("-_")[:56] or "bot"
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        return name, False


def origin_of(found: Found, folder: Path) -> str:
    """Return how the comment names where a bot came from."""
    return printable(f"{found.name} of {beside(folder, found.place.path)}")


def _program_key(spec: BotSpec) -> tuple[object, ...]:
    program = spec["script"] or tuple(spec["command"] or ())
    return program, tuple(spec["args"]), os.path.normpath(spec["cwd"])


def _key_of(found: Found, folder: Path) -> tuple[object, ...] | None:
    """Return the program of a table, read as fleet.toml would be."""
    table = make_table(found, folder).table
    program = {key: value for key, value in table.items() if key in ("script", "command", "args", "cwd")}
    loaded = load_text(folder, ('[fleet]\nname = "x"\n' + bot_text("x", program, [])).encode())
    return _program_key(loaded.applied["bots"][0]) if loaded.applied is not None and loaded.applied["bots"] else None


def _existing(config: Path) -> str | None:
    try:
        content = config.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise ConfigError(f"{config} cannot be read: {err.strerror}", hint="nothing was written") from err
    loaded = load_text(config.parent, content)
    if loaded.fatal:
        first = next(problem for problem in loaded.problems if problem.severity == "fatal")
        raise ConfigError(f"{first.text()}; nothing was written", hint="correct fleet.toml first: psv check")
    return content.decode()


def _down_timeout(loaded: Loaded | None) -> float:
    return loaded.applied["fleet"]["down_timeout_s"] if loaded is not None and loaded.applied is not None else _DOWN_S


def _head(folder: Path, fleet_name: str, sources: Iterable[Source], longest_stop_s: float) -> str:
    paths = ", ".join(dict.fromkeys(beside(folder, source.path) for source in sources))
    lines = [f"# Made by psv adopt from {printable(paths)}; yours to edit. psv check finds mistakes, psv up starts it.", "[fleet]"]
    lines.append(f"name = {value_text(fleet_name)}")
    if longest_stop_s > _DOWN_S:
        lines.append(f"down_timeout = {value_text(duration_text(longest_stop_s))}   # the longest stop time below")
    return "\n".join(lines) + "\n"


def _block(found: Found, name: str, made: Made, plan: Plan) -> str:
    plan.left_out += made.left_out
    plan.hidden |= made.hidden
    if made.secrets:
        path = _secrets_file(plan, name, made.secrets)
        given = made.table.get("env_file", [])
        others = given if isinstance(given, list) else [given]
        files = [path.name, *others] if found.files_win else [*others, path.name]
        made.table["env_file"] = files[0] if len(files) == 1 else files
        what = f"{', '.join(sorted(made.secrets))} of {found.name}"
        why = f"moved to {path.name} (mode 0600), which env_file names, for it is not for all eyes; keep that file out of git"
        plan.left_out.append(LeftOut(found.place, what, why))
    plan.added.append(Added(name, "script" if "script" in made.table else "command", found.place))
    line = f", line {found.place.line}" if found.place.line else ""
    return bot_text(name, made.table, [f"adopted: {origin_of(found, plan.config.parent)}{line}"])


def _secrets_file(plan: Plan, name: str, secrets: dict[str, str]) -> Path:
    """Return the file for the secrets of a bot: one that holds them already, else a new one."""
    for number in range(1, 100):
        path = plan.config.with_name(f"{name}.env" if number == 1 else f"{name}-{number}.env")
        if path in plan.files:
            continue
        if not os.path.lexists(path):
            plan.files[path] = "".join(f"{key}={_quoted(value)}\n" for key, value in secrets.items())
            return path
        with contextlib.suppress(EnvFileError):
            if parse_env_file(path) == secrets:
                return path
    raise PsvError(f"there are too many files {name}-N.env", hint="remove those that are not used")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f'"{escaped}"'


def _check(plan: Plan, folder: Path) -> None:
    """Load what would be written; what would make it unusable as a whole is an error, what concerns one bot is told."""
    loaded = load_text(folder, plan.text.encode())
    pending = tuple(map(str, plan.files))
    added = {bot.name for bot in plan.added}
    if loaded.fatal:
        first = next(problem for problem in loaded.problems if problem.severity == "fatal").text(short=True)
        raise ConfigError(f"{plan.config} would not be usable: {first}; nothing was written", hint="add the bots by hand")
    for problem in loaded.problems:
        is_to_come = problem.code == "env-file" and any(path in problem.message for path in pending)
        if added & set(problem.bots) and not is_to_come:
            plan.problems.append(problem)
