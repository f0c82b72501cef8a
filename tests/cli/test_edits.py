"""Laws of `psv bot add`, `rename`, `rm` and `purge`: fleet.toml changes as a whole or not at all, and a fleet that runs goes on."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import FLEET, PSV, Psv, environment
from tests.cli.test_up import end, pid_of
from tests.supervisor.live import eventually

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.supervisor.moves import drop_unfit, finish_moves, kept_of, note_move

SLEEPS = "import time\nprint('here', flush=True)\ntime.sleep(3600)\n"


def text(folder: Path) -> str:
    return (folder / "fleet.toml").read_text()


@pytest.fixture
def scripts(folder: Path) -> Path:
    """The folder with the files that its bots name."""
    (folder / "bots.py").write_text("from processsupervisor import Bot\nbot = Bot()\n")
    (folder / "main.py").write_text(SLEEPS)
    (folder / "x.env").write_text("TOKEN=secret\n")
    return folder


def test_add_writes_what_was_said(psv: Psv, scripts: Path) -> None:
    """A command behind --, a script with its arguments, an env file: each as fleet.toml has it, relative to its folder."""
    (scripts / "sub").mkdir()
    assert psv("bot", "add", "node", "--", "sleep", "--", "5").returncode == 0
    done = psv("bot", "add", "old", "--script", "../main.py", "--env-file", "../x.env", "--", "-v", cwd=scripts / "sub")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"added old in {scripts}/fleet.toml:")

    assert text(scripts) == FLEET + (
        '\n[bots.node]\ncommand = ["sleep", "--", "5"]\n\n[bots.old]\nscript = "./main.py"\nargs = ["-v"]\nenv_file = "./x.env"\n'
    )
    assert psv("check").returncode == 0


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["add", "x", "--script", "gone.py"], 2, "fleet.toml:8:1: "),
        (["add", "x", "--type", "none", "--", "true"], 2, 'unknown type "none"'),
        (["add", "X y", "--", "true"], 2, "fleet.toml:7:1: bot-name"),
        (["add", "x"], 2, "nothing to run"),
        (["add", "echo", "--", "true"], 5, "already, in line 4"),
        (["rename", "ecko", "b"], 4, 'did you mean "echo"'),
        (["rename", "echo", "UP"], 2, "bot-name"),
        (["rm", "nobody"], 4, "no bot nobody"),
        (["purge", "nobody"], 4, "no bot nobody"),
        (["purge", "echo"], 5, "--yes"),
    ],
)
def test_what_would_not_be_valid_changes_nothing(psv: Psv, scripts: Path, args: list[str], status: int, said: str) -> None:
    """A bad change is refused with its place, and fleet.toml and .psv are as before."""
    before = text(scripts)
    done = psv("bot", *args)

    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert text(scripts) == before
    assert not (FleetPaths(scripts).data / "moves.json").exists()


def test_a_bot_that_others_wait_for_is_not_taken_out(psv: Psv, scripts: Path) -> None:
    """The place named is that of the bot which would be left with nobody to wait for; old mistakes of others hinder nothing."""
    (scripts / "fleet.toml").write_text(FLEET + '\n[bots.b]\nscript = "main.py"\ndepends_on = ["echo"]\n\n[bots.bad]\nscript = "gone.py"\n')
    refused = psv("bot", "rm", "echo")
    assert refused.returncode == 2
    assert "fleet.toml:" in refused.stderr and "depends_on" in refused.stderr

    assert psv("bot", "rm", "b").returncode == 0
    assert "[bots.b]" not in text(scripts)


def test_a_link_and_its_mode_stay(psv: Psv, scripts: Path, tmp_path: Path) -> None:
    """fleet.toml may be a link into a checkout: the file behind it changes and keeps its mode."""
    real = tmp_path / "checkout.toml"
    (scripts / "fleet.toml").rename(real)
    real.chmod(0o640)
    (scripts / "fleet.toml").symlink_to(real)

    assert psv("bot", "add", "x", "--", "sleep", "9").returncode == 0
    assert (scripts / "fleet.toml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "[bots.x]" in real.read_text()


def test_a_move_that_was_killed_is_gone_on_with(folder: Path) -> None:
    """Whichever folders were moved already, the next try moves the rest; a move that the settings do not say yet waits, until it is dropped."""
    paths = FleetPaths(folder)
    for made in (paths.bot_data("new"), paths.bot_logs("old"), paths.bot_run("old"), paths.bot_data("kept")):
        made.mkdir(parents=True)
        (made / "what").write_text("mine")
    note_move(paths, {"old": "old", "new": "new"})
    note_move(paths, {"old": "kept", "new": "other"})

    assert finish_moves(paths, {"new", "kept"}) == {}
    assert all((of("new") / "what").is_file() for of in (paths.bot_data, paths.bot_logs, paths.bot_run))
    assert (paths.bot_data("kept") / "what").is_file()
    assert json.loads((paths.data / "moves.json").read_text()) == [{"old": "kept", "new": "other"}]
    drop_unfit(paths, {"new", "kept"})
    assert not (paths.data / "moves.json").exists()


def test_no_name_is_given_that_somebody_still_runs_under(psv: Psv, scripts: Path) -> None:
    """A bot that was taken out of fleet.toml by hand while it ran: another under its name would be a second one, without a lock between them."""
    paths = FleetPaths(scripts)
    paths.bot_run("new").mkdir(parents=True)
    with (paths.bot_run("new") / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = psv("bot", "rename", "echo", "new")
        assert (done.returncode, "new still runs" in done.stderr) == (5, True), done.stderr
        note_move(paths, {"old": "echo", "new": "new"})
        assert "new still runs" in finish_moves(paths, {"new"})["new"]
    assert (paths.bot_run("new") / "lock").exists() and "[bots.echo]" in text(scripts)


def test_what_cannot_be_moved_is_told_and_kept(folder: Path) -> None:
    """A folder in the way moves nothing and stays noted, and the bot is named."""
    paths = FleetPaths(folder)
    for bot in ("old", "new"):
        paths.bot_data(bot).mkdir(parents=True)
        (paths.bot_data(bot) / "bot.db").write_text(bot)
    note_move(paths, {"old": "old", "new": "new"})

    assert "could not be moved" in finish_moves(paths, {"new"})["new"]
    assert (paths.data / "moves.json").exists()
    assert (paths.bot_data("new") / "bot.db").read_text() == "new"


@pytest.mark.parametrize("name", ["", ".", "..", "../.."])
def test_a_name_that_is_a_path_moves_and_deletes_nothing(folder: Path, name: str) -> None:
    """Whoever asks, and whatever moves.json says: only what is under a bot's name is touched."""
    paths = FleetPaths(folder)
    for made in (paths.bot_data("other"), paths.bot_logs("other")):
        made.mkdir(parents=True)
        (made / "what").write_text("mine")
    assert kept_of(paths, name) == []
    note_move(paths, {"old": name, "new": None})
    note_move(paths, {"old": "other", "new": f"{name}x/../.."})

    assert finish_moves(paths, set()) == {}
    assert (paths.bot_data("other") / "what").is_file() and (paths.bot_logs("other") / "what").is_file()


def test_what_cannot_be_noted_is_not_begun(psv: Psv, scripts: Path) -> None:
    """A folder in the place of moves.json (or a full disk): said with its place, and everything is as it was."""
    paths = FleetPaths(scripts)
    (paths.data / "moves.json" / "x").mkdir(parents=True)
    paths.bot_data("echo").mkdir(parents=True)
    done = psv("bot", "purge", "echo", "--yes")
    assert done.returncode == 1 and f"cannot write in {paths.data}" in done.stderr and "nothing was changed" in done.stderr
    assert paths.bot_data("echo").exists() and "[bots.echo]" in text(scripts)


def test_beside_a_broken_file_nothing_is_purged(psv: Psv, scripts: Path) -> None:
    """What is left of a bot stays while fleet.toml cannot be read: its mistake is shown with its place."""
    paths = FleetPaths(scripts)
    paths.bot_data("gone").mkdir(parents=True)
    (scripts / "fleet.toml").write_text("[fleet]\nname = \n")
    done = psv("bot", "purge", "gone", "--yes")
    assert done.returncode == 2 and "fleet.toml:2:" in done.stderr and "internal" not in done.stderr, done.stderr
    assert paths.bot_data("gone").exists()


def test_purge_follows_no_link(psv: Psv, scripts: Path, tmp_path: Path) -> None:
    """A data folder that lies elsewhere, by a link, may be somebody else's too: nothing is deleted, in fleet.toml neither."""
    elsewhere = tmp_path / "big"
    elsewhere.mkdir()
    (elsewhere / "bot.db").write_text("mine")
    paths = FleetPaths(scripts)
    paths.bot_data("echo").parent.mkdir(parents=True, exist_ok=True)
    paths.bot_data("echo").symlink_to(elsewhere)
    paths.bot_logs("echo").mkdir(parents=True)

    done = psv("bot", "purge", "echo", "--yes")
    assert (done.returncode, str(elsewhere) in done.stderr) == (5, True), done.stderr
    assert (elsewhere / "bot.db").exists() and paths.bot_logs("echo").exists() and "[bots.echo]" in text(scripts)


def test_a_purge_that_was_not_done_does_not_hit_a_later_bot(psv: Psv, scripts: Path) -> None:
    """Noted and not carried out, it is dropped once fleet.toml has the bot again: `rm` keeps data."""
    paths = FleetPaths(scripts)
    paths.bot_data("echo").mkdir(parents=True)
    (paths.bot_data("echo") / "bot.db").write_text("mine")
    note_move(paths, {"old": "echo", "new": None})

    assert psv("bot", "rm", "echo").returncode == 0
    assert finish_moves(paths, set()) == {}
    assert (paths.bot_data("echo") / "bot.db").exists()


@pytest.fixture
def running(psv: Psv, scripts: Path) -> Iterator[Path]:
    """A fleet that runs, with one bot beside the one that changes."""
    (scripts / "fleet.toml").write_text('# mine\n[fleet]\nname = "demo"\ndown_timeout = "3s"\n\n[bots.echo]\nrun = "bots:bot"\n')
    assert psv("up", "--detach", "--wait").returncode == 0
    yield scripts
    end(scripts, psv)


@pytest.mark.slow
def test_a_running_fleet_takes_a_bot_in_renames_it_and_lets_it_go(psv: Psv, running: Path) -> None:
    """Each change is taken over at once, no other bot is touched, and what is kept of the bot follows its name."""
    paths = FleetPaths(running)

    def bot(name: str) -> dict[str, object]:
        return dict(json.loads(psv("bot", "list", name, "--json").stdout)[0])

    echo = bot("echo")["pid"]
    added = psv("bot", "add", "old", "--script", "main.py")
    assert (added.returncode, added.stderr) == (0, "")
    eventually(lambda: bot("old")["state"] == "RUNNING", "the new bot runs, without being told to")

    busy = psv("bot", "rename", "old", "new")
    assert busy.returncode == 5 and "psv stop old" in busy.stderr
    assert "[bots.old]" in text(running)
    assert json.loads(psv("status", "--json").stdout)["config_differs"] is False

    assert psv("stop", "old").returncode == 0
    paths.bot_data("old").mkdir(parents=True, exist_ok=True)
    (paths.bot_data("old") / "kept").write_text("mine")
    renamed = psv("bot", "rename", "old", "new")
    assert (renamed.returncode, renamed.stderr) == (0, "")
    assert bot("new")["generation"] == 1 and bot("new")["wanted"] == "down"
    assert (paths.bot_data("new") / "kept").read_text() == "mine"
    assert "here" in psv("logs", "new").stdout
    assert '"bot": "new"' in psv("events", "new", "--json").stdout
    assert "STOPPED" in psv("bot", "history", "new").stdout
    assert psv("start", "new").returncode == 0 and bot("new")["generation"] == 2

    assert psv("bot", "rm", "new").returncode == 5
    assert psv("stop", "new").returncode == 0
    removed = psv("bot", "rm", "new")
    assert removed.returncode == 0 and "psv bot purge new" in removed.stdout
    assert psv("bot", "list", "new").returncode == 4
    assert (paths.bot_data("new") / "kept").exists()

    purged = psv("bot", "purge", "new", "--yes")
    assert (purged.returncode, purged.stderr) == (0, "")
    assert not any(of("new").exists() for of in (paths.bot_data, paths.bot_logs, paths.bot_run))
    assert bot("echo")["pid"] == echo and os.path.isdir(f"/proc/{echo}")
    assert text(running).startswith("# mine\n") and "bots.new" not in text(running)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["write_applied", "hand_over"])
def test_a_rename_killed_at_any_step_loses_nothing(psv: Psv, scripts: Path, tmp_path: Path, step: str) -> None:
    """The command is killed with -9 before that step, and psvd after it: what is kept of the bot is found under the name that fleet.toml says."""
    (scripts / "fleet.toml").write_text('[fleet]\nname = "demo"\n\n[bots.old]\nscript = "main.py"\nautostart = false\n')
    paths = FleetPaths(scripts)
    paths.bot_data("old").mkdir(parents=True)
    (paths.bot_data("old") / "kept").write_text("mine")
    try:
        assert psv("up", "--detach", "--wait").returncode == 0
        killed = (
            "import os, sys, processsupervisor.cli.change as change\n"
            f"change.{step} = lambda *_: os.kill(os.getpid(), 9)\n"
            "from processsupervisor.cli.main import main\nmain(['bot', 'rename', 'old', 'new'])\n"
        )
        env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"))
        assert subprocess.run([sys.executable, "-c", killed], cwd=scripts, env=env, timeout=60, check=False).returncode == -signal.SIGKILL
        psvd = pid_of(psv, scripts, "psvd")
        os.kill(psvd, signal.SIGKILL)
        eventually(lambda: psv("status").returncode == 0 and pid_of(psv, scripts, "psvd") != psvd, "the next psvd")
        assert psv("down").returncode == 0
        assert psv("up", "--detach", "--wait").returncode == 0

        assert json.loads(psv("bot", "list", "--json").stdout)[0]["name"] == "new"
        assert (paths.bot_data("new") / "kept").read_text() == "mine"
        assert not (paths.data / "moves.json").exists()
    finally:
        end(scripts, psv)


@pytest.mark.parametrize(("answer", "is_deleted"), [("echo\n", True), ("y\n", False), ("\n", False)])
def test_purge_asks_on_a_terminal(scripts: Path, tmp_path: Path, answer: str, is_deleted: bool) -> None:
    """Only the bot's name, typed, deletes it; everything that goes is listed before."""
    import pty

    kept = FleetPaths(scripts).bot_data("echo") / "bot.db"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x" * 2048)
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"))
    done = subprocess.run([*PSV, "bot", "purge", "echo"], cwd=scripts, env=env, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(ours)
    os.close(theirs)

    assert (done.returncode, kept.exists()) == ((0, False) if is_deleted else (5, True)), done.stderr
    assert "[bots.echo] of fleet.toml" in done.stdout and str(kept.parent) in done.stdout
    assert ("[bots.echo]" in text(scripts)) is not is_deleted


@pytest.mark.slow
def test_a_fleet_that_runs_by_an_older_file_is_left_alone(psv: Psv, running: Path) -> None:
    """Other changes that nobody applied yet are not slipped in beside this one: psv says what takes both over."""
    (running / "fleet.toml").write_text(text(running).replace("3s", "4s"))
    before = pid_of(psv, running, "psvd")

    added = psv("bot", "add", "old", "--script", "main.py")
    assert added.returncode == 0 and "psv config apply takes it over" in added.stdout
    assert psv("bot", "list", "old").returncode == 4
    assert pid_of(psv, running, "psvd") == before
    assert psv("bot", "rename", "echo", "other").returncode == 5


def test_what_stands_elsewhere_is_not_changed(psv: Psv, scripts: Path) -> None:
    """A bot of an included file and one of a template: told where it is, and nothing is touched, nor deleted."""
    (scripts / "more.toml").write_text('[bots.far]\nscript = "main.py"\n\n[bots."n-{n}"]\ncount = 2\nscript = "main.py"\n')
    (scripts / "fleet.toml").write_text('include = ["more.toml"]\n' + FLEET)
    kept = FleetPaths(scripts).bot_data("far")
    kept.mkdir(parents=True)
    before = text(scripts)
    for args in (("rename", "far", "near"), ("rm", "far"), ("purge", "far", "--yes")):
        done = psv("bot", *args)
        assert done.returncode == 5 and "far is written in more.toml:1" in done.stderr, done.stderr
    done = psv("bot", "rm", "n-2")
    assert done.returncode == 5 and "made by the template n-{n} in more.toml:4" in done.stderr and "count" in done.stderr
    done = psv("bot", "add", "far", "--", "true")
    assert done.returncode == 2 and "more.toml:1:1: duplicate-table: [bots.far]" in done.stderr
    assert text(scripts) == before and kept.is_dir()
    assert psv("bot", "add", "new", "--script", "main.py").returncode == 0 and psv("bot", "rename", "echo", "other").returncode == 0
    assert psv("check").returncode == 0
