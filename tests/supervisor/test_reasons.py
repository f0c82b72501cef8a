"""Why a bot ended and what follows: reasons of the closed list, restarts that burn nothing, locks that name their holder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.reasons import Reason


@pytest.mark.parametrize(("code", "reason", "state"), [(77, "auth", "FAILED"), (78, "config", "FAILED"), (79, "conflict", "FAILED")])
def test_permanent_exit_codes_are_not_tried_again(fleet: LiveFleet, code: int, reason: str, state: str) -> None:
    """A login that was refused is not repeated by itself."""
    fleet.configure(f'[bots.x]\ncommand = ["sh", "-c", "exit {code}"]\nready = {{ after = "60s" }}\n')
    fleet.up()
    bot = fleet.until("x", state=state)
    assert (bot["reason"], bot["exit_code"], bot["next_start_in_s"], bot["restarts"]) == (reason, code, None, 0)


def test_a_rate_limit_is_waited_for_as_the_note_says(fleet: LiveFleet) -> None:
    """Exit code 80 with a time in the exit note: no start before that time."""
    fleet.write("limited.py", """
        import os, sys, time
        open(os.environ["PSV_EXIT_NOTE"], "w").write(f"{time.time() + 120}\\nslow down")
        sys.exit(80)
    """)
    fleet.configure('[bots.x]\ncommand = ["python", "limited.py"]\nready = { after = "60s" }\n')
    fleet.up(wait=False)
    bot = fleet.until("x", state="RECOVERING", reason="rate-limited")
    assert 100 < bot["next_start_in_s"] <= 120


def test_a_full_window_ends_in_crash_loop_with_a_later_try(fleet: LiveFleet) -> None:
    """The count survives a kill of psvd, and the state is a rest, not a loop."""
    fleet.configure("""
        [bots.x]
        command = ["false"]
        ready = { after = "60s" }
        restart = { initial = "0s", base = "0.01s", max = "0.02s", window = [{ count = 4, within = "10m" }] }
    """)
    fleet.up(wait=False)
    fleet.until("x", state="FAILED", reason="crash-loop", restarts=4, generation=5)
    assert fleet.bot("x")["next_start_in_s"] > 500
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("x", state="FAILED", reason="crash-loop")["generation"] == 5
    assert not fleet.call("bot.start", names=["x"])[0]["ok"], "a command tries once, and says that it failed"
    assert fleet.bot("x")["generation"] == 6


def test_every_reason_ever_shown_is_of_the_closed_list(fleet: LiveFleet) -> None:
    """Signals, codes and clean ends, in history and status alike."""
    fleet.configure("""
        [global]
        restart = { policy = "never" }
        ready = { after = "60s" }
        [bots.a]
        command = ["sh", "-c", "kill -SEGV $$"]
        [bots.b]
        command = ["true"]
        [bots.c]
        command = ["sh", "-c", "exit 9"]
    """)
    fleet.up()
    found = {b["name"]: b["reason"] for b in fleet.call("bot.list")}
    assert found == {"a": "signal", "b": "clean", "c": "code"}
    assert fleet.detail("a")["last_exit"]["signal"] == signal.Signals.SIGSEGV.name
    allowed = {"", "wanted", "restart", "recover", "retry", "command", "anew", "adopted", *Reason}
    assert {h["reason"] for h in fleet.call("bot.history", names=["*"]) if h["kind"] != "uptime"} <= allowed


def _two_fleets(fleet: LiveFleet, tmp_path: Path, lock: str) -> LiveFleet:
    toml = f'[bots.NAME]\ncommand = ["sleep", "1000"]\nenv = {{ BOT_TOKEN = "123:abc" }}\nlock = [{lock}]\nready = {{ after = "0.2s" }}\n'
    fleet.configure(toml.replace("NAME", "first"))
    fleet.up()
    fleet.until("first", state="RUNNING")
    other = LiveFleet(tmp_path / "other")
    other.folder.mkdir()
    other.configure(toml.replace("NAME", "second"))
    return other


@pytest.mark.parametrize("what", ["token", "file"])
def test_the_second_user_of_a_lock_stays_lock_held_and_names_the_holder(fleet: LiveFleet, tmp_path: Path, what: str) -> None:
    """One token, one poller, in whichever fleet of this user; the token itself is shown nowhere."""
    shared = tmp_path / "my.session"
    other = _two_fleets(fleet, tmp_path, '{ env = "BOT_TOKEN" }' if what == "token" else f'{{ file = "{shared}" }}')
    try:
        other.up()
        held = other.until("second", state="FAILED", reason="lock-held")
        message = other.detail("second")["last_exit"]["message"]
        assert "first" in message and str(fleet.folder) in message
        assert held["next_start_in_s"] is not None
        for path in (tmp_path / "runtime").rglob("*"):
            assert path.is_dir() or b"123:abc" not in path.read_bytes()
        fleet.call("bot.stop", names=["first"])
        assert other.call("bot.start", names=["second"])[0]["ok"]
    finally:
        other.stop()


def test_a_copied_folder_is_another_fleet(fleet: LiveFleet, tmp_path: Path) -> None:
    """Copied with its .psv while the first runs: the copy starts its own bots and signals none of the first."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    first = fleet.until("x", state="RUNNING")["pid"]
    ignore = shutil.ignore_patterns("*.sock", "out-*", "err-*")
    shutil.copytree(fleet.folder, tmp_path / "copy", ignore=ignore)
    copy = LiveFleet(tmp_path / "copy")
    try:
        copy.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
        copy.up()
        assert copy.until("x", state="RUNNING")["pid"] != first
        copy.down()
        assert fleet.bot("x")["pid"] == first
    finally:
        copy.stop()


def test_a_bot_may_not_command_the_fleet_it_runs_in(fleet: LiveFleet) -> None:
    """The control socket refuses whoever stands in the tree of a bot, even one session further."""
    fleet.write("rebel.py", f"""
        import subprocess, sys, time
        code = "from processsupervisor.ipc.client import ControlClient; from processsupervisor.kernel.paths import FleetPaths; "
        code += "ControlClient(FleetPaths({str(fleet.folder)!r})).call('fleet.down')"
        done = subprocess.run([{sys.executable!r}, "-c", code], capture_output=True, text=True, start_new_session=True)
        print("refused" if "may not command" in done.stderr else "NOT refused: " + done.stderr, flush=True)
        time.sleep(1000)
    """)
    fleet.configure('[bots.x]\ncommand = ["python", "rebel.py"]\nready = { log = "refused" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    assert "NOT refused" not in fleet.output("x")


@pytest.mark.parametrize("name", ["a folder with spaces", "straße-日本", "d" * 200 + "/" + "e" * 200 + "/" + "f" * 100])
def test_any_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Spaces, non-ASCII letters, and a path far longer than a socket address can be."""
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    folder = tmp_path / name
    folder.mkdir(parents=True)
    fleet = LiveFleet(folder)
    try:
        fleet.write("main.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
        fleet.configure('[bots.s]\nscript = "main.py"\nready = { log = "up" }\n[bots.c]\ncommand = ["sleep", "9"]\nready = { after = "0s" }\n')
        fleet.up()
        assert {b["state"] for b in fleet.call("bot.list")} == {"RUNNING"}
        assert fleet.down() == {"stopped": 2}
    finally:
        fleet.stop()


def test_a_program_cannot_be_paused_and_the_refusal_says_what_can_be_done(fleet: LiveFleet) -> None:
    """Pause is a word between psv and its own bots."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    result = fleet.call("bot.pause", names=["x"])[0]
    assert not result["ok"]
    assert "program" in result["message"]
    assert fleet.bot("x")["state"] == "RUNNING"


def test_a_signal_reaches_the_bot(fleet: LiveFleet) -> None:
    """By name, to exactly its process."""
    fleet.configure('[bots.x]\ncommand = ["sh", "-c", "trap \'echo got-hup\' HUP; echo up; while :; do sleep 0.05; done"]\nready = { log = "up" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    fleet.call("bot.signal", names=["x"], signal="HUP")
    eventually(lambda: "got-hup" in fleet.output("x"), "the trap ran")


def test_a_wrong_section_fails_its_bot_only(fleet: LiveFleet) -> None:
    """The others run; the bot is FAILED(config) and says where the mistake is."""
    fleet.configure('[bots.bad]\ncommand = ["sleep", "1"]\nnonsense = 1\n[bots.good]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    assert fleet.bot("good")["state"] == "RUNNING"
    bad = fleet.bot("bad")
    assert (bad["state"], bad["reason"]) == ("FAILED", "config")
    assert "nonsense" in fleet.detail("bad")["last_exit"]["message"]
    refused = fleet.call("bot.start", names=["bad"])[0]
    assert not refused["ok"]
    assert "cannot be started" in refused["message"]


def test_logs_of_the_fleet_hold_no_secret(fleet: LiveFleet) -> None:
    """Neither own logs nor argv nor records carry a value of the environment."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nenv = { BOT_TOKEN = "9999:topsecret" }\nready = { after = "0s" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    eventually((fleet.paths.bot_run("x") / "lock").exists, "the bot has its lock")
    for path in [*fleet.paths.own_logs.iterdir(), fleet.paths.bot_run("x") / "record", fleet.paths.bot_run("x") / "lock"]:
        assert b"topsecret" not in path.read_bytes(), path
    assert "topsecret" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "topsecret" not in str(fleet.detail("x"))
