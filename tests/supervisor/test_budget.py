"""login_budget and the alert of a crash loop with real processes: held, told once, kept over kill -9, shared by who shares a token."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.logins import ages_of_starts, note_start

_DIES = 'command = ["sh", "-c", "echo began; exit 75"]\nrestart = { base = "0s" }\n'
_STAYS = 'command = ["sh", "-c", "echo began; sleep 1000"]\n'


def _results(found: Any) -> dict[str, Any]:
    return {row["name"]: row for row in found}


def _notes(fleet: LiveFleet, bot: str) -> list[str]:
    return [n["message"] for n in fleet.call("fleet.status")["notes"] if n["subject"] == bot]


def _alerts(fleet: LiveFleet, until: Any, start: str = "") -> list[dict[str, Any]]:
    """Return the alerts that are told until `until` holds; `start` is started under the eyes of the listener."""
    found: list[dict[str, Any]] = []
    with ControlClient(fleet.paths, timeout_s=30) as client:
        for event in client.stream("fleet.watch", {}):
            if event.get("kind") == "snapshot" and start:
                fleet.call("bot.start", names=[start], wait=False)
            if event.get("kind") == "alert":
                found.append(event)
            if until():
                return found
    return found


def test_a_bot_at_its_budget_is_held_until_a_start_is_due(fleet: LiveFleet) -> None:
    """Three starts and no fourth, over a kill of psvd and the end of the fleet; the time is shown, a command is refused, the token unseen."""
    fleet.configure(f'[bots.a]\n{_DIES}env = {{ TOKEN = "s3cret" }}\nlock = [{{ env = "TOKEN" }}]\nlogin_budget = {{ count = 3, within = "1h" }}\n')
    fleet.up()
    held = fleet.until("a", state="FAILED", reason="budget")
    assert held["generation"] == 3 and 3000 < held["next_start_in_s"] <= 3602
    assert "budget of 3 starts in 1h is used up" in fleet.detail("a")["what_to_do"] and "budget" in _notes(fleet, "a")[0]
    fleet.kill_role("psvd")
    again = fleet.until("a", state="FAILED", reason="budget")
    assert again["generation"] == 3 and 3000 < again["next_start_in_s"] <= 3602 and len(_notes(fleet, "a")) == 1
    eventually(lambda: "budget of 3 starts in 1h" in _notes(fleet, "a")[0] and "due in" in _notes(fleet, "a")[0], "the note is as before")
    assert "budget of 3 starts in 1h" in fleet.detail("a")["what_to_do"]
    for verb in ("start", "restart"):
        refused = _results(fleet.call(f"bot.{verb}", names=["a"]))["a"]
        assert refused["code"] == "refused" and "login budget of 3 starts" in refused["message"]
    assert fleet.bot("a")["reason"] == "budget", "a refused command changes nothing"
    fleet.down()
    fleet.up()
    assert fleet.until("a", state="FAILED", reason="budget")["generation"] == 3
    assert not [p for p in (fleet.folder / ".psv" / "data" / "logins").rglob("*") if b"s3cret" in p.read_bytes()]


def test_it_is_started_by_itself_when_the_time_has_come(fleet: LiveFleet) -> None:
    """No command is needed, and the note goes."""
    fleet.configure(f'[bots.a]\n{_DIES}login_budget = {{ count = 2, within = "3s" }}\n')
    fleet.up()
    fleet.until("a", state="FAILED", reason="budget")
    assert "login budget of 2 starts in 3s is used up" in _notes(fleet, "a")[0]
    eventually(lambda: fleet.bot("a")["generation"] >= 4, "it was started again, twice")
    began = time.monotonic()
    fleet.until("a", state="FAILED", reason="budget")
    assert time.monotonic() - began < 10


def test_a_token_is_counted_once_for_all_that_use_it(fleet: LiveFleet, tmp_path: Path) -> None:
    """Two bots of a fleet, and a bot of another fleet of the same user, share a budget; another token has its own."""
    budget = 'lock = [{ env = "TOKEN" }]\nlogin_budget = { count = 3, within = "1h" }\n'
    bots = "".join(f'[bots.{n}]\n{_STAYS}{budget}env = {{ TOKEN = "{token}" }}\nautostart = false\n' for n, token in (("a", "one"), ("b", "one"), ("c", "two")))
    fleet.configure(bots)
    fleet.up()
    for name in ("a", "b", "a"):
        assert _results(fleet.call("bot.start", names=[name]))[name]["ok"]
        fleet.call("bot.stop", names=[name])
    refused = _results(fleet.call("bot.start", names=["*"]))
    assert {name: row["ok"] for name, row in refused.items()} == {"a": False, "b": False, "c": True}
    other = LiveFleet(tmp_path / "other")
    other.folder.mkdir()
    try:
        other.configure(f'[bots.x]\n{_STAYS}{budget}env = {{ TOKEN = "one" }}\n')
        other.up()
        assert other.bot("x")["state"] == "RUNNING", "what it will log in with is known when it has done so once"
        assert _results(other.call("bot.restart", names=["x"]))["x"]["code"] == "refused"
        assert other.bot("x")["state"] == "RUNNING", "a refused restart leaves it running"
    finally:
        other.stop()


def test_a_ledger_survives_the_users_runtime_folder(fleet: LiveFleet, tmp_path: Path) -> None:
    """A restart of the machine empties it: the fleet's own ledger still counts, by wall time."""
    fleet.configure(f'[bots.a]\n{_DIES}env = {{ TOKEN = "s3cret" }}\nlock = [{{ env = "TOKEN" }}]\nlogin_budget = {{ count = 3, within = "1h" }}\n')
    fleet.up()
    fleet.until("a", state="FAILED", reason="budget")
    fleet.down()
    shutil.rmtree(fleet.paths.run)
    for path in (tmp_path / "runtime").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    fleet.configure(f'[bots.a]\n{_DIES}env = {{ TOKEN = "s3cret" }}\nlock = [{{ env = "TOKEN" }}]\nlogin_budget = {{ count = 3, within = "1h" }}\n')
    fleet.up()
    assert fleet.until("a", state="FAILED", reason="budget")["generation"] == 3


def test_starts_that_never_ran_the_program_are_not_counted(fleet: LiveFleet) -> None:
    """Who finds its token in use logs in nowhere: it waits as lock-held, with its budget whole."""
    budget = 'lock = [{ env = "TOKEN" }]\nenv = { TOKEN = "one" }\nlogin_budget = { count = 5, within = "1h" }\n'
    fleet.configure(f"[bots.a]\n{_STAYS}{budget}[bots.b]\n{_STAYS}{budget}priority = -1\ndepends_on = ['a']\n")
    fleet.up()
    fleet.until("b", state="FAILED", reason="lock-held")
    fleet.call("bot.restart", names=["b"], wait=False)
    fleet.until("b", state="FAILED", reason="lock-held", generation=2)
    assert len(ages_of_starts(fleet.paths, "a")) == 1


def test_a_full_window_is_told_once(fleet: LiveFleet) -> None:
    """One alert for a crash loop, however often it is tried; each try that fails waits for the next; a stable run ends it."""
    fleet.write("flaky.sh", "test -e good && exec sleep 1000\necho began\nexit 1\n")
    fleet.configure(
        '[bots.a]\ncommand = ["sh", "flaky.sh"]\n'
        'restart = { base = "0s", window = [{ count = 2, within = "10s" }], retry_failed = "1s", stable_after = "1s" }\n'
        "autostart = false\n"
    )
    fleet.up()
    told = _alerts(fleet, lambda: fleet.bot("a")["generation"] >= 5, start="a")
    assert [(a["bot"], a["what"]) for a in told] == [("a", "crash-loop")]
    note = _notes(fleet, "a")
    assert note == ["ends again and again (code); it is tried once each 1 s"]
    fleet.until("a", state="FAILED", reason="crash-loop")
    generation = fleet.bot("a")["generation"]
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd")
    assert _notes(fleet, "a") == note, "as it was before psvd was killed"
    assert _alerts(fleet, lambda: fleet.bot("a")["generation"] >= generation + 2) == [], "told before psvd was killed"
    fleet.write("good", "")
    fleet.until("a", state="RUNNING")
    eventually(lambda: not _notes(fleet, "a"), "a stable run ends it")


def test_what_was_told_of_a_bot_is_over_when_it_is_stopped(fleet: LiveFleet) -> None:
    """A note on a bot that nobody wants up would only be in the way."""
    fleet.configure(f'[bots.a]\n{_DIES}login_budget = {{ count = 1, within = "1h" }}\n')
    fleet.up()
    fleet.until("a", state="FAILED", reason="budget")
    assert _notes(fleet, "a")
    fleet.call("bot.stop", names=["a"])
    assert not _notes(fleet, "a") and fleet.detail("a")["what_to_do"] == ""


def test_a_ledger_is_bounded_and_counts_by_the_right_clock(tmp_path: Path, monkeypatch: Any) -> None:
    """It keeps what its budget needs, and that of others; entries of an earlier boot are at least as old as this boot, whatever the clock says."""
    from processsupervisor.launch import logins

    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    paths = FleetPaths(tmp_path)
    paths.ensure()
    for _ in range(50):
        note_start(paths, "a", [], 10)
    assert len(ages_of_starts(paths, "a")) == 50, "another bot on the same lock may count to 800"
    monkeypatch.setattr(logins, "KEPT_LEAST", 10)
    for _ in range(50):
        note_start(paths, "a", [], 15)
    assert 15 <= len(ages_of_starts(paths, "a")) <= 30
    assert json.loads((paths.logins / "a.locks").read_text()) == [["a", ""]]
    monkeypatch.setattr(logins, "_boot", lambda: b"another boot".ljust(16))
    now = logins.wall()
    monkeypatch.setattr(logins, "wall", lambda: now - 10 * 365 * 86400)
    assert min(ages_of_starts(paths, "a")) >= logins.boottime() - 1
    monkeypatch.setattr(logins, "wall", lambda: now + 5 * 86400)
    assert 5 * 86400 - 60 < max(ages_of_starts(paths, "a")) < 5 * 86400 + logins.boottime() + 60


def test_a_failure_that_only_a_person_can_end_is_told_once(fleet: LiveFleet) -> None:
    """auth, conflict and config: one alert and a note with what to do, no second one by a new psvd, over when the bot runs."""
    codes = {"auth": 77, "config": 78, "conflict": 79}
    dies = "".join(f'[bots.{name}]\ncommand = ["sh", "-c", "test -e good && exec sleep 1000; exit {code}"]\n' for name, code in codes.items())
    fleet.configure(f'{dies}[bots.wrong]\ncommand = ["./missing"]\n')
    fleet.up()

    def told() -> list[tuple[str, str]]:
        with ControlClient(fleet.paths) as client:
            return sorted((e["bot"], e["what"]) for e in client.stream("fleet.events", {"names": []}) if e["kind"] == "alert")

    expected = [("auth", "auth"), ("config", "config"), ("conflict", "conflict"), ("wrong", "config")]
    for name in (*codes, "wrong"):
        fleet.until(name, state="FAILED")
    assert told() == expected
    notes = {name: _notes(fleet, name) for name in (*codes, "wrong")}
    assert all(len(found) == 1 for found in notes.values())
    assert "FAILED (auth): exited with 77; the network refused the token" in notes["auth"][0]
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd")
    assert {name: _notes(fleet, name) for name in codes} == {name: notes[name] for name in codes} and told() == expected
    assert len(_notes(fleet, "wrong")) == 1 and "/missing" in _notes(fleet, "wrong")[0]
    fleet.write("good", "")
    fleet.call("bot.restart", names=["auth"])
    assert _notes(fleet, "auth") == [] and told() == expected
