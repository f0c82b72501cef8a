"""Laws of an ecosystem file: instances as pm2 counts them, the user it names, what a node program reads of its environment."""

from __future__ import annotations

import json
import pwd
from pathlib import Path
from typing import Any

import pytest
from tests.adopt.harness import adopt_files, told
from tests.adopt.samples import LOOP


def app(**more: Any) -> str:
    """Return an ecosystem file of one app."""
    return json.dumps({"apps": [{"name": "w", "script": "w.py", **more}]}, indent=1)


@pytest.mark.parametrize(
    ("given", "names", "is_told"),
    [
        ({"instances": 2}, {"w-0", "w-1"}, False),
        ({"instances": "2"}, {"w-0", "w-1"}, False),
        ({"instances": "max"}, {"w"}, True),
        ({"instances": 2, "exec_mode": "cluster", "script": "w.js"}, {"w"}, True),
        ({"instances": 2, "script": "w.js"}, {"w"}, True),
        ({"instances": 2, "script": "w.js", "exec_mode": "fork"}, {"w-0", "w-1"}, False),
    ],
)
def test_instances(tmp_path: Path, given: dict[str, Any], names: set[str], is_told: bool) -> None:
    """Only node has a cluster: of any other program as many run as are asked for."""
    bots, plan = adopt_files(tmp_path, {"e.json": app(**given), "w.py": LOOP, "w.js": ""})
    assert set(bots) == names and any("instances=" in what for what in told(plan)) is is_told


def test_number_of_an_instance_in_a_variable_of_its_own(tmp_path: Path) -> None:
    """instance_var names it."""
    bots, _ = adopt_files(tmp_path, {"e.json": app(instances=2, instance_var="SLOT"), "w.py": LOOP})
    assert bots["w-1"]["env"] == {"SLOT": "1"}


@pytest.mark.parametrize("uid", [pwd.getpwnam("daemon").pw_uid, "daemon", str(pwd.getpwnam("daemon").pw_uid)])
def test_user_by_name_or_number(tmp_path: Path, uid: object) -> None:
    """A bot never runs as somebody else than it did."""
    bots, _ = adopt_files(tmp_path, {"e.json": app(uid=uid), "w.py": LOOP})
    assert bots["w"]["user"] == "daemon"


def test_variables_of_a_node_program_are_inherited(tmp_path: Path) -> None:
    """pm2 hands on the whole environment of who started it; psv what the source names."""
    text = "const t = process.env.BOT_TOKEN; const { x } = process.env['ROOM'] || process.env[\"ROOM\"]\n"
    bots, _ = adopt_files(tmp_path, {"e.json": app(script="w.js", env={"ROOM": "a"}), "w.js": text})
    assert bots["w"]["inherit"][4:] == ["BOT_TOKEN"]


def test_what_is_switched_off_there_stays_off(tmp_path: Path) -> None:
    """autostart false."""
    assert adopt_files(tmp_path, {"e.json": app(autostart=False), "w.py": LOOP})[0]["w"]["autostart"] is False


@pytest.mark.parametrize("key", ["log_date_format", "treekill", "exec_interpreter_args"])
def test_nothing_is_dropped_without_a_word(tmp_path: Path, key: str) -> None:
    """What has no place in fleet.toml is told with its line."""
    assert told(adopt_files(tmp_path, {"e.json": app(**{key: "x"}), "w.py": LOOP})[1])[key] == 6


def test_python_that_path_does_not_have_is_psvs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian has no `python`, and a container's is not here: psv's own then, but never another version than was named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    bots, plan = adopt_files(tmp_path, {"Procfile": "a: python a.py\nb: python3.99 a.py\n", "a.py": LOOP})
    assert "python" not in bots["a"] and bots["b"]["python"] == "python3.99"
    assert [problem.bots for problem in plan.problems] == [("b",)]
