"""One fleet of a test build for all cases of a module; a failed case takes it along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.fleet import CrashFleet
from tests.crash.ground import Case, walk

from processsupervisor.kernel.crashing import VARIABLE


class Ground:
    """Makes the fleet when it is first needed, and again after a failure."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._fleet: CrashFleet | None = None

    def walk(self, case: Case) -> None:
        """Walk one case on the present fleet."""
        fleet = self._present()
        try:
            walk(fleet, case)
        except BaseException:
            self.close()
            raise

    def _present(self) -> CrashFleet:
        if self._fleet is None:
            self._number += 1
            folder, points = self._folder / f"fleet{self._number}", self._folder / f"points{self._number}"
            folder.mkdir()
            points.mkdir()
            os.environ[VARIABLE] = str(points)
            self._fleet = CrashFleet(folder, points, web=True)
        return self._fleet

    def close(self) -> None:
        """End the fleet, whatever state it is in."""
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            fleet.stop()

    def finish(self) -> None:
        """Take the fleet down politely; nothing may be left of it."""
        fleet = self._fleet
        if fleet is not None:
            fleet.down()
            assert fleet.processes() == []


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The ground of one module."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "runtime").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PSV_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv(VARIABLE, "")
        made = Ground(folder)
        try:
            yield made
            made.finish()
        finally:
            made.close()
