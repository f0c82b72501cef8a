"""Laws of supervisord.conf: expansions as supervisord makes them, its limits, and no secret of its environment in a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.adopt.harness import adopt_files, told

from processsupervisor.config.askable import folder_of

PROGRAM = "[program:a]\ncommand=sleep 60\ndirectory=/tmp\n"


def test_variables_of_the_program_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """%(ENV_X)s is what environment= says before what supervisord has; every option is filled in, not the command alone."""
    monkeypatch.setenv("PSV_TEST_SECONDS", "7")
    monkeypatch.setenv("PSV_TEST_ROOM", "wrong")
    bots, _ = adopt_files(tmp_path, {
        "a.conf": "[program:a]\ncommand=sleep %(ENV_PSV_TEST_ROOM)s\nenvironment=PSV_TEST_ROOM=\"61\"\nstopwaitsecs=%(ENV_PSV_TEST_SECONDS)s\ndirectory=/tmp\n"
    })  # fmt: skip
    assert bots["a"]["command"] == ["sleep", "61"] and bots["a"]["stop"] == {"timeout": "7s"}


def test_secret_of_the_environment_gets_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """%(ENV_BOT_TOKEN)s in a command stays a variable, which a shell fills in when the bot starts."""
    monkeypatch.setenv("PSV_TEST_TOKEN", "plain-secret-1")
    bots, plan = adopt_files(tmp_path, {"a.conf": "[program:a]\ncommand=echo 'a b' --token=%(ENV_PSV_TEST_TOKEN)s\ndirectory=/tmp\n"})
    assert bots["a"]["command"] == ["sh", "-c", "exec echo 'a b' --token=\"${PSV_TEST_TOKEN}\""]
    assert "PSV_TEST_TOKEN" in bots["a"]["inherit"]
    assert not any("plain-secret-1" in path.read_text() for path in tmp_path.iterdir())
    assert "the command of a" in told(plan)


def test_secret_behind_an_option_is_never_shown(tmp_path: Path) -> None:
    """--token VALUE has no shape that tells: the file is private, and the value among what is hidden."""
    _, plan = adopt_files(tmp_path, {"a.conf": "[program:a]\ncommand=sleep 60 --token plain-secret-1\ndirectory=/tmp\n"})
    assert plan.hidden == {"plain-secret-1"} and "a secret of a" in told(plan)
    assert stat.S_IMODE((tmp_path / "fleet.toml").stat().st_mode) == 0o600


def test_a_section_in_two_files_is_one(tmp_path: Path) -> None:
    """The later file's keys win, as in supervisord, and %(here)s is the folder of the file that says it."""
    bots, _ = adopt_files(tmp_path, {
        "main.conf": "[supervisord]\n[include]\nfiles=d/*.conf\n" + PROGRAM,
        "d/a.conf": "[program:a]\ncommand=sleep 61\nenvironment=WHERE=%(here)s\n",
    })  # fmt: skip
    assert set(bots) == {"a"} and bots["a"]["command"] == ["sleep", "61"] and bots["a"]["env"] == {"WHERE": str(tmp_path / "d")}


def test_limits_and_mask_of_supervisord_itself(tmp_path: Path) -> None:
    """minfds is what its programs may open; its mask is 022 whatever the shell has."""
    before = os.umask(0o077)
    try:
        bots, _ = adopt_files(tmp_path, {"a.conf": "[supervisord]\nminfds=4096\n" + PROGRAM})
    finally:
        os.umask(before)
    assert bots["a"]["limits"] == {"nofile": 4096} and bots["a"]["umask"] == "022"


def test_stop_time_of_supervisord_holds_for_down_too(tmp_path: Path) -> None:
    """It waits 10 s where nothing is said; `psv down` would end after 8."""
    adopt_files(tmp_path, {"a.conf": PROGRAM})
    assert 'down_timeout = "10s"' in (tmp_path / "fleet.toml").read_text()


def test_larger_log_of_the_two(tmp_path: Path) -> None:
    """One limit holds for both streams."""
    bots, _ = adopt_files(tmp_path, {"a.conf": PROGRAM + "stdout_logfile_maxbytes=1MB\nstderr_logfile_maxbytes=90MB\nstdout_logfile_backups=3\n"})
    assert bots["a"]["logs"] == {"max": 90 << 20, "keep": 4}


@pytest.mark.parametrize("line", ["stdout_logfile_maxbytes=0", "stdout_syslog=true", "stopasgroup=true", "[rpcinterface:other]", "[programs:b]"])
def test_nothing_is_dropped_without_a_word(tmp_path: Path, line: str) -> None:
    """What has no place in fleet.toml is told with its line; what is switched off is not."""
    _, plan = adopt_files(tmp_path, {"a.conf": PROGRAM + line + "\n"})
    assert told(plan)[line] == 4
    _, plan = adopt_files(tmp_path, {"b.conf": PROGRAM.replace("60", "61") + "stopasgroup=false\nstdout_syslog=false\n"})
    assert told(plan) == {}


def test_each_program_without_a_folder_is_told(tmp_path: Path) -> None:
    """Where it ran is where supervisord was started, which no file says."""
    _, plan = adopt_files(tmp_path, {"a.conf": "[program:a]\ncommand=sleep 60\n[program:b]\ncommand=sleep 61\nnumprocs=2\nprocess_name=b%(process_num)d\n"})
    assert [left.place.line for left in plan.left_out if left.what == "no directory="] == [1, 3]


def test_an_included_program_without_a_folder(tmp_path: Path) -> None:
    """supervisord runs it where it was started: by the main file, never in the folder of what is included."""
    bots, plan = adopt_files(tmp_path, {
        "main.conf": "[supervisord]\n[include]\nfiles=conf.d/*.conf\n",
        "conf.d/a.conf": "[program:a]\ncommand=python3 echo.py\n", "echo.py": "",
    })  # fmt: skip
    assert bots["a"]["script"] == "echo.py" and "cwd" not in bots["a"]
    assert [left.why for left in plan.left_out] == [f"supervisord runs it where it was started itself; psv runs it in {tmp_path}"]


def test_folder_of_the_supervisord_that_runs(tmp_path: Path) -> None:
    """One that runs with this file says by itself where that is."""
    (tmp_path / "there").mkdir()
    (tmp_path / "main.conf").write_text(PROGRAM)
    process = tmp_path / "proc" / "7"
    process.mkdir(parents=True)
    (process / "stat").write_bytes(f"7 (supervisord) S 1 {' 0' * 30}".encode())
    (process / "cwd").symlink_to(tmp_path / "there")
    for words, folder in (("-c\0../main.conf", tmp_path / "there"), ("-n\0-c../main.conf", tmp_path / "there"), ("-c\0/else.conf", tmp_path)):
        (process / "cmdline").write_bytes(f"/usr/bin/python3\0/usr/bin/supervisord\0{words}\0".encode())
        assert folder_of(tmp_path / "main.conf", tmp_path / "proc") == folder
