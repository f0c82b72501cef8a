"""What the references of one bot stand for, read in the process that becomes it: after its lock, before its user, folder and program.

`env:` and `file:` are read here; for `cmd:` and `secret:` a short process between (config/valuehelper.py, psv's own interpreter) is asked
over pipes, and only when there are any. All of them are the owner's: read before the bot takes its `user`, with psv's own
environment, so that a bot gets the value and not the right to ask for more. Values land in what is returned and, for redaction, in
memory (known.py); never in a file, an argument or a message. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.code import Code
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.envfiles import env_file_variables
from processsupervisor.launch.known import remember
from processsupervisor.launch.references import (
    BadReference,
    Place,
    Reference,
    has_references,
    leaves,
    parse,
    place_of,
    substitute,
    texts_of,
)

MOST_BYTES = 64 * 1024
"""Of one value: the kernel takes no longer one in an environment, by far."""
COMMAND_S = 10.0
_HELPER_S = COMMAND_S + 10.0
HELPER_MODULE = "processsupervisor.config.valuehelper"
_AGAIN = "it is tried again"
_LITERALLY = 'for the text itself write "literal:" in front of it'


def origin(keeper_pid: int | None) -> dict[str, object]:
    """Return what psvd adds to a spec so that its references can be read elsewhere: how to ask, and whose environment `env:` means."""
    keeper = Identity.of(keeper_pid) if keeper_pid is not None else None
    return {"value_helper": Code.own().argv(HELPER_MODULE), "keeper": keeper.to_json() if keeper is not None else None}


def resolve_all(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return {text: value} of all references in the bot's `env`, `options` and `networks`; raises LaunchFailed."""
    return _resolve(spec, texts_of(spec))


def resolve_text(spec: Mapping[str, Any], place: Place, text: str) -> str:
    """Return what one text of a bot stands for, itself when it is no reference; raises LaunchFailed.

    For a process of psv's own that stands in for the bot, with psv's own environment. It may take as long as a command does.
    """
    return _resolve(spec, [(place, text)]).get(text, text)


def resolve_options(spec: Mapping[str, Any], options: Mapping[str, object]) -> dict[str, object]:
    """Return `options` with values in the place of references; raises LaunchFailed, then nothing of them may be used.

    For a bot that runs already. It may take as long as a command does: not for an event loop.
    """
    if not has_references(options):
        return dict(options)
    if spec.get("user"):
        raise LaunchFailed(Reason.CONFIG, "options refer to values that only the owner of the fleet can read", hint="restart the bot")
    return dict(substitute(dict(options), _resolve(spec, leaves(options, ("options",)))))


def readable(spec: Mapping[str, Any], texts: Iterable[tuple[Place, str]]) -> dict[str, str]:
    """Return {text: value} of those of `texts` that can be read here and now, without the others: for checks, not for a start."""
    found: dict[str, str] = {}
    for place, text in texts:
        try:
            found |= _resolve(spec, [(place, text)], is_kept=False)
        except LaunchFailed:
            continue
    return found


def _resolve(spec: Mapping[str, Any], texts: Iterable[tuple[Place, str]], *, is_kept: bool = True) -> dict[str, str]:
    wanted: dict[str, tuple[Place, Reference]] = {}
    found: dict[str, str] = {}
    for place, text in texts:
        try:
            reference = parse(text)
        except BadReference as err:
            raise LaunchFailed(Reason.CONFIG, f"{place_of(place)}: {err.message}", hint=err.hint) from err
        if reference is not None and reference.scheme == "literal":
            found[text] = reference.target
        elif reference is not None:
            wanted.setdefault(text, (place, reference))
    if not wanted:
        return found
    values = _read(spec, wanted)
    for text, value in values.items():
        if "\0" in value:
            raise _failed(*wanted[text], "holds a NUL character, which no text of a bot can", _LITERALLY)
    if is_kept:
        remember(FleetPaths(spec["folder"]), str(spec["name"]), values.values())
    return found | values


def _read(spec: Mapping[str, Any], wanted: Mapping[str, tuple[Place, Reference]]) -> dict[str, str]:
    environment = _Environment(spec)
    values: dict[str, str] = {}
    asked: dict[str, tuple[Place, Reference]] = {}
    for text, (place, reference) in wanted.items():
        match reference.scheme:
            case "env":
                values[text] = _variable(place, reference, environment)
            case "file":
                values[text] = _file(place, reference, home_of(spec))
            case _:
                asked[text] = place, reference
    return values | (_ask(spec, asked, environment.own) if asked else {})


def home_of(spec: Mapping[str, Any]) -> Path:
    """Return the folder of the fleet.toml that a bot comes from, which `file:` begins from and whose store `secret:` means."""
    return Path(str(spec.get("home") or spec["folder"]))


class _Environment:
    """What `env:` looks into: the bot's env files, then psv's own environment, each read when it is needed."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self._own: dict[str, str] | None = None

    @property
    def own(self) -> dict[str, str]:
        """The environment that psv itself was started with; a zygote has another one, so it is read from the keeper."""
        if self._own is None:
            keeper = Identity.from_json(self._spec.get("keeper"))
            self._own = dict(os.environ) if keeper is None else _environment_of(keeper)
        return self._own

    def get(self, name: str) -> str | None:
        variables = env_file_variables(self._spec)
        return variables[name] if name in variables else self.own.get(name)


def environment_of_psv(paths: FleetPaths) -> Mapping[str, str]:
    """Return the environment of the psv that runs a fleet; ours where none runs, by which it would be started, or where we may not look."""
    lock = paths.role_lock("keeper")
    with contextlib.suppress(OSError, ValueError, LaunchFailed):
        if is_flocked(lock) and (keeper := Identity.of(int(lock.read_text().split()[-1]))) is not None:
            return _environment_of(keeper)
    return os.environ


def _environment_of(process: Identity) -> dict[str, str]:
    try:
        content = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        content = b""
    if not content or process.liveness() is not Liveness.ALIVE:
        raise LaunchFailed(Reason.START_FAILED, "the environment of psv cannot be read: its keeper has just ended", hint=_AGAIN)
    pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _variable(place: Place, reference: Reference, environment: _Environment) -> str:
    value = environment.get(reference.target)
    if value is None:
        hint = f"set {reference.target} in env_file or before psv up; {_LITERALLY}"
        raise _failed(place, reference, "is set neither in env_file nor in the environment of psv", hint)
    return value


def _file(place: Place, reference: Reference, folder: Path) -> str:
    try:
        return read_value_file(folder / os.path.expanduser(reference.target))
    except PsvError as err:
        raise _failed(place, reference, err.message, err.hint) from err


def read_value_file(path: Path) -> str:
    """Return the text of a file without the line end at its end; raises PsvError that names no content."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PsvError("is not a file", hint=f"name a file that holds the value; {_LITERALLY}")
            content = os.read(descriptor, MOST_BYTES + 3)
        finally:
            os.close(descriptor)
    except FileNotFoundError as err:
        raise PsvError("does not exist", hint=f"paths are relative to fleet.toml; {_LITERALLY}") from err
    except (OSError, ValueError) as err:
        why = getattr(err, "strerror", None) or "no path"
        raise PsvError(f"cannot be read: {why}", hint=f"check owner and mode; {_LITERALLY}") from err
    return text_of(content)


def text_of(content: bytes) -> str:
    """Return a value's bytes as text without the line end at its end; raises PsvError for what no value can be."""
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) > MOST_BYTES:
        raise PsvError(f"has more than {MOST_BYTES} bytes", hint=f"a value is small; {_LITERALLY}")
    if b"\0" in content:
        raise PsvError("holds a NUL character, which no value can", hint=_LITERALLY)
    try:
        return content.decode()
    except UnicodeDecodeError as err:
        raise PsvError("is not UTF-8", hint=f"a value is a text; {_LITERALLY}") from err


def _ask(spec: Mapping[str, Any], asked: Mapping[str, tuple[Place, Reference]], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `cmd:` and `secret:` as the process between says them."""
    question = {
        "folder": str(home_of(spec)),
        "bot": str(spec["name"]),
        "fleet": str(spec["folder"]),
        "secrets": {text: reference.target for text, (_, reference) in asked.items() if reference.scheme == "secret"},
        "commands": {text: reference.argv for text, (_, reference) in asked.items() if reference.scheme == "cmd"},
        "timeout_s": COMMAND_S,
    }
    answer = _talk(spec.get("value_helper") or Code.own().argv(HELPER_MODULE), json.dumps(question).encode(), environment)
    values, failures = answer.get("values"), answer.get("failures")
    if not isinstance(values, dict) or not isinstance(failures, dict):
        raise LaunchFailed(Reason.START_FAILED, "the process that reads secrets gave no answer", hint=_AGAIN)
    for text, (place, reference) in asked.items():
        if text in failures:
            reason, message, hint = failures[text]
            raise _failed(place, reference, str(message), str(hint), Reason(reason))
    return {text: str(values[text]) for text in asked}


def _talk(argv: list[str], question: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
    import subprocess  # here: most bots need none, and the keeper stays small

    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(environment), cwd="/", process_group=0
        )
    except OSError as err:
        raise LaunchFailed(Reason.START_FAILED, f"cannot start the process that reads secrets: {err.strerror}", hint=_AGAIN) from err
    try:
        said, _ = process.communicate(question, timeout=_HELPER_S)
        answer = json.loads(said)
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return {}
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return answer if isinstance(answer, dict) else {}


def _failed(place: Place, reference: Reference, what: str, hint: str, reason: Reason = Reason.CONFIG) -> LaunchFailed:
    return LaunchFailed(reason, f"{place_of(place)}: {reference.shown} {what}", hint=hint)

