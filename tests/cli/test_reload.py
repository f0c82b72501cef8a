"""Laws of the child that psvd starts to read the files again (app/reload.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.versionkeeper import VersionKeeper

from processsupervisor.app.reload import main
from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import RuntimeValue

FLEET = '[fleet]\nname = "shop"\n[bots.a]\ncommand = ["sleep", "600"]\n'


@pytest.fixture
def versions(folder: Path) -> Iterator[VersionKeeper]:
    """A fleet with one bot, of which a priority was set by command for a time that is over."""
    (folder / "fleet.toml").write_text(FLEET)
    applied = load_fleet(folder).applied
    assert applied is not None
    keeper = VersionKeeper(folder, applied, {"fleet.toml": FLEET})
    yield keeper
    keeper.close()


def _value(key: str, until: float | None) -> RuntimeValue:
    return {"scope": "bots", "name": "a", "key": [key], "value": 7, "author": "x", "reason": "", "at": 1.0, "until": until}


def test_changed_files_are_applied(folder: Path, versions: VersionKeeper, capsys: pytest.CaptureFixture[str]) -> None:
    """What the files say now runs, with the reason that psvd gave; one line says so."""
    (folder / "fleet.toml").write_text(FLEET.replace("600", "601"))
    assert main([str(folder), "--reason", "SIGHUP"]) == 0
    assert versions.content()[0]["bots"][0]["command"] == ["sleep", "601"]
    assert versions.versions[-1][0]["reason"] == "SIGHUP"
    assert capsys.readouterr().err == "psv: version 2 runs (applied)\n"


@pytest.mark.parametrize("text", [FLEET + "log_levle = 1\n", FLEET + "[global]\nnonsense = 1\n", "[fleet\n", None])
def test_mistakes_are_told(folder: Path, versions: VersionKeeper, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    """psvd learns why the files on the disk do not run, so that status can say it; the child ends with 2."""
    if text is None:
        (folder / "fleet.toml").unlink()
    else:
        (folder / "fleet.toml").write_text(text)
    assert main([str(folder), "--reason", "x"]) == 2
    (told,) = [args for op, args in versions.calls if op == "config.refused"]
    assert "fleet.toml" in told["reason"] and isinstance(told["digest"], str)
    assert capsys.readouterr().err.startswith("psv: ")
    assert versions.running == 1


def test_an_ended_value_leaves_the_files_alone(folder: Path, versions: VersionKeeper) -> None:
    """The running version goes on without what has ended, and with what has not, whatever the files say meanwhile."""
    applied, sources = versions.content()
    values = [_value("priority", time.time() - 1), _value("hang_after", None)]
    versions.running = versions.keep({**applied, "runtime": values}, sources, "x", "")
    (folder / "fleet.toml").write_text("[fleet\n")
    assert main([str(folder), "--expired", "--reason", "ended"]) == 0
    now, texts = versions.content()
    assert [value["key"] for value in now["runtime"]] == [["hang_after"]]
    assert texts == {"fleet.toml": FLEET}


def test_an_ended_value_waits_for_no_program(folder: Path, versions: VersionKeeper) -> None:
    """The script of some bot is gone meanwhile: that is a mistake at its next start, and no reason to hold on to a value."""
    text = FLEET + '[bots.b]\nscript = "gone.py"\n'
    applied, _ = versions.content()
    versions.running = versions.keep({**applied, "runtime": [_value("priority", time.time() - 1)]}, {"fleet.toml": text}, "x", "")
    assert main([str(folder), "--expired", "--reason", "ended"]) == 0
    assert versions.content()[0]["runtime"] == []


def test_rejected_files_stay_away(folder: Path, versions: VersionKeeper, capsys: pytest.CaptureFixture[str]) -> None:
    """A content that was taken back is not tried again without a person."""
    (folder / "fleet.toml").write_text(FLEET.replace("600", "601"))
    versions.fails_with = "it fell over"
    assert main([str(folder), "--reason", "x"]) == 1
    versions.fails_with = None
    assert main([str(folder), "--reason", "x"]) == 5
    assert "rejected because it fell over" in capsys.readouterr().err
    assert versions.running == 1


def test_without_psvd(folder: Path) -> None:
    """Nobody to hand it to: the status says so."""
    assert main([str(folder), "--reason", "x"]) == 3
