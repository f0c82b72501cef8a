"""A configuration on its way to psvd: a private file for one call, for whoever owns the fleet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.config.content import unpack
from processsupervisor.config.load import load_text
from processsupervisor.config.spec import Applied
from processsupervisor.ipc.candidate import apply
from processsupervisor.kernel.errors import Refused, SystemRefused
from processsupervisor.kernel.paths import FleetPaths

FLEET = b'\xef\xbb\xbf[fleet]\r\nname = "x"\r\n'


class Psvd:
    """Notes what it finds when it is called, and answers or refuses."""

    def __init__(self, paths: FleetPaths, error: Exception | None = None) -> None:
        self._folder, self._error = paths.data / "candidates", error
        self.found: tuple[Applied, dict[str, str]] | None = None
        self.status: os.stat_result | None = None

    def stream(self, op: str, args: dict[str, Any], timeout_s: float) -> Any:
        assert op == "config.apply"
        self.found = unpack((self._folder / args["token"]).read_bytes())
        self.status = (self._folder / args["token"]).stat()
        if self._error is not None:
            raise self._error
        yield {"kind": "plan"}
        return {"ok": True}


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    """A fleet folder."""
    made = FleetPaths(tmp_path)
    made.ensure()
    return made


def _applied(paths: FleetPaths) -> Applied:
    applied = load_text(paths.folder, FLEET).applied
    assert applied is not None
    return applied


def test_the_file_lives_for_one_call(paths: FleetPaths) -> None:
    """Private while it is there, whole to the byte, gone afterwards; what a killed client has left goes too."""
    folder = paths.data / "candidates"
    folder.mkdir()
    (folder / "old").write_text("left")
    os.utime(folder / "old", (1.0, 1.0))
    (folder / "young").write_text("another client's")
    psvd = Psvd(paths)
    assert list(apply(psvd, paths, _applied(paths), {"fleet.toml": FLEET}, {})) == [{"kind": "plan"}]  # type: ignore[arg-type]
    assert psvd.found is not None and psvd.status is not None
    assert psvd.found[1]["fleet.toml"].encode() == FLEET
    assert psvd.status.st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["young"]


def test_nothing_is_left_of_a_call_that_was_refused(paths: FleetPaths) -> None:
    """psvd takes the file away itself, but only if the call got there."""
    psvd = Psvd(paths, Refused("no"))
    with pytest.raises(Refused):
        list(apply(psvd, paths, _applied(paths), {"fleet.toml": FLEET}, {}))  # type: ignore[arg-type]
    assert list((paths.data / "candidates").iterdir()) == []


def test_a_folder_that_cannot_be_written(paths: FleetPaths) -> None:
    """The error names the folder and the way out."""
    (paths.data / "candidates").write_text("in the way")
    with pytest.raises(SystemRefused, match="candidates") as refused:
        list(apply(Psvd(paths), paths, _applied(paths), {}, {}))  # type: ignore[arg-type]
    assert refused.value.hint


@pytest.mark.root
def test_the_owner_of_the_fleet_can_read_it(paths: FleetPaths) -> None:
    """root changes the fleet of a user: the psvd of that user has to read the file."""
    os.chown(paths.data, 65534, 65534)
    psvd = Psvd(paths)
    list(apply(psvd, paths, _applied(paths), {"fleet.toml": FLEET}, {}))  # type: ignore[arg-type]
    assert psvd.status is not None
    assert (psvd.status.st_uid, (paths.data / "candidates").stat().st_uid) == (65534, 65534)
