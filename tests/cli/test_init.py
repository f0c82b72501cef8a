"""Laws of `psv init`: a fleet that starts, and never a byte over a file of the user's."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.cli.conftest import Psv

from processsupervisor.cli.init import fleet_name
from processsupervisor.cli.templates import TEMPLATES
from processsupervisor.config.load import load_text


def test_makes_a_small_fleet(psv: Psv, tmp_path: Path) -> None:
    """Three files; the bot has 12 lines at most; the next command is named."""
    done = psv("init", "new fleet ü", cwd=tmp_path)
    assert done.returncode == 0
    folder = tmp_path / "new fleet ü"
    assert {path.name for path in folder.iterdir()} == {"fleet.toml", "bots.py", ".gitignore"}
    assert tomllib.loads((folder / "fleet.toml").read_text())["bots"] == {"echo": {"run": "bots:bot"}}
    assert len((folder / "bots.py").read_text().splitlines()) <= 12
    compile((folder / "bots.py").read_text(), "bots.py", "exec")
    assert "psv -C 'new fleet ü' up --detach --wait" in done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_passes_check(psv: Psv, tmp_path: Path, template: str) -> None:
    """Its files and nothing else; no problem and no warning; the next command works on its bot. A token is asked for, and not shown."""
    done = psv("init", "--template", template, "new", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "new"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {*TEMPLATES[template].files, ".gitignore"}
    for path in folder.rglob("*.py"):
        compile(path.read_text(), path.name, "exec")
    bot = next(iter(tomllib.loads((folder / "fleet.toml").read_text())["bots"]))
    assert f"psv -C new {TEMPLATES[template].first}" in done.stdout and f" {bot}" in TEMPLATES[template].first
    if template == "telegram-echo":
        assert (folder / ".env").stat().st_mode & 0o777 == 0o600
        refused = psv("check", cwd=folder)
        assert refused.returncode == 1 and f"the token in {folder}/.env:1 (BOT_TOKEN) is none of Telegram: it has no colon" in refused.stderr
        assert "put-here" not in refused.stdout + refused.stderr
        (folder / ".env").write_text("BOT_TOKEN=123456:the-token-of-echo\n")
    checked = psv("check", "--json", cwd=folder)
    assert (checked.returncode, checked.stderr) == (0, "") and json.loads(checked.stdout) == []


@pytest.mark.parametrize("template", [name for name, template in TEMPLATES.items() if "test_bots.py" in template.files])
def test_the_test_of_a_template_passes(psv: Psv, tmp_path: Path, template: str) -> None:
    """With pytest alone, without the plugins that this suite happens to have."""
    psv("init", "--template", template, "new", cwd=tmp_path)
    plain = ("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:cacheprovider")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *plain], cwd=tmp_path / "new", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_plain_is_the_echo(psv: Psv, tmp_path: Path) -> None:
    """The same files byte for byte."""
    assert psv("init", "a/fleet", cwd=tmp_path).returncode == psv("init", "b/fleet", "--template", "echo", cwd=tmp_path).returncode == 0
    for name in (*TEMPLATES["echo"].files, ".gitignore"):
        assert (tmp_path / "a/fleet" / name).read_bytes() == (tmp_path / "b/fleet" / name).read_bytes()


def test_unknown_template(psv: Psv, tmp_path: Path) -> None:
    """The known ones are named, nothing is written."""
    done = psv("init", "--template", "irc", "new", cwd=tmp_path)
    assert done.returncode == 2 and "web-faq" in done.stderr and not (tmp_path / "new").exists()


def test_a_program_that_is_there_is_adopted_instead(psv: Psv, tmp_path: Path) -> None:
    """The template for scripts writes over no main.py and names the way."""
    (tmp_path / "main.py").write_text("print(1)\n")
    done = psv("init", "--template", "script", cwd=tmp_path)
    assert done.returncode == 5 and "psv adopt main.py" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["main.py"]


def test_a_folder_that_cannot_be_made_leaves_nothing(psv: Psv, tmp_path: Path) -> None:
    """A file where a template has a folder: what was written before is taken away again."""
    target = tmp_path / "new"
    target.mkdir()
    (target / "faq").write_text("mine\n")
    done = psv("init", "--template", "web-faq", ".", cwd=target)
    assert done.returncode in (1, 5) and len(done.stderr.splitlines()) == 1
    assert [path.name for path in target.iterdir()] == ["faq"]


@pytest.mark.parametrize(("folder", "name"), [("shop.1", "shop.1"), ("my fleet ü", "my-fleet-u"), ("漢字", "fleet"), ("-x-" * 40, None)])
def test_name_is_one_that_a_fleet_may_have(tmp_path: Path, folder: str, name: str | None) -> None:
    """Whatever the folder is called, the fleet's name is allowed by the configuration."""
    found = fleet_name(tmp_path / folder)
    assert name in (None, found)
    text = f'[fleet]\nname = "{found}"\n'.encode()
    assert load_text(tmp_path, text).problems == ()


@pytest.mark.parametrize("name", ["fleet.toml", "bots.py"])
def test_refuses_to_overwrite(psv: Psv, tmp_path: Path, name: str) -> None:
    """With one of its files there, nothing is written at all, not even through a dangling link."""
    target = tmp_path / "new"
    target.mkdir()
    (target / name).symlink_to("nowhere")
    done = psv("init", ".", cwd=target)
    assert done.returncode == 5
    assert "nothing was written" in done.stderr
    assert [path.name for path in target.iterdir()] == [name]


def test_keeps_the_ignore_file(psv: Psv, tmp_path: Path) -> None:
    """A .gitignore of the user's stays as it is; here is the default folder."""
    (tmp_path / ".gitignore").write_text("mine\n")
    assert psv("init", cwd=tmp_path).returncode == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_folder_that_is_a_file(psv: Psv, tmp_path: Path) -> None:
    """A file in place of the folder is one line."""
    (tmp_path / "x").write_text("")
    done = psv("init", "x", cwd=tmp_path)
    assert done.returncode in (1, 5)
    assert len(done.stderr.splitlines()) == 1
