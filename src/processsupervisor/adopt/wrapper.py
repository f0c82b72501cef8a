"""`psv adopt --wrap main.py`: the program is renamed, and a small main.py in its place has psv run it; `--unwrap` is the way back.

Nothing of the program is changed: bot.py is the very file that main.py was. It is there under both names before main.py becomes the
wrapper in one step, so that a kill at any moment leaves an entry point that works, and a second run finishes the first.
"""

from __future__ import annotations

import ast
import contextlib
import keyword
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.adopt.interpreter import venv_beside
from processsupervisor.adopt.program import CannotRead, Place
from processsupervisor.adopt.source import read_program
from processsupervisor.adopt.text import read_bytes
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.kernel.files import write_atomic

_MARK = "# Made by `psv adopt --wrap`"
_SETTINGS = ("config", "psv_config")
"""What the module of settings may be called: the second one where the program has a `config` of its own."""
_ASK_S = 30.0
_ASK = "import sys, processsupervisor; sys.exit(sys.version_info < (3, 11))"

_MAIN = """\
{mark}: the program is BOT in {settings}.py. Back: psv adopt --unwrap {file}
import os
import sys
import {settings}

if __name__ == "__main__":
    os.execv(sys.executable, {settings}.command(sys.argv[1:]))  # the same process, so signals, pid and exit status are psv's
sys.modules[__name__] = __import__({settings}.BOT[:-3])  # whoever imports {stem} gets the program
"""

_CONFIG = """\
{mark}, for {file}.
import importlib.util
import os
import sys

BOT = "{bot}"  # the program: {file} as it was, unchanged
MODE = "{mode}"  # auto: the fleet.toml beside it where there is one, else this bot alone; or single, or multi


def command(args):
    folder = os.path.dirname(os.path.abspath(__file__))
    plain = [sys.executable, os.path.join(folder, BOT), *args]
    if "PSV_BOT" in os.environ:  # started by psv already, as a bot of a fleet
        return plain
    if importlib.util.find_spec("processsupervisor"):
        return [sys.executable, "-P", "-m", "processsupervisor", "run", "--mode", MODE, plain[1], *(["--", *args] if args else [])]
    missing = f"psv: {{sys.executable}} has no psv (its module is processsupervisor; install it there with pip)"
    if MODE == "multi" or (MODE == "auto" and os.path.exists(os.path.join(folder, "fleet.toml"))):
        sys.exit(f"{{missing}}: the fleet cannot start")
    sys.stderr.write(f"{{missing}}: {{BOT}} runs without supervision\\n")
    return plain
"""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A wrapped program: `file` is the entry point, `bot` the program, `settings` the file that names it."""

    file: Path
    bot: Path
    settings: Path


def wrapping_of(path: Path) -> Wrapping | None:
    """Return what stands behind `path` when it is a wrapper of ours, else None. Raises CannotRead for one that was changed by hand."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    if _MARK not in text:
        return None
    body = text.partition("\n")[2] if text.startswith("#!") else text
    for name in _SETTINGS:
        settings = path.with_name(f"{name}.py")
        if body == _main_text(path, name) and (bot := _values(settings).get("BOT")):
            return Wrapping(path, path.with_name(bot), settings)
    hint = f"by hand: mv bot.py {path.name}, where bot.py is BOT of {' or '.join(f'{name}.py' for name in _SETTINGS)}"
    raise CannotRead(f"{path} is a wrapper of psv that was changed by hand, or has lost its config.py", hint=hint)


def wrap(path: Path, bot_name: str) -> tuple[Wrapping, bool]:
    """Make `path` a wrapper of what it is now; returns what there is now and whether anything was changed.

    Raises CannotRead for what is no program that can be wrapped, Refused when a name is taken or psv is not installed where it will run.
    """
    if wrapping := wrapping_of(path):
        return wrapping, False
    _require_plain_file(path)
    libraries = _require_program(path)
    bot = _new_name(path, bot_name, libraries)
    settings = _settings_file(path, libraries)
    _require_ours(settings, path, bot)
    _require_psv(venv_beside(path.parent) or Path(sys.executable), path)
    wrapping = Wrapping(path, bot, settings)
    _require_writable(path.parent)
    _write(wrapping)
    return wrapping, True


def unwrap(path: Path) -> list[Path]:
    """Put the program back in the place of its wrapper and return the files that are gone; raises Refused when `path` is none."""
    wrapping = wrapping_of(path)
    if wrapping is None:
        raise Refused(f"{path} is no wrapper of psv", hint="there is nothing to take back")
    if not wrapping.bot.is_file():
        raise Refused(f"{wrapping.settings} names {wrapping.bot.name}, which is not there", hint="put the program there, or correct BOT")
    _require_writable(path.parent)
    gone = [wrapping.bot]
    is_ours = _is_unchanged(wrapping.settings, path)
    try:
        wrapping.bot.replace(path)
        if is_ours:
            wrapping.settings.unlink()
            gone.append(wrapping.settings)
            _forget_compiled(wrapping.settings)
    except OSError as err:
        raise PsvError(f"cannot put {wrapping.bot} back: {err.strerror}", hint="check the folder's owner and mode") from err
    return gone


def _write(wrapping: Wrapping) -> None:
    """Settings first, then the second name of the program, then the wrapper: whatever is there at any moment can be started."""
    path, made = wrapping.file, []
    facts = path.stat()
    mode = stat.S_IMODE(facts.st_mode)
    first = path.read_bytes().partition(b"\n")[0].rstrip(b"\r") + b"\n"
    try:
        values = _values(wrapping.settings)
        if values.get("BOT") != wrapping.bot.name:  # of a run that was killed, or whose wrapper was replaced by another main.py
            made += [] if wrapping.settings.exists() else [wrapping.settings]
            content = _config_text(path, wrapping.bot.name, values.get("MODE", "auto")).encode()
            write_atomic(wrapping.settings, content, mode=mode & 0o666)
        if not wrapping.bot.exists():
            os.link(path, wrapping.bot)
            made.append(wrapping.bot)
        content = _main_text(path, wrapping.settings.stem).encode()
        write_atomic(path, first + content if first.startswith(b"#!") else content, mode=mode)
    except OSError as err:
        for file in made:
            with contextlib.suppress(OSError):
                file.unlink()
        message = f"cannot write in {path.parent}: {err.strerror}; nothing was changed"
        raise PsvError(message, hint="it must be a local folder of yours") from err
    for file, bits in ((path, mode), (wrapping.settings, mode & 0o666)):
        with contextlib.suppress(OSError):
            file.chmod(bits)  # as the original, whatever the umask says
            os.chown(file, facts.st_uid, facts.st_gid)


def _require_plain_file(path: Path) -> None:
    if path.is_symlink():
        raise Refused(f"{path} is a symlink to {path.readlink()}", hint="wrap the file that it leads to")
    if not path.name.isprintable():
        raise Refused(f"the name {path.name!r} cannot be written into a program", hint="give the file another name")
    read_bytes(path)  # CannotRead for what is missing or no plain file; in which encoding it is, is Python's to say


def _require_program(path: Path) -> set[str]:
    """Return the libraries that the program imports."""
    reading = read_program(path, path.parent)
    if reading.error:
        hint = "a Python 2 program cannot run under psv's interpreter" if "Python 2" in reading.error else "correct the file"
        raise CannotRead(f"{Place(path, reading.error_line)}: {reading.error}, expected Python 3; nothing was changed", hint=hint)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Constant) and node.value == "processsupervisor":
            raise Refused(f"{Place(path, node.lineno)}: it starts psv itself already", hint="leave it as it is, or wrap what it starts")
        if isinstance(node, ast.ImportFrom) and node.level:
            what = f"{Place(path, node.lineno)}: it imports from its own package, so it is started with python -m"
            raise Refused(what, hint="give it a bot in fleet.toml: command = [\"python\", \"-m\", \"PACKAGE\"]")
    return reading.libraries


def _new_name(path: Path, name: str, libraries: set[str]) -> Path:
    stem = name.removesuffix(".py")
    if not name.endswith(".py") or not stem.isidentifier() or keyword.iskeyword(stem):
        raise Refused(f'the program cannot be called "{name}"', hint="give a module's name and .py: --as bot.py")
    bot = path.with_name(name)
    if bot.name == path.name:
        raise Refused(f"{path.name} itself needs another name", hint=f"psv adopt --wrap {path.name} --as {path.stem}_program.py")
    hint = f"give the program another name: psv adopt --wrap {path.name} --as {path.stem}_program.py"
    if (bot.exists() or bot.is_symlink()) and not bot.samefile(path):
        raise Refused(f"{bot} is there already", hint=hint)
    if bot.with_suffix("").is_dir() or stem in libraries or stem in sys.stdlib_module_names:
        raise Refused(f"{name} would hide the module {stem}", hint=hint)
    return bot


def _settings_file(path: Path, libraries: set[str]) -> Path:
    for name in _SETTINGS:
        settings = path.with_name(f"{name}.py")
        is_free = not settings.exists() and not settings.is_symlink() and not settings.with_suffix("").is_dir() and name not in libraries
        if is_free or _read(settings).startswith(f"{_MARK}, for {path.name}."):
            return settings
    raise Refused(f"{path.with_name(_SETTINGS[-1])}.py is there already", hint="move it away: the wrapper's settings are kept there")


def _require_ours(settings: Path, path: Path, bot: Path) -> None:
    """Refuse settings of an earlier wrapper that name another program and were changed by hand; unchanged ones are written anew."""
    named = _values(settings).get("BOT")
    if settings.exists() and named != bot.name and not _is_unchanged(settings, path):
        what = f"{settings} is of an earlier wrapper, names {named or 'no program'}, and was changed by hand; nothing was changed"
        raise Refused(what, hint=f'write BOT = "{bot.name}" there, or move it away')


def _require_psv(python: Path, path: Path) -> None:
    """Ask the interpreter that will run the wrapper, as far as it can be known, whether psv can be imported."""
    try:
        done = subprocess.run([python, "-c", _ASK], cwd="/", capture_output=True, timeout=_ASK_S, check=False)
        has_it = done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        has_it = False
    if not has_it:
        what = f"{python}, which runs {path.name}, has no psv (or is older than Python 3.11); nothing was changed"
        raise Refused(what, hint=f"install it there: {python} -m pip install processsupervisor")


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "do it as the owner of that folder; who runs the program must be able to write there too"
        raise Refused(f"may not write in {folder}; nothing was changed", hint=hint)


def _forget_compiled(source: Path) -> None:
    folder = source.parent / "__pycache__"
    with contextlib.suppress(OSError):
        for compiled in folder.glob(f"{source.stem}.*.pyc"):
            compiled.unlink()
        folder.rmdir()


def _values(settings: Path) -> dict[str, str]:
    """Return the texts that are assigned at the top of a module, without running it."""
    try:
        tree = ast.parse(_read(settings))
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _is_unchanged(settings: Path, path: Path) -> bool:
    """Tell whether the settings of `path` are as they were written here."""
    values = _values(settings)
    return _read(settings) == _config_text(path, values.get("BOT", ""), values.get("MODE", ""))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _main_text(path: Path, settings: str) -> str:
    return _MAIN.format(mark=_MARK, settings=settings, file=path.name, stem=path.stem)


def _config_text(path: Path, bot: str, mode: str) -> str:
    return _CONFIG.format(mark=_MARK, file=path.name, bot=bot, mode=mode)
