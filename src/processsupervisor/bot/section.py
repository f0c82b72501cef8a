"""The part of a fleet.toml that is about a bot which its own file runs: `python bot.py`, without psv.

Looked for beside the file and above it: the table whose `run` names this file and this object. Used by alone.py only, for what is
imported here (pydantic) is nothing for a forked bot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from processsupervisor.bot.definition import Definition
from processsupervisor.kernel.errors import ConfigError

FLEET_FILE = "fleet.toml"


@dataclass(frozen=True, slots=True)
class Section:
    """What of a bot's table holds for a bot that runs alone; references are replaced by what they stand for."""

    name: str
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)
    chat: Mapping[str, Any] = field(default_factory=dict)


def find_section(file: Path, names: Mapping[str, object], bot: Definition, wanted: str | None) -> Section | None:
    """Return the section of `bot`, one of `names` of the module that `file` holds; None when no fleet.toml has one.

    `wanted` says which, where several bots run the same object. Raises ConfigError for a fleet.toml that cannot be used, and LaunchFailed
    for a reference that cannot be read.
    """
    folder = next((above for above in file.parents if (above / FLEET_FILE).is_file()), None)
    if folder is None:
        _refuse_wanted(wanted, f"no {FLEET_FILE} beside {file.name} or above it")
        return None
    specs = _specs_for(_load(folder), folder, file, [name for name, value in names.items() if value is bot])
    if wanted is not None:
        specs = [spec for spec in specs if spec["name"] == wanted]
    if not specs:
        _refuse_wanted(wanted, f"{folder / FLEET_FILE} has no bot of this name that runs {file.name}")
        return None
    if len(specs) > 1:
        several = ", ".join(spec["name"] for spec in specs)
        raise ConfigError(f"{folder / FLEET_FILE} has several bots that run this: {several}", hint=f'bot.run("{specs[0]["name"]}")')
    return _section(specs[0], folder)


def lock_tokens(section: Section) -> None:
    """Hold the tokens of all networks for as long as this process lives. Raises LaunchFailed when another bot has one."""
    if not section.networks or find_spec("fcntl") is None:
        return
    from processsupervisor.kernel.paths import FleetPaths
    from processsupervisor.launch.context import LaunchContext
    from processsupervisor.launch.locks import lock_resources

    spec = {"name": section.name, "networks": dict(section.networks)}
    lock_resources(LaunchContext(spec=spec, generation=0, secret_fd=-1, paths=FleetPaths(section.folder)), {})


def _refuse_wanted(wanted: str | None, why: str) -> None:
    if wanted is not None:
        raise ConfigError(f'there is no section "{wanted}": {why}')


def _load(folder: Path) -> Iterable[Mapping[str, Any]]:
    from processsupervisor.config.load import load_fleet

    loaded = load_fleet(folder)
    if loaded.applied is None:
        first = next(problem for problem in loaded.problems if problem.severity == "fatal")
        raise ConfigError(first.text(folder), hint="psv check shows all that is wrong")
    specs: Iterable[Mapping[str, Any]] = [dict(spec) for spec in loaded.applied["bots"]]
    return specs


def _specs_for(specs: Iterable[Mapping[str, Any]], folder: Path, file: Path, attributes: list[str]) -> list[Mapping[str, Any]]:
    return [spec for spec in specs if spec.get("run") and _is_run_by(str(spec["run"]), folder, file, attributes)]


def _is_run_by(run: str, folder: Path, file: Path, attributes: list[str]) -> bool:
    module, _, attribute = run.partition(":")
    base = folder.joinpath(*module.split("."))
    return attribute in attributes and any(one.is_file() and one.samefile(file) for one in (base.with_suffix(".py"), base / "__init__.py"))


def _section(spec: Mapping[str, Any], folder: Path) -> Section:
    if spec.get("error"):
        raise ConfigError(str(spec["error"]))
    from processsupervisor.launch.references import substitute
    from processsupervisor.launch.values import origin, resolve_all

    found = resolve_all({**spec, **origin(None), "env": {}, "folder": str(folder)})
    return Section(
        str(spec["name"]), folder, substitute(dict(spec.get("options") or {}), found), substitute(dict(spec.get("networks") or {}), found),
        dict(spec.get("chat") or {}),
    )  # fmt: skip
