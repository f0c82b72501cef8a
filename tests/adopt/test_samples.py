"""Laws of what is adopted, over thirty files in the manner of real ones: a fleet.toml that psv check accepts, and nothing twice."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.adopt.samples import ALL, KINDS, TELEGRAM_TOKEN, Sample, write

from processsupervisor.adopt.program import Source
from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import Plan, make_plan, write_plan
from processsupervisor.config.load import load_fleet


def adopted(sample: Sample, folder: Path) -> tuple[list[Source], Plan]:
    """Write the sample's files, adopt them, and write fleet.toml."""
    if sample.name == "pm2-js" and shutil.which("node") is None:
        pytest.skip("needs node")
    sources = read_paths(write(sample, folder), allow_js=True)
    plan = make_plan(folder, "demo", sources)
    write_plan(plan)
    return sources, plan


def table(folder: Path, bot: str) -> dict[str, Any]:
    """Return a bot's table of fleet.toml."""
    return dict(tomllib.loads((folder / "fleet.toml").read_text())["bots"][bot])


def sample_of(name: str) -> Sample:
    """Return a sample by its name."""
    return next(sample for sample in ALL if sample.name == name)


@pytest.mark.parametrize("kind", KINDS)
def test_five_of_each_kind(kind: str) -> None:
    """There are five, each with a name of its own."""
    assert len({sample.name for sample in KINDS[kind]}) == 5


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample.name)
def test_becomes_a_fleet_that_check_accepts(sample: Sample, tmp_path: Path) -> None:
    """Every program becomes a bot; psv check finds no mistake; a second run changes no byte; no token stands in fleet.toml."""
    _, plan = adopted(sample, tmp_path)
    text = (tmp_path / "fleet.toml").read_bytes()
    loaded = load_fleet(tmp_path)

    # What the environment of the old supervisor gave is not set where the test runs: a word on that is right.
    assert {problem.code for problem in loaded.problems} <= {"inherit-unset"}, (loaded.problems, text.decode(), plan.left_out)
    assert loaded.applied is not None
    assert {spec["name"] for spec in loaded.applied["bots"]} == sample.bots
    assert TELEGRAM_TOKEN.encode() not in text

    files = sorted(path.name for path in tmp_path.iterdir())
    again = make_plan(tmp_path, "demo", read_paths([str(tmp_path / name) for name in sample.given], allow_js=True))
    assert again.added == []
    assert again.text.encode() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == files


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample.name)
def test_every_word_has_its_place(sample: Sample, tmp_path: Path) -> None:
    """What is not carried over stands at a file that exists, with what and why, and never with the token."""
    _, plan = adopted(sample, tmp_path)
    for left in plan.left_out:
        assert left.place.path.exists()
        assert left.what and left.why
        assert TELEGRAM_TOKEN not in f"{left.what}{left.why}"


def test_main_py_gets_its_lock_and_readiness(tmp_path: Path) -> None:
    """aiogram with its log at INFO: script, the .env beside it, a lock on the token, ready by the line that it logs."""
    adopted(sample_of("py-aiogram"), tmp_path)
    assert table(tmp_path, "shop") == {
        "script": "shop/main.py",
        "cwd": "shop",
        "env_file": "shop/.env",
        "lock": [{"env": "BOT_TOKEN"}],
        "ready": {"log": "Run polling for bot"},
    }


def test_token_is_followed_over_modules(tmp_path: Path) -> None:
    """`from settings import TOKEN` leads to the variable that the module reads."""
    adopted(sample_of("py-discord"), tmp_path)
    assert table(tmp_path, "music")["lock"] == [{"env": "DISCORD_TOKEN"}]


def test_session_file_is_locked(tmp_path: Path) -> None:
    """telethon's session is the file NAME.session in the working folder; its variables are inherited."""
    adopted(sample_of("py-telethon"), tmp_path)
    bot = table(tmp_path, "user")
    assert bot["lock"] == [{"file": "me.session"}]
    assert {"API_ID", "API_HASH", "PATH"} <= set(bot["inherit"])


def test_port_of_a_server_is_its_readiness(tmp_path: Path) -> None:
    """A port written in app.run is what ready waits for."""
    adopted(sample_of("py-flask"), tmp_path)
    assert table(tmp_path, "hook")["ready"] == {"tcp": 8123}


def test_token_in_the_source_is_found(tmp_path: Path) -> None:
    """It is told with file and line and the way to move it."""
    _, plan = adopted(sample_of("py-token-in-source"), tmp_path)
    left = next(left for left in plan.left_out if "token written into the source" in left.what)
    assert (left.place.path.name, left.place.line) == ("bot.py", 2)
    assert 'os.environ["BOT_TOKEN"]' in left.why and "env_file" in left.why and "lock" in left.why


def test_supervisord_settings(tmp_path: Path) -> None:
    """Signal, time, readiness; the fleet's down_timeout follows the longest stop; the log file is told."""
    _, plan = adopted(sample_of("sup-one"), tmp_path)
    assert table(tmp_path, "echo") == {
        "script": "echo.py",
        "args": ["--fast"],
        "ready": {"after": "2s"},
        "stop": {"signal": "INT", "timeout": "20s"},
        "logs": {"max": 50 << 20, "keep": 4},
    }
    assert tomllib.loads((tmp_path / "fleet.toml").read_text())["fleet"]["down_timeout"] == "20s"
    assert any(left.what == "stdout_logfile=/var/log/echo.log" and left.place.line == 18 for left in plan.left_out)


def test_supervisord_order_and_restart(tmp_path: Path) -> None:
    """Their priority counts up, psv's down; `unexpected` is on-failure; other exit codes are told."""
    _, plan = adopted(sample_of("sup-include"), tmp_path)
    assert table(tmp_path, "alice")["priority"] == 989
    assert table(tmp_path, "bob")["restart"] == {"policy": "on-failure"}
    assert any("exitcodes=0,2" in left.what for left in plan.left_out)


def test_supervisord_numprocs(tmp_path: Path) -> None:
    """Each process is a bot with its own number in arguments and environment."""
    adopted(sample_of("sup-numprocs"), tmp_path)
    bot = table(tmp_path, "worker_02")
    assert bot["args"] == ["--slot", "2"]
    assert bot["env"] == {"SLOT": "2", "MODE": "fast"}
    assert bot["umask"] == "022"


def test_secrets_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    """A token in `environment` is in NAME.env, mode 0600, which env_file names; the lock finds it there."""
    adopted(sample_of("sup-secret"), tmp_path)
    bot = table(tmp_path, "shop")
    assert bot["env_file"] == "shop.env"
    assert bot["env"] == {"LANG_DEFAULT": "de"}
    assert bot["lock"] == [{"env": "BOT_TOKEN"}]
    assert (tmp_path / "shop.env").read_text() == f'BOT_TOKEN="{TELEGRAM_TOKEN}"\n'
    assert (tmp_path / "shop.env").stat().st_mode & 0o777 == 0o600


def test_shell_that_is_not_needed_goes(tmp_path: Path) -> None:
    """`sh -c "exec python main.py"` is the script; a pipe stays with its shell, and is told; listeners are left out."""
    _, plan = adopted(sample_of("sup-shell"), tmp_path)
    assert table(tmp_path, "plain") == {"script": "main.py", "restart": {"policy": "never"}}
    assert table(tmp_path, "piped")["command"] == ["/bin/bash", "-c", "./run.sh | cat"]
    assert table(tmp_path, "piped")["autostart"] is False
    words = [f"{left.what}: {left.why}" for left in plan.left_out]
    assert any("`|` is a shell's" in word for word in words) and any("eventlistener:mail" in word for word in words)


def test_systemd_settings(tmp_path: Path) -> None:
    """User, restart and its delay, signal, stop time."""
    adopted(sample_of("unit-simple"), tmp_path)
    bot = table(tmp_path, "echo")
    assert bot["restart"] == {"policy": "on-failure", "initial": "5s", "base": "5s"}
    assert bot["stop"] == {"signal": "INT", "timeout": "30s"}
    assert bot["script"] == "echo.py" and bot["user"]


def test_systemd_environment(tmp_path: Path) -> None:
    """Quoted words, files, ${NAME} of Environment, a line that goes on, limits; an optional file that is not there is told."""
    _, plan = adopted(sample_of("unit-env"), tmp_path)
    bot = table(tmp_path, "shop")
    assert bot["env"] == {"GREETING": "hello you", "LEVEL": "2"}
    assert bot["env_file"] == "shop.env" and bot["lock"] == [{"env": "BOT_TOKEN"}]
    assert bot["args"] == ["--level", "2"]
    assert bot["limits"] == {"nofile": 4096} and bot["umask"] == "027"
    told = {left.what for left in plan.left_out}
    assert {"ProtectSystem", "EnvironmentFile=-/nonexistent/more", "StandardOutput=append:/var/log/shop.log"} <= told


def test_systemd_order_and_dropins(tmp_path: Path) -> None:
    """Requires between given units is depends_on; a drop-in replaces ExecStart; Restart's default is never; notify is ready."""
    _, plan = adopted(sample_of("unit-several"), tmp_path)
    bot = table(tmp_path, "bot")
    assert bot["depends_on"] == ["db"]
    assert bot["command"] == ["./run.sh", "other"]
    assert bot["restart"] == {"policy": "never"} and bot["limits"] == {"memory": 512 << 20}
    assert table(tmp_path, "db")["ready"] == {"notify": True}
    assert any(left.what == "After=redis.service" for left in plan.left_out)


def test_systemd_template(tmp_path: Path) -> None:
    """Each enabled instance is a bot, with %i filled in."""
    adopted(sample_of("unit-template"), tmp_path)
    assert table(tmp_path, "chat-red")["args"] == ["--room", "red"]


def test_pm2_settings(tmp_path: Path) -> None:
    """pm2 stops with SIGINT; times are milliseconds; memory starts it anew; forked instances are bots of their own."""
    adopted(sample_of("pm2-fork"), tmp_path)
    assert table(tmp_path, "w-1") == {
        "script": "w.py",
        "env": {"NODE_APP_INSTANCE": "1"},
        "stop": {"signal": "INT"},
        "restart": {"policy": "never", "initial": "2s", "base": "2s"},
        "recycle": {"max_memory_hard": 300 << 20},
    }


def test_pm2_places(tmp_path: Path) -> None:
    """What is left out of a JSON file has its line."""
    _, plan = adopted(sample_of("pm2-list"), tmp_path)
    assert {(left.what, left.place.line) for left in plan.left_out} == {("env_production", 1), ("watch", 1)}


def test_compose_settings(tmp_path: Path) -> None:
    """The Dockerfile's command with its path here; the database stays in compose, and is told at each place."""
    _, plan = adopted(sample_of("comp-build"), tmp_path)
    bot = table(tmp_path, "bot")
    assert bot["script"] == "main.py" and "cwd" not in bot
    assert bot["env"] == {"MODE": "prod", "LEVEL": "2", "DEBUG": "true"}
    assert bot["stop"] == {"timeout": "90s", "signal": "INT"}
    assert "depends_on" not in bot
    assert {left.what for left in plan.left_out} == {"service db", "depends_on db of bot", "RUN of bot", "that it runs in containers"}


def test_compose_mounts(tmp_path: Path) -> None:
    """A mounted folder is the working folder here; merge keys are followed; order is kept."""
    adopted(sample_of("comp-mount"), tmp_path)
    bot = table(tmp_path, "bob")
    assert bot["cwd"] == "app" and bot["depends_on"] == ["alice"] and bot["args"] == ["--name", "bob"]


def test_compose_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults, the .env beside the file, and env_file."""
    monkeypatch.delenv("LEVEL", raising=False)
    monkeypatch.delenv("REGION", raising=False)
    adopted(sample_of("comp-env"), tmp_path)
    bot = table(tmp_path, "shop")
    assert bot["env"] == {"LEVEL": "3", "REGION": "eu"}
    assert bot["env_file"] == "shop.env" and bot["restart"] == {"policy": "on-failure"}


def test_paths_outside_the_fleet_are_absolute(tmp_path: Path) -> None:
    """A fleet in another folder names what it runs in full."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    plan = make_plan(here, "demo", read_paths(write(sample_of("py-aiogram"), there), allow_js=False))
    write_plan(plan)
    bot = table(here, "shop")
    assert bot["script"] == str(there / "shop/main.py") and os.path.isabs(bot["cwd"])
    assert load_fleet(here).problems == ()
