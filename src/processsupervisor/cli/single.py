"""One Python file as a fleet of its own: `psv run main.py` and `psv dev bots.py`. The fleet lies beside the file, in a hidden folder.

The file is a native bot when a `Bot()` stands at its top, else a script. It sees what `python main.py` would see: the same working
folder and environment. Of variables only the names are written into the made fleet.toml, but for those that steer Python's own start.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from processsupervisor.cli.init import fleet_name
from processsupervisor.config.defined import read_names
from processsupervisor.config.edit import document
from processsupervisor.config.imports import scan_script
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import ConfigError, SystemRefused, UsageError
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.launcher import STARTUP_VARIABLES

_HEAD = "# Made by psv for {file}, and made anew each time. To change settings, write a fleet.toml beside that file.\n"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_INHERITED = frozenset({"PSV_DIR", "PSV_BOT", "PSV_FLEET", "PSV_EXIT_NOTE", "NOTIFY_SOCKET", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})


def make_single(file: Path, state: str, args: Sequence[str] = (), *, is_essential: bool = False) -> tuple[FleetPaths, Applied]:
    """Write the fleet of one file below `state` (".psv-run") beside it, and return where it is and its settings.

    Raises UsageError for what is no Python file, ConfigError for one that cannot be run.
    """
    if not file.is_file():
        raise UsageError(f"{file} is not a file" if file.exists() else f"{file} does not exist", hint="name a Python file, such as main.py")
    file = file.absolute()
    name = bot_name(file)
    attribute = bot_attribute(file)
    bot: dict[str, object] = {"run": f"{file.stem}:{attribute}"} if attribute and file.stem.isidentifier() else {"script": str(file)}
    python_path = [str(file.parent)] if "run" in bot else []
    python_path += [path for path in (os.environ.get("PYTHONPATH") or "").split(os.pathsep) if path]
    if args and "run" in bot:
        raise UsageError(f"{file.name} is a native bot and takes no arguments", hint="see options in docs/reference/fleet.md")
    if args:
        bot["args"] = list(args)
    bot |= {"cwd": str(Path.cwd()), "inherit": sorted(n for n in os.environ if _VARIABLE.fullmatch(n) and n not in _NOT_INHERITED)}
    env = {name: os.environ[name] for name in sorted(STARTUP_VARIABLES & os.environ.keys())}  # so that it is known that it cannot be forked
    if python_path:
        env["PYTHONPATH"] = os.pathsep.join(python_path)
    if env:
        bot["env"] = env
    if python := _active_venv():
        bot["python"] = python
    if "run" in bot:
        bot["preload"] = [library for library in scan_script(file, file.parent).libraries if not library.startswith("processsupervisor")]
    if is_essential:
        bot["essential"] = True
    text = _HEAD.format(file=file.name) + document({"fleet": {"name": fleet_name(Path(file.stem))}, "bots": {name: bot}})
    return _write(file.parent / state / name, text)


def _write(folder: Path, text: str) -> tuple[FleetPaths, Applied]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / "fleet.toml", text.encode())
    except OSError as err:
        raise SystemRefused(f"cannot write in {folder}: {err.strerror}", hint="psv keeps the bot's state there") from err
    loaded = load_fleet(folder)
    wrong = [problem for problem in loaded.problems if problem.severity != "warning"]
    if wrong or loaded.applied is None:
        raise ConfigError(wrong[0].message, hint=wrong[0].hint)
    return FleetPaths(folder), loaded.applied


def bot_name(file: Path) -> str:
    """Return the file's own name as far as a bot may be called so."""
    return re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")[:63] or "bot"


def bot_attribute(file: Path) -> str | None:
    """Return the name of the first `NAME = Bot(…)` at the top of a file that imports processsupervisor; None when there is none."""
    _, bots = read_names(file)
    return bots[0] if bots else None


def _active_venv() -> str | None:
    """Return the folder of the virtual environment that is active, when psv itself runs in another."""
    active = os.environ.get("VIRTUAL_ENV")
    if not active or os.path.realpath(active) == os.path.realpath(sys.prefix):
        return None
    return active if (Path(active) / "bin" / "python").exists() else None
