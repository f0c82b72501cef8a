"""`psv logs`: what bots wrote, read straight from the files, so that it works whatever has died.

Choosing the bots is here; merging, framing, redaction and following are process/logview's.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

from processsupervisor.cli.bots import when
from processsupervisor.cli.session import Session, is_terminal, never_ran
from processsupervisor.commands.command import Command, nearest_hint
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, PsvError, UsageError
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths
from processsupervisor.kernel.units import parse_duration
from processsupervisor.launch.envfile import parse_env_file
from processsupervisor.launch.known import is_forgotten
from processsupervisor.launch.references import has_references, secret_names, texts_of
from processsupervisor.launch.values import readable
from processsupervisor.process.logview import LogLine, read

DEFAULT_LINES = 100
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|PRIVATE|CREDENTIAL", re.IGNORECASE)

Spec = dict[str, object]


class Wish(TypedDict):
    """The arguments of the command."""

    names: list[str]
    type: str | None
    follow: bool
    lines: int | None
    since: str | None
    grep: str | None
    generation: int | None


def logs(session: Session, command: Command, **wish: Unpack[Wish]) -> int:
    """Print stored lines, and with --follow what comes."""
    specs = read_specs(session.paths)
    chosen = choose(session.paths, specs, wish["names"], wish["type"])
    since = wish["since"]
    since_s = None if since is None else parse_since(since, time.time())
    is_cut = wish["lines"] is not None or (since is None and wish["generation"] is None)
    tail = (wish["lines"] or DEFAULT_LINES) if is_cut else None
    follow = wish["follow"]
    found = read(
        session.paths, chosen, since_s=since_s, tail=tail, grep=wish["grep"], generation=wish["generation"], follow=follow,
        secrets=secrets_of(session.paths, specs, chosen),
    )  # fmt: skip
    show = _json if session.as_json else _Text(chosen)
    for line in found:
        sys.stdout.write(show(line) + "\n")
        if follow:
            sys.stdout.flush()
    return EXIT_OK


_FIELDS = ("time", "bot", "stream", "pid", "generation", "text")


def _json(line: LogLine) -> str:
    return json.dumps({field: getattr(line, field) for field in _FIELDS}, ensure_ascii=False)


class _Text:
    """Time and text, the bot's name before it when there are several; on a terminal stderr and gaps stand out."""

    def __init__(self, bots: Sequence[str]) -> None:
        self._width = max(map(len, bots), default=0) if len(bots) > 1 else 0
        self._is_coloured = is_terminal() and not _no_colour()

    def __call__(self, line: LogLine) -> str:
        prefix = f"{line.bot.ljust(self._width)} | " if self._width else ""
        text = f"-- {line.text} --" if line.is_gap else line.text
        if self._is_coloured and (line.is_gap or line.stream == "stderr"):
            text = f"\x1b[{'33' if line.is_gap else '31'}m{text}\x1b[0m"
        return f"{when(line.time)} {prefix}{text}"


def _no_colour() -> bool:
    import os

    return "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


def read_specs(paths: FleetPaths) -> dict[str, Spec]:
    """Return the applied settings by bot; empty when nothing was ever applied."""
    applied = read_json(paths.applied)
    bots = applied.get("bots") if isinstance(applied, dict) else None
    rows = [bot for bot in bots if isinstance(bot, dict)] if isinstance(bots, list) else []
    return {str(bot.get("name")): bot for bot in rows if re.fullmatch(BOT_NAME_PATTERN, str(bot.get("name")))}


def choose(paths: FleetPaths, specs: dict[str, Spec], names: Sequence[str], type_name: str | None) -> list[str]:
    """Return the bots that match, in the order of fleet.toml; a bot that was taken out counts while its log is there.

    Raises NoSuchBot for a name that matches nothing.
    """
    folder = paths.logs / "bots"
    kept = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    known = list(dict.fromkeys([*specs, *(name for name in kept if re.fullmatch(BOT_NAME_PATTERN, name))]))
    if not known:
        raise never_ran(paths)
    for name in names:
        if not any(fnmatchcase(bot, name) for bot in known):
            raise NoSuchBot(f'there is no bot "{name}"', hint=nearest_hint(name, known, "the fleet has"))
    found = [bot for bot in known if any(fnmatchcase(bot, name) for name in names)] if names else list(specs) or known
    if type_name is not None:
        found = [bot for bot in found if specs.get(bot, {}).get("type") == type_name]
        if not found:
            raise NoSuchBot(f'no bot is of the type "{type_name}"', hint="see psv ls")
    return found


def parse_since(text: str, now: float) -> float:
    """Return how many seconds ago `text` is: a duration, or a local time such as 14:30 or 2026-01-31T14:30."""
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError:
        pass
    today = datetime.fromtimestamp(now).date().isoformat()
    for candidate in (text, f"{today}T{text}"):
        try:
            return max(0.0, now - datetime.fromisoformat(candidate).timestamp())
        except (ValueError, OverflowError, OSError):
            continue
    raise UsageError(f'found --since "{text}", expected a duration such as "10m" or a time such as "14:30" or "2026-01-31T14:30"')


def secrets_of(paths: FleetPaths, specs: dict[str, Spec], bots: Sequence[str]) -> list[str]:
    """Return the values of the bots' settings that are secrets by their name: never shown, whatever they look like."""
    found = []
    for bot in bots:
        spec = specs.get(bot, {})
        values = _env_files(spec.get("env_files")) | (env if isinstance(env := spec.get("env"), dict) else {})
        named = [value for name, value in values.items() if _SECRET_NAME.search(str(name)) and isinstance(value, str)]
        found += [value for value in named if value and not has_references(value)]
    found += _present_values(paths, [spec for bot, spec in specs.items() if bot in bots and is_forgotten(paths, bot)])
    return list(dict.fromkeys(found))


def _present_values(paths: FleetPaths, specs: Sequence[Spec]) -> list[str]:
    """Return what references stand for now, where a reboot has forgotten what they stood for: better than none. No command is run."""
    found: list[str] = []
    for spec in specs:
        texts = [(place, text) for place, text in texts_of(spec) if text.startswith(("env:", "file:"))]
        found += readable({"folder": str(paths.folder), **spec}, texts).values()
    if names := {name for spec in specs for name in secret_names(spec)}:
        from processsupervisor.config.secretstore import SecretStore  # loads OpenSSL

        with contextlib.suppress(PsvError):
            found += [secret.value for name, secret in SecretStore(paths).read().items() if name in names]
    return found


def _env_files(paths: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths if isinstance(paths, list) else []:
        with contextlib.suppress(PsvError, OSError):
            found |= parse_env_file(Path(path))
    return found
