"""psvd dies in the middle of a change of the configuration: within a minute the fleet is wholly on the old or wholly on the new version."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.doubles import Doubles
from tests.crash.fleet import CrashFleet
from tests.crash.ground import Case
from tests.supervisor.live import LiveFleet, eventually, spec_of

from processsupervisor.kernel.crashing import VARIABLE
from processsupervisor.kernel.crashpoints import CrashPoint as P
from processsupervisor.kernel.errors import PsvError

GOOD, WRONG, ENDING = "good", "wrong", "ending"
CASES = [
    *(Case(point, GOOD, "a", passes) for point, all_passes in (
        (P.PSVD_CHANGE_NOTED, (0,)), (P.PSVD_CHANGE_BEGUN, (0,)), (P.PSVD_CHANGE_SWAPPED, (0, 1)), (P.PSVD_CHANGE_TURNED, (0, 2)),
        (P.PSVD_CHANGE_BATCH, (0, 2)), (P.PSVD_CHANGE_BEFORE_COMMIT, (0,)), (P.PSVD_CHANGE_COMMITTED, (0,)), (P.PSVD_CHANGE_ENDED, (0,)),
        (P.PSVD_BEFORE_RECORD, (2,)), (P.PSVD_BEFORE_FORK, (1,)), (P.PSVD_AFTER_RECORD, (3,)),
    ) for passes in all_passes),
    *(Case(point, ENDING, "b", 2) for point in (P.PSVD_BEFORE_EXIT, P.PSVD_EXIT_NOTED)),
    *(Case(point, WRONG, "a") for point in (P.PSVD_CHANGE_BACK, P.PSVD_CHANGE_BACK_DONE, P.PSVD_CHANGE_ENDED)),
]  # fmt: skip
MOST_S = 60.0
SLEEPER = '[bots.{}]\ncommand = ["sleep", "1000"]\nenv = {{ COLOUR = "{}" }}\n'
OLD = "".join(SLEEPER.format(name, "red") for name in ("a", "b", "gone", "same"))
NEW = "".join(SLEEPER.format(name, colour) for name, colour in (("a", "blue"), ("b", "blue"), ("same", "red"), ("new", "blue")))
FOR_GOOD = NEW.replace('[bots.b]\ncommand = ["sleep", "1000"]', '[bots.b]\ncommand = ["sh", "-c", "exit 78"]')
FAILING = NEW.replace('[bots.new]\ncommand = ["sleep", "1000"]', '[bots.new]\ncommand = ["false"]')


class ChangeFleet(CrashFleet):
    """A fleet of which two bots change, one comes and one goes."""

    def __init__(self, folder: Path, points: Path) -> None:
        LiveFleet.__init__(self, folder)
        self.points, self.web = points, False
        self.configure(OLD)
        self.doubles = Doubles(folder, ["a", "b", "gone", "same", "new"])
        self.doubles.start()
        self.spawn_keeper()
        self.settle()

    def colours(self) -> dict[str, str]:
        """Return the setting with which each bot of the fleet runs."""
        return {name: str(spec_of(self, name)["env"]["COLOUR"]) for name in self.settle()}

    def stop(self) -> None:
        """See LiveFleet; nobody dies at a point any more."""
        for armed in self.points.iterdir():
            armed.unlink()
        self.doubles.stop()
        LiveFleet.stop(self)


@pytest.fixture
def changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChangeFleet]:
    """A fleet of its own for each death."""
    for name in ("runtime", "fleet", "points"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "points"))
    fleet = ChangeFleet(tmp_path / "fleet", tmp_path / "points")
    try:
        yield fleet
    finally:
        fleet.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_psvd_finishes_or_undoes_it(changing: ChangeFleet, case: Case) -> None:
    """Desired and observed: settings, processes, the version that runs, and no bot of the other one."""
    same = changing.bot("same")["pid"]
    changing.arm(case.point, case.passes)

    def apply() -> None:
        with contextlib.suppress(PsvError):
            changing.apply({GOOD: NEW, WRONG: FAILING, ENDING: FOR_GOOD}[case.act])

    asking = threading.Thread(target=apply)
    asking.start()
    victim = eventually(lambda: changing.struck(case.point), f"psvd dies at {case.point}")
    asking.join(MOST_S)
    eventually(lambda: changing.answers() and changing.psvd_pid() != victim, "the next psvd answers")

    def is_whole() -> bool:
        try:
            if (changing.paths.data / "change.json").exists() or {v["result"] for v in changing.call("config.versions")} & {"pending"}:
                return False
            number = changing.call("config.running")["number"]
            return changing.colours() == (
                {"a": "red", "b": "red", "gone": "red", "same": "red"} if number == 1 else {"a": "blue", "b": "blue", "same": "red", "new": "blue"}
            )
        except (PsvError, FileNotFoundError):
            return False

    eventually(is_whole, f"one version as a whole: {changing.call('config.running')}", MOST_S)
    number = changing.call("config.running")["number"]
    if case.act != GOOD:
        assert number == 1
    assert changing.bot("same")["pid"] == same
    assert changing.copies("new" if number == 1 else "gone") == []
    assert changing.doubles.found == []
