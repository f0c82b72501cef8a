"""Laws of making a release: what is copied, that it is sealed and whole or not there at all, and that numbers never come back."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processsupervisor.kernel.errors import LockHeld, Refused, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.release.keeping import prune, remove
from processsupervisor.release.making import Made, Wish, create
from processsupervisor.release.manifest import numbers, read_manifest, verify

CREATE = "import sys; from processsupervisor.kernel.paths import FleetPaths; from processsupervisor.release.making import Wish, create; "


def make(paths: FleetPaths, **wish: object) -> Made:
    return create(paths, Wish(left_out=frozenset({"fleet.toml"}), **wish))  # type: ignore[arg-type]


def copied(paths: FleetPaths, number: int) -> set[str]:
    files = paths.release(number) / "files"
    return {str(path.relative_to(files)) for path in files.rglob("*") if "__pycache__" not in path.parts}


def test_code_is_copied_and_nothing_else(paths: FleetPaths) -> None:
    """No tokens, no psv, no git, no virtual environment, no leftovers; empty folders and modes are kept, and nobody may write."""
    made = make(paths, note="first", author="ann")
    assert copied(paths, 1) == {"main.py", "run.sh", "pkg", "pkg/__init__.py", "pkg/deep", "pkg/deep/mod.py", "data", "data/big.bin", "empty"}
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (paths.release(1) / "files").rglob("*")}
    assert modes["run.sh"] == 0o550
    assert not any(mode & 0o222 for mode in modes.values())
    kept = read_manifest(paths, 1)
    assert kept == made.manifest
    assert (kept.number, kept.note, kept.author, kept.count, kept.git) == (1, "first", "ann", 5, None)
    verify(paths, 1)


def test_python_files_are_compiled_under_their_later_name(paths: FleetPaths) -> None:
    """Nobody may write beside them afterwards, so each start of a bot would compile them anew."""
    make(paths)
    (compiled,) = (paths.release(1) / "files" / "pkg" / "deep" / "__pycache__").glob("mod.*.pyc")
    assert str(paths.release(1) / "files" / "pkg" / "deep" / "mod.py").encode() in compiled.read_bytes()


def test_the_same_content_makes_no_second_release(paths: FleetPaths) -> None:
    """It says which one it is; --again makes one all the same, and so does one changed byte."""
    make(paths)
    same = make(paths)
    assert (same.is_new, same.manifest.number, numbers(paths)) == (False, 1, [1])
    assert make(paths, again=True).manifest.number == 2
    (paths.folder / "main.py").write_text("print('two')\n")
    assert make(paths).manifest.number == 3
    (paths.folder / "main.py").chmod(0o755)
    assert make(paths).manifest.number == 4


def test_a_number_never_comes_back(paths: FleetPaths) -> None:
    """Not even that of the newest, when it was removed."""
    make(paths)
    remove(paths, 1)
    assert numbers(paths) == []
    assert make(paths).manifest.number == 2


def test_links_stay_inside_or_are_refused(paths: FleetPaths, tmp_path: Path) -> None:
    """A link means the copy afterwards; one that leads out is named with the way out, one to what is left out is left out."""
    (paths.folder / "pkg" / "again.py").symlink_to("deep/mod.py")
    (paths.folder / "absolute.py").symlink_to(paths.folder / "main.py")
    (paths.folder / "python").symlink_to("venv")
    made = make(paths)
    files = paths.release(1) / "files"
    assert (files / "pkg" / "again.py").resolve() == files / "pkg" / "deep" / "mod.py"
    assert (files / "absolute.py").resolve() == files / "main.py"
    assert made.notes == ["python leads to venv, which is no part of a release, and is left out"]
    (paths.folder / "passwd").symlink_to("/etc/passwd")
    (paths.folder / "pkg" / "above").symlink_to("../../elsewhere")
    with pytest.raises(Refused, match=r"passwd -> /etc/passwd, pkg/above -> ../../elsewhere") as refused:
        make(paths)
    assert ".psvignore" in refused.value.hint
    (paths.folder / ".psvignore").write_text("/passwd\nabove\n")
    assert make(paths).manifest.number == 2


def test_what_is_no_file_is_left_out_with_a_note(paths: FleetPaths) -> None:
    """Opening a FIFO would wait for ever."""
    os.mkfifo(paths.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(paths.folder / "sock"))
        made = make(paths)
    assert made.notes == ["pipe is a FIFO and is left out", "sock is a socket and is left out"]


def test_a_folder_that_is_too_large_is_refused_with_what_is_largest(paths: FleetPaths) -> None:
    """A data folder that nobody thought of is named."""
    with pytest.raises(Refused, match=r"largest: data") as refused:
        make(paths, limit_bytes=900)
    assert "--limit" in refused.value.hint
    assert numbers(paths) == []


def test_names_that_are_no_text_are_kept(paths: FleetPaths) -> None:
    """A manifest with such a name is read again."""
    os.close(os.open(os.fsencode(paths.folder) + b"/odd\xff", os.O_CREAT | os.O_WRONLY))
    make(paths)
    assert "odd\udcff" in {item.path for item in verify(paths, 1).files}


def test_git_says_where_the_code_came_from(paths: FleetPaths) -> None:
    """The commit, and whether the folder differs from it."""
    (paths.folder / ".git" / "HEAD").unlink()
    (paths.folder / ".git").rmdir()
    (paths.folder / ".gitignore").write_text("/.psv/\n/venv/\n")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        try:
            subprocess.run(["git", *words], cwd=paths.folder, check=True, env=os.environ | {"HOME": str(paths.folder.parent)})
        except FileNotFoundError:
            pytest.skip("needs git")
    git = make(paths).manifest.git
    assert git is not None
    assert (len(git["commit"]), git["is_dirty"]) == (40, False)
    (paths.folder / "main.py").write_text("print('dirty')\n")
    git = make(paths).manifest.git
    assert git is not None
    assert git["is_dirty"]


@pytest.mark.parametrize("harm, said", [
    (lambda files: (files / "main.py").write_text("print('bad')\n"), "main.py was changed"),
    (lambda files: (files / "main.py").unlink(), "main.py is missing"),
    (lambda files: (files / "more.py").write_text(""), "more.py was added"),
    (lambda files: (files / "run.sh").chmod(0o700), "run.sh has mode 700, not 550"),
])  # fmt: skip
def test_a_release_that_was_changed_is_refused_by_name(paths: FleetPaths, harm: object, said: str) -> None:
    """Whoever may write there can; it is seen before it is deployed."""
    make(paths)
    files = paths.release(1) / "files"
    files.chmod(0o755)
    (files / "main.py").chmod(0o644)
    if said.startswith("main.py was"):
        (files / "main.py").write_text("print('one')\n")
    harm(files)  # type: ignore[operator]
    with pytest.raises(Refused, match=said):
        verify(paths, 1)


def test_only_one_is_made_at_a_time(paths: FleetPaths) -> None:
    """The second is told; a lock, not a guess, says so."""
    import fcntl

    make(paths)
    with (paths.releases / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockHeld):
            make(paths, again=True)


def test_the_last_ten_stay_and_what_runs_or_ran(paths: FleetPaths) -> None:
    """Pruning never takes the running release, nor the one to which a rollback goes; rm refuses them."""
    for _ in range(14):
        make(paths, again=True)
    paths.data.mkdir(parents=True)
    paths.applied.write_text(json.dumps({"release": 2}))
    paths.deployed.write_text(json.dumps({"history": [1, 2], "rejected": {}, "watch": None}))
    paths.change.touch()
    assert prune(paths) == []
    with pytest.raises(Refused, match="a change is under way"):
        remove(paths, 9)  # it may be just what is deployed
    paths.change.unlink()
    assert prune(paths) == [3, 4]
    assert numbers(paths) == [1, 2, *range(5, 15)]
    for number, why in ((2, "runs"), (1, "ran before"), (99, "there is no release 99")):
        with pytest.raises(Refused, match=why):
            remove(paths, number)


def test_kill_at_any_time_leaves_nothing_half_made(paths: FleetPaths) -> None:
    """Whatever was under way is gone with the next create; what has a number is whole."""
    for index in range(60):
        (paths.folder / "pkg" / f"part{index}.py").write_text(f"x = {index}\n" * 50)
    argv = [sys.executable, "-c", CREATE + "create(FleetPaths(sys.argv[1]), Wish(again=True))", str(paths.folder)]
    random.seed(os.urandom(8))
    began = time.monotonic()
    subprocess.run(argv, check=True)
    whole_s = time.monotonic() - began
    for _ in range(6):
        maker = subprocess.Popen(argv)
        time.sleep(random.uniform(0.1, 1.0) * whole_s)  # the moment of the kill is what is tried, nothing is waited for
        maker.send_signal(signal.SIGKILL)
        maker.wait()
        for number in numbers(paths):
            verify(paths, number)
    (paths.releases / "..last.1.tmp").touch()  # of one that was killed just there
    last = make(paths, again=True).manifest.number
    assert sorted(os.listdir(paths.releases)) == sorted([".last", ".lock", *map(str, numbers(paths))])
    assert numbers(paths)[-1] == last


@pytest.mark.root
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a disk that really is full: said in one line, nothing left, and what was there before still whole."""
    disk = tmp_path / "small"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        paths = FleetPaths(disk)
        (disk / "main.py").write_bytes(os.urandom(600_000))
        make(paths)
        with pytest.raises(SystemRefused, match="No space left"):
            for _ in range(4):
                make(paths, again=True)
        assert sorted(os.listdir(paths.releases)) == sorted([".last", ".lock", *map(str, numbers(paths))])
        for number in numbers(paths):
            verify(paths, number)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
