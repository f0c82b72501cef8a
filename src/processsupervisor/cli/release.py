"""The verbs on releases. A deploy is a change of the configuration like any other: the running version with another release in it.

A deploy is gated on the health of the bots, so it needs a fleet that runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from processsupervisor.cli import candidate
from processsupervisor.cli.bots import moment
from processsupervisor.cli.check import print_problems
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.config.load import load_fleet, load_texts
from processsupervisor.config.release import read_deployed, release_before, running_release
from processsupervisor.config.resolve import absolute
from processsupervisor.config.spec import Applied, BotSpec
from processsupervisor.kernel.errors import EXIT_OK, EXIT_USAGE, ConfigError, NoSupervisor, Refused, UsageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.units import format_bytes, parse_size
from processsupervisor.launch.references import BadReference, parse, texts_of
from processsupervisor.release.keeping import prune, remove
from processsupervisor.release.making import Wish, create
from processsupervisor.release.manifest import numbers, read_manifest, verify

_SHORT_COMMIT = 10


def make(session: Session, command: Command, *, note: str, venv: bool, again: bool, limit: str) -> int:
    """Make a release of the fleet folder; prints its number and what a person should know."""
    paths = session.paths
    wish = Wish(note, _author(), venv, again, _limit(limit), _no_code(paths))
    made = create(paths, wish, session.note)
    for line in made.notes:
        session.note(line)
    gone = prune(paths) if made.is_new else []
    manifest = made.manifest
    if session.as_json:
        session.print_json({"number": manifest.number, "is_new": made.is_new, "notes": made.notes, "removed": gone})
    elif made.is_new:
        files = "1 file" if manifest.count == 1 else f"{manifest.count} files"
        session.say(f"release {manifest.number}: {files}, {format_bytes(manifest.size_bytes)}")
        session.say(f"psv release deploy {manifest.number} runs it")
    else:
        session.say(f"nothing differs from release {manifest.number}; no other one was made (--again makes one)")
    if gone:
        session.note(f"removed as too old: {', '.join(f'release {number}' for number in gone)}")
    return EXIT_OK


def list_releases(session: Session, command: Command) -> int:
    """Print a table of releases."""
    paths = session.paths
    running, before, rejected = running_release(paths), release_before(paths), read_deployed(paths)["rejected"]
    rows = [_row(paths, number) for number in numbers(paths)]
    for row in rows:
        number = row["number"]
        row["is_running"], row["ran_before"] = number == running, number == before
        row["rejected"] = rejection["reason"] if (rejection := rejected.get(str(number))) else None
    if session.as_json:
        session.print_json(rows)
    elif rows:
        header = ("RELEASE", "MADE", "BY", "FILES", "SIZE", "COMMIT", "STATE", "NOTE")
        print_table(header, [_cells(row) for row in rows], right=("RELEASE", "FILES", "SIZE"))
    else:
        session.note("there is no release; psv release create makes one")
    return EXIT_OK


def deploy(session: Session, command: Command, *, number: int, now: bool, again: bool) -> int:
    """Run the bots from a release that is as it was made."""
    manifest = verify(session.paths, number)
    rejection = read_deployed(session.paths)["rejected"].get(str(number))
    if rejection is not None and not again:
        why = rejection["reason"].removeprefix(f"release {number}: ")
        raise Refused(f"release {number} was taken back: {why}", hint="--again deploys it all the same", code="rejected")
    return _deploy(session, number, f"deploy release {number}" + (f": {manifest.note}" if manifest.note else ""), now=now, again=again)


def rollback(session: Session, command: Command, *, now: bool) -> int:
    """Run the bots from the release before."""
    number = release_before(session.paths)
    if number is None:
        raise Refused("no other release ran before", hint="psv release list shows what there is; psv release deploy N takes one")
    verify(session.paths, number)
    return _deploy(session, number, f"rollback to release {number}", now=now, again=True)


def rm(session: Session, command: Command, *, number: int) -> int:
    """Remove a release."""
    remove(session.paths, number)
    session.say(f"release {number} was removed")
    return EXIT_OK


def _deploy(session: Session, number: int, reason: str, *, now: bool, again: bool) -> int:
    try:
        here = candidate.running(session)
    except NoSupervisor as err:
        raise NoSupervisor("the fleet does not run: no bot could show that the release works", hint="psv up --detach, then again") from err
    applied, sources = candidate.content(session, here["number"])
    texts = {path: text.encode("utf-8", "surrogateescape") for path, text in sources.items()}
    loaded = load_texts(session.paths.folder, texts, runtime=applied.get("runtime", []), release=number)
    if loaded.applied is None:
        print_problems(session, loaded.problems)
        return EXIT_USAGE
    _refuse_broken(loaded.applied)
    print_problems(session, [problem for problem in loaded.problems if problem.code == "release-word"])
    if not any(spec.get("source") == "releases" for spec in loaded.applied["bots"]):
        session.note('no bot has source = "releases" yet: none is touched')
    result = candidate.submit(session, loaded.applied, sources, base=here["number"], reason=reason, now=now, again=again)
    return candidate.finish(session, result)


def _refuse_broken(applied: Applied) -> None:
    """Refuse a release in which a bot would find nothing to run, before anything of it is tried."""
    for spec in applied["bots"]:
        if spec.get("release") is not None and spec["error"]:
            raise Refused(f"{spec['name']} could not run: {spec['error']}", hint="nothing was changed", code="config")


def _row(paths: FleetPaths, number: int) -> dict[str, object]:
    manifest = read_manifest(paths, number)
    if manifest is None:
        return {"number": number, "at": None, "author": None, "note": "cannot be read", "files": None, "size_bytes": None, "git": None}
    return {
        "number": number,
        "at": manifest.at,
        "author": manifest.author,
        "note": manifest.note,
        "files": manifest.count,
        "size_bytes": manifest.size_bytes,
        "git": manifest.git,
        "venv": manifest.venv,
    }


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    state = "running" if row["is_running"] else "taken back" if row["rejected"] else "before" if row["ran_before"] else ""
    size = row["size_bytes"]
    files = "-" if row["files"] is None else str(row["files"])
    shown_size = format_bytes(size) if isinstance(size, int) else "-"
    return str(row["number"]), moment(row["at"]), str(row["author"] or "-"), files, shown_size, _commit(row["git"]), state, str(row["note"])


def _commit(git: object) -> str:
    if not isinstance(git, dict):
        return "-"
    return str(git["commit"])[:_SHORT_COMMIT] + (" +changes" if git["is_dirty"] else "")


def _limit(text: str) -> int:
    try:
        return parse_size(text)
    except (ValueError, OverflowError) as err:
        raise UsageError(f'--limit: found "{text}", expected a size such as "2GB"') from err


def _author() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _no_code(paths: FleetPaths) -> frozenset[str]:
    """Return what the settings name and is no code: the files of the configuration, env files, session files.

    Raises ConfigError when they cannot be read: a token might then get into every release.
    """
    loaded = load_fleet(paths.folder)
    if loaded.applied is None:
        raise ConfigError(f"{paths.config} cannot be read, so what is no code is not known", hint="psv check names every mistake")
    named = {paths.config.name, *(file["path"] for file in loaded.applied.get("files", []))}
    for spec in loaded.applied["bots"]:
        outside = [*spec["env_files"], *(lock["file"] for lock in spec["lock"] if "file" in lock), *_referred(spec, paths.folder)]
        named |= {str(Path(path).relative_to(paths.folder)) for path in outside if Path(path).is_relative_to(paths.folder)}
    return frozenset(named)


def _referred(spec: BotSpec, folder: Path) -> Iterator[str]:
    """Yield the files that values of a bot stand in (`file:path`)."""
    for _, text in texts_of(spec):
        with contextlib.suppress(BadReference):
            reference = parse(text)
            if reference is not None and reference.scheme == "file":
                yield absolute(folder, reference.target)

