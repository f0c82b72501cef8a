"""What a release means for a bot with `source = "releases"`, and which release runs. Standard library only: psvd asks too.

Only code comes from the release: the script, the module of a native bot, the program of a command and its words that begin with
"./". Working folder, env files, locks, probes and hooks stay in the fleet folder: tokens and data are no code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, cast

from processsupervisor.config.problem import Finding, KeyPath, printable, quoted
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.release import code_folder

FROM_FOLDER = 0
"""The number by which everything is loaded from the fleet folder, whatever `source` says: `psv dev`."""


class Rejection(TypedDict):
    """Why a release was taken back, and when (wall time)."""

    reason: str
    at: float


class Watch(TypedDict):
    """A deploy that has not proved itself yet: until CLOCK_BOOTTIME of that boot, or `within_s` anew after a reboot.

    `number` is the version that brought `release`, `before` the one that is applied again; `reason` is set once that is decided.
    """

    release: int
    number: int
    before: int
    bots: list[str]
    within_s: float
    boot_id: str
    until_boottime: float
    reason: str


class Deployed(TypedDict):
    """The content of data/release.json, written by psvd only: releases in the order in which they ran, the last one now."""

    history: list[int | None]
    rejected: dict[str, Rejection]
    watch: Watch | None


def read_deployed(paths: FleetPaths) -> Deployed:
    """Return what is known of deploys; nothing is known of a fleet that never had one."""
    value = read_json(paths.deployed)
    if not isinstance(value, dict) or not isinstance(value.get("history"), list):
        return {"history": [], "rejected": {}, "watch": None}
    return cast(Deployed, value)


def running_release(paths: FleetPaths) -> int | None:
    """Return the release that the applied configuration names, None without one."""
    if not os.path.isdir(paths.releases):  # noqa: PTH112 - the Path method raises where it may not look
        return None
    applied = read_json(paths.applied)
    release = applied.get("release") if isinstance(applied, dict) else None
    return release if isinstance(release, int) else None


def release_before(paths: FleetPaths) -> int | None:
    """Return the release that ran before the running one and was not taken back for its faults."""
    deployed = read_deployed(paths)
    running = running_release(paths)
    others = (number for number in reversed(deployed["history"]) if number is not None and number != running)
    return next((number for number in others if str(number) not in deployed["rejected"]), None)


def point_at_release(spec: BotSpec, folder: Path, release: int | None) -> list[Finding]:
    """Have a bot with `source = "releases"` run the code of `release`; return what is wrong with that."""
    if spec.get("source") != "releases" or release == FROM_FOLDER:
        return []
    if release is None:
        hint = "psv release create, then psv release deploy 1"
        return [Finding(("source",), "no-release", 'found source = "releases", but no release was deployed', hint)]
    code = code_folder(folder, release)
    findings = _point_script(spec, folder, code)
    _point_python(spec, FleetPaths(folder).release(release) / "venv" / "bin" / "python")
    if spec["command"]:
        spec["command"][0] = _program(spec["command"][0], folder, code)
        for key, words, first in (("command", spec["command"], 1), ("args", spec["args"], 0)):
            findings += _point_words(key, words, first, code)
    spec["release"] = release
    return findings


def beside_fleet(word: str, release: int | None) -> str:
    """Return a path below a release as that of the file beside fleet.toml of which it is a copy; any other word as it is."""
    return word if release is None else word.replace(f"/.psv/releases/{release}/files/", "/", 1)


def _point_script(spec: BotSpec, folder: Path, code: Path) -> list[Finding]:
    if spec["script"] is None:
        return []
    script = Path(spec["script"])
    if not script.is_relative_to(folder):
        text = f"script {script} lies outside of the fleet folder, so no release has it"
        hint = 'move it below the folder of fleet.toml, or use source = "folder"'
        return [Finding(("script",), "release-outside", printable(text), hint)]
    spec["script"] = str(code / script.relative_to(folder))
    return []


def _point_python(spec: BotSpec, python: Path) -> None:
    """A bot that names no interpreter runs with that of the release, where it was made with a virtual environment."""
    is_python = spec["kind"] != "command" or (spec["command"] or [""])[0] == "python"
    if spec["python"] is None and is_python and os.access(python, os.F_OK):
        spec["python"] = str(python)


def _program(program: str, folder: Path, code: Path) -> str:
    """Return the program as it lies in the release; one of the machine, or of a virtual environment (never in a release), stays."""
    path = Path(program)
    if not path.is_relative_to(folder) or os.access(path.parent.parent / "pyvenv.cfg", os.F_OK):
        return program
    return str(code / path.relative_to(folder))


def _point_words(key: str, words: list[str], first: int, code: Path) -> list[Finding]:
    """Point the words of a command that begin with "./" and are in the release there; find those that look as if they were meant."""
    findings = []
    for index in range(first, len(words)):
        word, at = words[index], cast(KeyPath, (key, index))
        if word.startswith("./") and _is_in(code, word, os.path.exists):
            words[index] = os.path.normpath(code / word)
        elif not word.startswith(("/", "./", "-")) and _is_in(code, word, os.path.isfile):
            text = f"{quoted(word)} is read from the fleet folder, not from the release"
            hint = f'write "./{word}" for the copy in the release'
            findings.append(Finding(at, "release-word", printable(text), printable(hint), outside=True, warning=True))
    return findings


def _is_in(code: Path, word: str, is_there: Callable[[str], bool]) -> bool:
    path = os.path.normpath(code / word)
    try:
        return path.startswith(f"{code}{os.sep}") and is_there(path)
    except ValueError:
        return False
