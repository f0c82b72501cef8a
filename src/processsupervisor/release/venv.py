"""The virtual environment of a release: made of requirements.txt, or of what pyproject.toml depends on, by uv or by venv and pip.

Made where the release is made and renamed with it: the few files that name their own place are written anew. What was installed is
noted in the manifest. Without a file that says what is needed there is none: the packages of some interpreter are nobody's word.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError, Refused, refused_by_system
from processsupervisor.observe.redact import redact

_PATIENCE_S = 1800.0
_TAIL_LINES = 4
_SMALL_BYTES = 1 << 20
_LISTED = "dependencies.txt"


class InstallFailed(PsvError):
    """The packages of a release could not be installed; the release was not made."""

    code = "install-failed"


@dataclass(frozen=True, slots=True)
class Tools:
    """Runs installers: each holds the lock of making until its own end, also when psv is killed over it. `say` tells what is done."""

    lock: int
    say: Callable[[str], None]

    def run(self, argv: list[str], where: Path) -> str:
        """Run a command and return what it printed; raises InstallFailed with its last words."""
        name = Path(argv[0]).name
        try:
            ended = subprocess.run(
                argv, cwd=where, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False, pass_fds=(self.lock,)
            )
        except subprocess.TimeoutExpired as err:
            raise InstallFailed(f"{name} took longer than {_PATIENCE_S:.0f} s", hint="no release was made; try again") from err
        except OSError as err:
            raise refused_by_system(f"cannot run {argv[0]}", err, hint="install uv, or Python with venv and pip") from err
        if ended.returncode != 0:
            tail = " / ".join((ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()[-_TAIL_LINES:])
            raise InstallFailed(f"the virtual environment could not be made: {redact(tail)}", hint="no release was made")
        return ended.stdout.decode(errors="replace")


def make_environment(new: Path, final: Path, tools: Tools) -> dict[str, Any]:
    """Make `new`/venv of what `new`/files asks for and return `{made_of, made_by, python, packages}`.

    Raises Refused when nothing says what is needed, InstallFailed with the last words of the tool.
    """
    made_of, wanted = _wanted(new)
    venv, uv = new / "venv", shutil.which("uv")
    python = str(venv / "bin" / "python")
    tools.say(f"makes a virtual environment of {made_of} with {'uv' if uv else 'pip'}")
    if uv:
        tools.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], new)
        tools.run([uv, "pip", "install", "--quiet", "--link-mode", "copy", "--python", python, *wanted], new)
    else:
        tools.run([sys.executable, "-m", "venv", str(venv)], new)
        tools.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], new)
    (new / _LISTED).unlink(missing_ok=True)
    _rename_within(venv, str(new), str(final))
    listing = [uv, "pip", "freeze", "--python", python] if uv else [python, "-m", "pip", "freeze", "--disable-pip-version-check"]
    packages = tools.run(listing, new).split("\n")
    version = tools.run([python, "-c", "import platform; print(platform.python_version())"], new).strip()
    return {"made_of": made_of, "made_by": "uv" if uv else "pip", "python": version, "packages": [name for name in packages if name]}


def _wanted(new: Path) -> tuple[str, list[str]]:
    """Return which file says what is needed, and how an installer is told."""
    files = new / "files"
    if (files / "requirements.txt").is_file():
        return "requirements.txt", ["-r", str(files / "requirements.txt")]
    try:
        project = tomllib.loads((files / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        needed = project["dependencies"]
    except FileNotFoundError:
        needed = None
    except (KeyError, AttributeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        text = "pyproject.toml says nothing that can be read of [project] dependencies"
        raise Refused(text, hint="add them, or write a requirements.txt") from err
    if needed is None:
        text = "--venv needs a requirements.txt or a pyproject.toml beside fleet.toml"
        raise Refused(text, hint="pip freeze > requirements.txt writes one")
    listed = new / _LISTED
    listed.write_text("".join(f"{line}\n" for line in needed))
    return "pyproject.toml", ["-r", str(listed)]


def _rename_within(venv: Path, old: str, new: str) -> None:
    """Write the place that the environment will have into its small files: pyvenv.cfg, and the first lines in bin/."""
    for path in [venv / "pyvenv.cfg", *(venv / "bin").iterdir()]:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _SMALL_BYTES:
            continue
        content = path.read_bytes()
        if os.fsencode(old) in content:
            with contextlib.suppress(FileNotFoundError):
                path.write_bytes(content.replace(os.fsencode(old), os.fsencode(new)))
