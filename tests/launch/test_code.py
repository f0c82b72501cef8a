"""The copy of the package that a fleet runs: made once per content, whole or not at all, removed only when nobody can need it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch import code as copies
from processsupervisor.launch.code import Code, install, prune


def _paths(tmp_path: Path) -> FleetPaths:
    paths = FleetPaths(tmp_path)
    paths.ensure()
    return paths


def test_the_same_content_is_copied_once(tmp_path: Path) -> None:
    """A second install finds the first copy, byte for byte what is installed, without leftovers."""
    paths = _paths(tmp_path)
    first = install(paths)
    stamp = first.package.stat().st_mtime_ns
    assert install(paths) == first
    assert first.package.stat().st_mtime_ns == stamp
    assert [folder.name for folder in paths.code.iterdir()] == [first.name]
    own = Code.own().package
    names = {p.relative_to(own) for p in own.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert {p.relative_to(first.package) for p in first.package.rglob("*") if p.is_file() and p.suffix != ".pyc"} == names
    assert all((own / name).read_bytes() == (first.package / name).read_bytes() for name in names)


def test_the_name_tells_a_copy_from_the_installed_package(tmp_path: Path) -> None:
    """VERSION-HASH for a copy in a fleet, "installed" for anything else."""
    paths = _paths(tmp_path)
    assert Code.own().name == "installed"
    assert install(paths).name.startswith(copies.__version__ + "-")
    assert Code(tmp_path / "code" / "x" / "processsupervisor", "python").name == "installed"


def test_a_copy_changed_by_hand_is_made_again(tmp_path: Path) -> None:
    """What runs is what was installed."""
    paths = _paths(tmp_path)
    made = install(paths)
    (made.package / "version.py").write_text("__version__ = 'mine'")
    assert install(paths) == made
    assert "mine" not in (made.package / "version.py").read_text()


def test_a_copy_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """The place is taken by a file: a clear error, and no half copy under the final name."""
    paths = _paths(tmp_path)
    paths.code.write_text("in the way")
    with pytest.raises(SystemRefused, match="cannot copy the package"):
        install(paths)
    assert paths.code.read_text() == "in the way"


def test_other_copies_are_removed_only_when_no_bot_runs(tmp_path: Path) -> None:
    """A bot that lives may still import from the copy it was forked from."""
    paths = _paths(tmp_path)
    kept = install(paths)
    old = paths.code / "0.0.1-abc"
    old.mkdir()
    paths.bot_run("b").mkdir()
    lock = os.open(paths.bot_run("b") / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    prune(paths, kept)
    assert old.is_dir()
    os.close(lock)
    prune(paths, kept)
    assert [folder.name for folder in paths.code.iterdir()] == [kept.name]


def test_a_module_of_the_copy_runs_with_the_import_path_of_any_program(tmp_path: Path) -> None:
    """boot.py loads the copy it belongs to and leaves nothing of it in sys.path."""
    made = install(_paths(tmp_path))
    package = made.package
    (package / "probe.py").write_text(
        "import sys, processsupervisor.kernel.files as f\n\ndef main(argv):\n    print(f.__file__, [p for p in sys.path if 'code' in p], argv)\n    return 7\n"
    )
    done = subprocess.run(made.argv("processsupervisor.probe", "a", "b"), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert done.stdout.strip() == f"{package / 'kernel' / 'files.py'} [] ['a', 'b']"
    assert made.python == sys.executable


def test_the_umask_takes_nothing_from_those_who_may_read(tmp_path: Path) -> None:
    """A bot of another user imports from the copy, whoever ran psv up, and with whatever umask."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    previous = os.umask(0o077)
    try:
        made = install(paths)
    finally:
        os.umask(previous)
    assert paths.code.stat().st_mode & 0o777 == 0o711
    assert made.package.stat().st_mode & 0o777 == 0o755


def test_a_copy_that_fails_file_by_file_says_one_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """copytree collects an error for each file: a person wants to read one."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    full = [(f"from/{n}", f"to/{n}", "[Errno 28] No space left on device") for n in range(300)]

    def fails(*_: object, **__: object) -> None:
        raise copies.shutil.Error(full)

    monkeypatch.setattr(copies.shutil, "copytree", fails)
    with pytest.raises(SystemRefused) as caught:
        install(paths)
    assert "code: [Errno 28] No space left on device; psv needs" in str(caught.value)
