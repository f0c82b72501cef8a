"""Laws of the text that is written: names, what is known already, secrets, interpreters, order with bots that are there."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.adopt.samples import LOOP, TELEGRAM_TOKEN

from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import Plan, make_plan, write_plan
from processsupervisor.config.load import load_fleet


def adopt(folder: Path, *files: str) -> Plan:
    """Adopt files of the folder and write fleet.toml."""
    plan = make_plan(folder, "demo", read_paths([str(folder / name) for name in files], allow_js=False))
    write_plan(plan)
    return plan


def bots(folder: Path) -> dict[str, Any]:
    """Return the tables of all bots."""
    return dict(tomllib.loads((folder / "fleet.toml").read_text())["bots"])


def test_names_are_made_fit_and_kept_apart(tmp_path: Path) -> None:
    """Two programs that would have one name get two; what no name may have becomes a dash."""
    (tmp_path / "a.conf").write_text("[program:My Bot!]\ncommand=sleep 60\n[program:my.bot]\ncommand=sleep 61\n")
    adopt(tmp_path, "a.conf")
    assert set(bots(tmp_path)) == {"my-bot", "my-bot-2"}
    assert load_fleet(tmp_path).problems == ()


def test_two_files_that_name_one_program(tmp_path: Path) -> None:
    """The same program in another file is the bot that is there already."""
    (tmp_path / "Procfile").write_text("one: sleep 60\n")
    (tmp_path / "a.conf").write_text("[program:two]\ncommand=sleep 60\n")
    adopt(tmp_path, "Procfile")
    plan = adopt(tmp_path, "a.conf")
    assert plan.kept == ["one"] and set(bots(tmp_path)) == {"one"}


def test_order_follows_a_bot_that_was_renamed_by_hand(tmp_path: Path) -> None:
    """A known bot is named as it is now, in depends_on of new ones too."""
    (tmp_path / "db.service").write_text("[Service]\nExecStart=/bin/sleep 60\nRestart=always\n")
    (tmp_path / "bot.service").write_text("[Unit]\nRequires=db.service\n[Service]\nExecStart=/bin/sleep 61\n")
    adopt(tmp_path, "db.service")
    config = tmp_path / "fleet.toml"
    config.write_text(config.read_text().replace("[bots.db]", "[bots.storage]").replace('"60"', '"62"'))
    adopt(tmp_path, "db.service", "bot.service")
    assert bots(tmp_path)["bot"]["depends_on"] == ["storage"] and "db" not in bots(tmp_path)


def test_comments_order_and_mode_stay(tmp_path: Path) -> None:
    """What stood in fleet.toml stands there as it did, with the mode it had, through a link too."""
    (tmp_path / "Procfile").write_text("new: sleep 60\n")
    real = tmp_path / "real.toml"
    before = '# mine\n[fleet]\nname = "x"   # so\n\n[bots.old]\ncommand = ["sleep", "1"]'
    real.write_text(before)
    real.chmod(0o640)
    (tmp_path / "fleet.toml").symlink_to("real.toml")
    adopt(tmp_path, "Procfile")
    assert real.read_text().startswith(before + "\n\n# adopted: new of Procfile, line 1\n[bots.new]\n")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640 and (tmp_path / "fleet.toml").is_symlink()


def test_secret_in_an_argument_is_told_and_the_file_is_private(tmp_path: Path) -> None:
    """The command cannot be had without it; fleet.toml is then for its owner alone, and the way out is named."""
    (tmp_path / "Procfile").write_text(f"bot: sleep 60 --token {TELEGRAM_TOKEN}\n")
    plan = adopt(tmp_path, "Procfile")
    assert any("a secret of bot" in left.what for left in plan.left_out)
    assert stat.S_IMODE((tmp_path / "fleet.toml").stat().st_mode) == 0o600


def test_an_env_file_of_the_owner_is_not_written_over(tmp_path: Path) -> None:
    """When NAME.env is there with other things, the next name is taken."""
    (tmp_path / "bot.env").write_text("MINE=1\n")
    (tmp_path / "a.conf").write_text('[program:bot]\ncommand=sleep 60\nenvironment=API_KEY="a\\"b $c"\n')
    (tmp_path / "a.conf").write_text("[program:bot]\ncommand=sleep 60\nenvironment=API_KEY='a\"b $c'\n")
    adopt(tmp_path, "a.conf")
    assert (tmp_path / "bot.env").read_text() == "MINE=1\n"
    assert (tmp_path / "bot-2.env").read_text() == 'API_KEY="a\\"b $c"\n'
    assert load_fleet(tmp_path).problems == ()


def test_python_that_stays_a_command_keeps_its_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` is no script; `python` is the one on PATH, not the one that psv runs on."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("#!/bin/sh\n")
    (tmp_path / "bin/python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "Procfile").write_text("bot: python -m mybot\n")
    adopt(tmp_path, "Procfile")
    assert bots(tmp_path)["bot"]["command"] == ["bin/python", "-m", "mybot"]


def test_venv_beside_is_used(tmp_path: Path) -> None:
    """Who starts a Procfile or a main.py has the venv beside it activated."""
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    (tmp_path / "venv/bin/python").write_text("#!/bin/sh\n")
    (tmp_path / "venv/bin/python").chmod(0o755)
    (tmp_path / "Procfile").write_text("one: python a.py\n")
    (tmp_path / "a.py").write_text(LOOP)
    (tmp_path / "b.py").write_text(LOOP)
    adopt(tmp_path, "Procfile", "b.py")
    assert {name: bot["python"] for name, bot in bots(tmp_path).items()} == {"one": "venv", "b": "venv"}


def test_log_that_goes_to_a_file_says_nothing_of_ready(tmp_path: Path) -> None:
    """Readiness by a line is only written when that line comes out of the program."""
    (tmp_path / "x.py").write_text("import logging, aiogram\nlogging.basicConfig(level=logging.INFO, filename='x.log')\n")
    adopt(tmp_path, "x.py")
    assert "ready" not in bots(tmp_path)["x"]


def test_name_that_is_no_text(tmp_path: Path) -> None:
    """A file name that is not UTF-8 is an error in our words."""
    from processsupervisor.kernel.errors import PsvError

    path = tmp_path / "b\udcff.py"
    path.write_text(LOOP)
    with pytest.raises(PsvError, match="UTF-8"):
        adopt(tmp_path, path.name)
    assert not (tmp_path / "fleet.toml").exists()
