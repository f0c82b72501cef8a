"""One run of the command: which fleet folder, which output, and the way to psvd.

Nothing is looked up before it is asked for: `psv fleets` needs no folder, `psv check` no supervisor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_REFUSED, NoSupervisor, Refused, UsageError
from processsupervisor.kernel.paths import FleetPaths, find_fleet_folder

if TYPE_CHECKING:
    from processsupervisor.ipc.client import ControlClient

_OF_DEV_AND_RUN = (".psv-dev", ".psv-run")
"""Where psv dev and psv run keep fleets of their own."""
Verb = Callable[..., int]
"""`verb(session, command, **arguments)` returns the exit status; the keyword names are those of the command's `args`."""


class Session:
    """What every verb gets: `paths` of the fleet, `client()`, and where and how to print."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._paths: FleetPaths | None = None
        self.as_json = False

    @property
    def paths(self) -> FleetPaths:
        """Return the paths of the fleet named by -C, PSV_DIR or the working folder.

        Raises UsageError when there is none. A folder named on purpose that has lost its fleet.toml still counts while it
        has a .psv, so that what runs there can be seen and stopped.
        """
        if self._paths is None:
            self._paths = FleetPaths(self._find())
        return self._paths

    def _find(self) -> Path:
        named, source = self._folder, "-C"
        if named is None:
            named, source = os.environ.get("PSV_DIR") or None, "PSV_DIR"
        if named is None:
            found = find_fleet_folder(Path.cwd())
            if found is None:
                raise UsageError("no fleet.toml here or in a folder above", hint="give -C DIR, or make a fleet: psv init")
            return found
        folder = Path(named)
        if not folder.is_dir():
            raise UsageError(f"{source} {named} is not a folder", hint="name the folder that holds fleet.toml")
        if not (folder / "fleet.toml").is_file() and not (folder / ".psv").is_dir():
            raise UsageError(f"there is no fleet.toml in {named}", hint=f"make one: psv init {named}")
        return folder

    def beside(self, path: str) -> Path:
        """Return a path of the command line: relative to -C DIR when that was given."""
        return Path(self._folder or "") / path

    def new_folder(self) -> Path:
        """Return the folder in which a fleet.toml is made or added to: as `paths`, but with none there the named or the working folder."""
        named = self._folder or os.environ.get("PSV_DIR") or None
        if named is None:
            return find_fleet_folder(Path.cwd()) or Path.cwd()
        if not Path(named).is_dir():
            raise UsageError(f"{named} is not a folder", hint="make it, or give another: psv -C DIR adopt ...")
        return FleetPaths(named).folder

    def is_above(self, folder: Path) -> bool:
        """Tell whether nobody has named this folder: it was found above the working folder."""
        return not (self._folder or os.environ.get("PSV_DIR")) and folder.resolve() != Path.cwd()

    def client(self, timeout_s: float = 10.0) -> ControlClient:
        """Connect to psvd; raises NoSupervisor."""
        from processsupervisor.ipc.client import ControlClient

        return ControlClient(self.paths, timeout_s)

    def say(self, line: str = "") -> None:
        """Print one line of result."""
        sys.stdout.write(safe(line) + "\n")
        sys.stdout.flush()

    def say_text(self, text: str) -> None:
        """Print a text that may have several lines, each made safe for a terminal."""
        for line in text.split("\n"):
            self.say(line)

    def note(self, line: str) -> None:
        """Print one line beside the result, on stderr."""
        self.complain(f"psv: {line}")

    def complain(self, line: str) -> None:
        """Print one line on stderr as it is."""
        sys.stdout.flush()
        sys.stderr.write(safe(line) + "\n")

    def print_json(self, value: object) -> None:
        """Print a result as JSON."""
        sys.stdout.write(json_text(value, indent=2) + "\n")


def never_ran(paths: FleetPaths) -> NoSupervisor:
    """Return the error of a folder in which no fleet has run by `psv up`; names the one that `psv dev` or `psv run` keeps there."""
    hint = f"start it with: psv -C {paths.folder} up"
    states = [paths.folder / state for state in _OF_DEV_AND_RUN]
    found = next((one for state in states for one in (state, *sorted(state.glob("*"))) if (one / ".psv").is_dir()), None)
    if found is not None:
        hint += f"; what psv {found.relative_to(paths.folder).parts[0].removeprefix('.psv-')} runs there is reached by psv -C {found} …"
    return NoSupervisor(f"no fleet has run in {paths.folder}", hint=hint)


def keeper_runs(paths: FleetPaths) -> bool:
    """Tell whether this fleet's keeper lives. Asked by connecting: a look at its lock would have to take the lock."""
    from processsupervisor.ipc.client import connect_unix

    try:
        connect_unix(paths.socket("keeper"), 5.0).close()
    except PermissionError as err:
        owner = f"{paths.folder} belongs to another user" if paths.folder.is_dir() else f"may not look into {paths.folder}"
        raise Refused(f"{owner}, so psv cannot tell whether its fleet runs", hint="run psv as that user, or copy the folder") from err
    except BlockingIOError:
        return True  # its backlog is full
    except OSError:
        return False
    return True


def user_name() -> str:
    """Return the name of who calls, as psvd knows it."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def is_terminal() -> bool:
    """Tell whether stdout is a terminal; what is printed for people only depends on it."""
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def safe(text: str) -> str:
    """Return `text` without what a terminal would obey: control characters become \\xNN, tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else _escaped(c) for c in text)


def json_text(value: object, indent: int | None = None) -> str:
    """Return `value` as JSON; what a terminal would obey, or no encoding has, is escaped as JSON escapes it: it parses to the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "\n".join(line if line.isprintable() else "".join(map(_json_escaped, line)) for line in text.split("\n"))


def _json_escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def status_of_results(results: Iterable[dict[str, object]]) -> int:
    """Return the exit status for per-bot results: 0 all done, 5 when every failure is a refusal, else 1."""
    failed = [row for row in results if not row.get("ok")]
    if not failed:
        return EXIT_OK
    return EXIT_REFUSED if all(row.get("code") == "refused" for row in failed) else EXIT_FAILED
