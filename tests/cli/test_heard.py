"""How far somebody has heard a bot: kept in a folder that the bot's user may have prepared for whoever comes."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from processsupervisor.cli.heard import FOLDER, Heard
from processsupervisor.kernel.paths import FleetPaths

NOBODY = 65534


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    paths = FleetPaths(tmp_path / "fleet")
    paths.bot_data("echo").mkdir(parents=True)
    return paths


def at_once(call: Callable[[], object]) -> object:
    """Return what `call` does, which must not wait."""
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    thread.join(20)
    assert answers, "it waits"
    return answers[0]


def only_file(paths: FleetPaths) -> Path:
    """Return the file of the one conversation that was heard."""
    [file] = (paths.bot_data("echo") / FOLDER).iterdir()
    return file


def test_the_number_only_grows_unless_anew(paths: FleetPaths) -> None:
    """What was shown once is never shown again; a database put back from a copy begins anew."""
    heard = Heard(paths, "echo", "cli-me")
    assert heard.read() is None and heard.place_in(3) == 3
    for seq in (5, 4):
        heard.note(seq)
    assert heard.read() == 5 and heard.place_in(9) == 5
    assert heard.place_in(2) == 2 and heard.read() == 2
    assert Heard(paths, "echo", "cli-you").read() is None


def test_nothing_is_made_behind_a_link_as_folder(paths: FleetPaths, tmp_path: Path) -> None:
    """Who owns the bot's data leads nobody elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (paths.bot_data("echo") / FOLDER).symlink_to(elsewhere)
    heard = Heard(paths, "echo", "cli-me")
    heard.note(5)
    assert heard.read() is None and not list(elsewhere.iterdir())


@pytest.mark.parametrize("put", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_a_link_as_file_is_neither_read_nor_written(paths: FleetPaths, tmp_path: Path, put: Callable[[Path, Path], None]) -> None:
    """The file behind it is another's, and stays as it is."""
    heard = Heard(paths, "echo", "cli-me")
    heard.note(5)
    file, other = only_file(paths), tmp_path / "other"
    other.write_text("7")
    file.unlink()
    put(other, file)
    assert heard.read() is None
    heard.note(9)
    assert other.read_text() == "7"


def test_a_fifo_and_a_held_lock_hold_nobody_up(paths: FleetPaths) -> None:
    """It is a convenience: what cannot be had at once is left out."""
    heard = Heard(paths, "echo", "cli-me")
    heard.note(5)
    file = only_file(paths)
    with file.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        at_once(lambda: heard.note(9))
        assert at_once(heard.read) == 5
    file.unlink()
    os.mkfifo(file)
    assert at_once(heard.read) is None
    at_once(lambda: heard.note(9))


@pytest.mark.root
def test_what_root_heard_first_belongs_to_the_owner(paths: FleetPaths) -> None:
    """Root makes folder and file; the owner goes on with them, and can remove them."""
    data = paths.bot_data("echo")
    os.chown(data, NOBODY, NOBODY)
    Heard(paths, "echo", "cli-me").note(5)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (data / FOLDER, only_file(paths))} == {(NOBODY, NOBODY)}


@pytest.mark.root
def test_what_root_has_there_besides_stays_its_own(paths: FleetPaths) -> None:
    """A folder or a file of root's that was moved into the place of what root makes is not given away."""
    data = paths.bot_data("echo")
    heard = Heard(paths, "echo", "cli-me")
    heard.note(5)
    name = only_file(paths).name
    shutil.rmtree(data / FOLDER)
    (data / FOLDER).mkdir(0o700)
    (data / FOLDER / name).write_text("secret")
    os.chown(data, NOBODY, NOBODY)
    heard.note(5)
    assert [path.stat().st_uid for path in (data / FOLDER, data / FOLDER / name)] == [0, 0]
