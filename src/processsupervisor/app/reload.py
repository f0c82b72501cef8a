"""The child that psvd starts to read the files again: on SIGHUP, when a watched file has changed, and when a value set by command expires.

psvd never reads fleet.toml itself. Run as `boot.py processsupervisor.app.reload FOLDER [--expired] --reason TEXT`; it hands what it read
to that psvd and ends with the statuses of psv, each line on stderr for psvd's log. With --expired the files stay out of it: the running
version goes on without the values that no longer hold.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from processsupervisor.config.gate import hold_elsewhere, in_the_way
from processsupervisor.config.load import Loaded, load_fleet, load_texts
from processsupervisor.config.problem import Problem
from processsupervisor.config.spec import Applied
from processsupervisor.ipc import candidate
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, PsvError
from processsupervisor.kernel.paths import FleetPaths

_ANSWER_S = 30.0


def main(argv: list[str]) -> int:
    """Apply what is to be applied to the fleet in `argv[0]`; returns the exit status."""
    parser = ArgumentParser(prog="psv reload", add_help=False)
    parser.add_argument("folder")
    parser.add_argument("--expired", action="store_true")
    parser.add_argument("--reason", default="reload")
    asked = parser.parse_args(argv)
    paths = FleetPaths(asked.folder)
    try:
        with ControlClient(paths, _ANSWER_S) as client:
            return _apply(client, paths, asked.reason, is_expired=asked.expired)
    except PsvError as err:
        _say(str(err))
        return err.exit_status
    except OSError as err:
        _say(f"cannot reload: {err.strerror}")
        return EXIT_FAILED


def _apply(client: ControlClient, paths: FleetPaths, reason: str, *, is_expired: bool) -> int:
    here = candidate.running(client)
    running, sources = candidate.content(client, here.get("number"))
    loaded = _read(paths.folder, running, sources if is_expired else None)
    mistakes = in_the_way(loaded.problems, running)
    if is_expired:  # a program that is gone by now keeps no value in force
        mistakes = [problem for problem in mistakes if problem.severity == "fatal"]
    if loaded.applied is None or mistakes:
        return _refuse(client, loaded, mistakes)
    hold_elsewhere(loaded.applied, running)
    arguments = {"base": here.get("number"), "reason": reason, "now": False, "again": False}
    stream = candidate.apply(client, paths, loaded.applied, loaded.sources, arguments)
    while True:
        try:
            next(stream)
        except StopIteration as end:
            result = end.value
            break
    if not result.get("ok"):
        _say(f"the change was taken back: {result.get('message')}")
        return EXIT_FAILED
    _say(f"version {result.get('number')} runs ({result.get('result')})")
    return EXIT_OK


def _read(folder: Path, running: Applied, sources: dict[str, str] | None) -> Loaded:
    """Read the files of the folder, or the `sources` of the running version, with the values set by command that still hold."""
    runtime, release = running.get("runtime", ()), running.get("release")
    if sources is None:
        return load_fleet(folder, runtime=runtime, release=release)
    texts = {path: text.encode("utf-8", "surrogateescape") for path, text in sources.items()}
    return load_texts(folder, texts, runtime=runtime, release=release)


def _refuse(client: ControlClient, loaded: Loaded, mistakes: list[Problem]) -> int:
    """Log every mistake, and tell psvd why the files on the disk do not run."""
    for problem in mistakes:
        _say(problem.text())
    first = mistakes[0].text(short=True)
    more = f" (and {len(mistakes) - 1} more: psv check)" if len(mistakes) > 1 else ""
    client.call("config.refused", {"digest": loaded.files.digest, "reason": f"{first}{more}"})
    return EXIT_USAGE


def _say(line: str) -> None:
    sys.stderr.write(f"psv: {line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
