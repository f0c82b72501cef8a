"""Hooks of fleet.toml: run once each, in the bot's place, never longer than they may, and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import resource
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.errors import Exhausted
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.hooks import WAITING_MOST, HookRunner

SAY = """\
#!/bin/sh
cat >> "$PSV_FLEET/said"
env > "$PSV_FLEET/env-$PSV_HOOK"
pwd > "$PSV_FLEET/cwd-$PSV_HOOK"
"""
BOT = """
    [bots.x]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
    restart = { initial = "0s" }
"""
EVERY = ("before_start", "after_start", "after_ready", "before_stop", "after_stop", "after_exit")


def _script(fleet: LiveFleet, name: str, text: str) -> None:
    fleet.write(name, text).chmod(0o755)


def _hooks(**hooks: str) -> str:
    return "    [bots.x.hooks]\n" + "".join(f"    {name} = {value}\n" for name, value in hooks.items())


def _said(fleet: LiveFleet) -> list[dict[str, Any]]:
    path = fleet.folder / "said"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.is_file() else []


def _names(fleet: LiveFleet) -> list[str]:
    return [event["hook"] for event in _said(fleet)]


def _marked(fleet: LiveFleet) -> list[int]:
    """Return the pids of all hooks, and what they started, of this fleet."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] if environ else b"Z"
        except OSError:
            continue
        if b"PSV_HOOK=" in environ and os.fsencode(fleet.folder) in environ and state != b"Z":
            found.append(int(entry.name))
    return found


def _restart_psvd(fleet: LiveFleet) -> None:
    pid = fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and fleet.role_pid("psvd") != pid, "a new psvd answers")


def test_each_step_has_its_hook_and_the_event(fleet: LiveFleet) -> None:
    """Start, ready, stop, exit, in this order, each once, with bot, generation and reason on stdin; in the bot's folder."""
    _script(fleet, "say.sh", SAY)
    (fleet.folder / "place").mkdir()
    every = {name: '["./say.sh"]' for name in EVERY}
    fleet.configure(BOT + '    cwd = "place"\n    env = { SECRET = "s3cret", WANTED = "yes" }\n'
                    + _hooks(**every | {"after_ready": '{ command = ["./say.sh"], env = ["WANTED"] }'}))
    fleet.up()
    eventually(lambda: "after_ready" in _names(fleet), "the bot is ready")
    fleet.call("bot.stop", names=["x"])
    eventually(lambda: {"after_exit", "after_stop"} <= set(_names(fleet)), "the bot has stopped")
    names = _names(fleet)
    assert sorted(names) == sorted(EVERY)
    assert names.index("before_start") < names.index("after_start") < names.index("after_ready") < names.index("before_stop")
    ended = next(event for event in _said(fleet) if event["hook"] == "after_exit")
    assert (ended["bot"], ended["generation"], ended["reason"], ended["signal"]) == ("x", 1, "admin", "SIGTERM")
    environment = (fleet.folder / "env-after_exit").read_text()
    assert "s3cret" not in environment and "WANTED" not in environment and "PSV_BOT=" not in environment
    assert "PSV_HOOK_BOT=x" in environment
    assert "WANTED=yes" in (fleet.folder / "env-after_ready").read_text()
    assert (fleet.folder / "cwd-before_start").read_text().strip() == str(fleet.folder / "place")
    eventually(lambda: _marked(fleet) == [], "nothing of a hook is left")


def test_a_start_whose_hook_fails_does_not_happen(fleet: LiveFleet) -> None:
    """Reason start-failed with the hook's last line, counted like any failed start; when the hook succeeds the bot starts."""
    _script(fleet, "prepare.sh", "#!/bin/sh\necho first\necho the database is away\ntest -e may-start\n")
    _script(fleet, "say.sh", SAY)
    hooks = {"before_start": '["./prepare.sh"]', "after_exit": '["./say.sh"]'}
    fleet.configure(BOT.replace('initial = "0s"', 'window = [{ count = 1, within = "1h" }], retry_failed = "1h"') + _hooks(**hooks))
    fleet.up()
    found = fleet.until("x", state="FAILED")
    assert found["reason"] == "crash-loop"
    last = fleet.detail("x")["last_exit"]
    assert last["reason"] == "start-failed"
    assert "the database is away" in last["message"] and "exit code 1" in last["message"]
    assert fleet.copies("x") == []
    eventually(lambda: len(_said(fleet)) == 2, "after_exit told each")
    (fleet.folder / "may-start").touch()
    assert fleet.call("bot.start", names=["x"])[0]["ok"]


def test_a_hook_that_hangs_and_forks_is_ended_with_all_it_started(fleet: LiveFleet) -> None:
    """Daemons in sessions of their own without an environment included; the start fails by its deadline."""
    _script(fleet, "hang.sh", "#!/bin/sh\nsetsid env -i sh -c 'echo $$ > daemon; exec sleep 777' &\nsleep 778 &\nsleep 779\n")
    fleet.configure(BOT.replace('initial = "0s"', 'window = [{ count = 1, within = "1h" }], retry_failed = "1h"')
                    + _hooks(before_start='{ command = ["./hang.sh"], timeout = "1s" }'))
    fleet.up()
    fleet.until("x", state="FAILED")
    assert "not done in time" in fleet.detail("x")["last_exit"]["message"]
    daemon = int((fleet.folder / "daemon").read_text())
    eventually(lambda: _marked(fleet) == [] and not Path(f"/proc/{daemon}").exists(), "all of it is gone")


def test_a_stop_does_not_wait_for_the_hook_of_a_start(fleet: LiveFleet) -> None:
    """The bot that waits for before_start is stopped at once, and its hook ends."""
    _script(fleet, "hang.sh", "#!/bin/sh\ntouch begun\nsleep 777\n")
    fleet.configure(BOT + _hooks(before_start='{ command = ["./hang.sh"], timeout = "10m" }'))
    fleet.up(wait=False)
    eventually((fleet.folder / "begun").exists, "the hook runs")
    began = time.monotonic()
    assert fleet.call("bot.stop", names=["x"])[0]["state"] == "STOPPED"
    assert time.monotonic() - began < 5.0
    eventually(lambda: _marked(fleet) == [], "nothing of it is left")


def test_before_stop_delays_a_stop_within_its_timeout(fleet: LiveFleet) -> None:
    """A hook that hangs has half of stop.timeout, a bot that ignores SIGTERM the rest: the whole is not longer than said."""
    _script(fleet, "hang.sh", "#!/bin/sh\necho it hangs here\nsleep 777\n")
    toml = BOT.replace('["sleep", "1000"]', """["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]""")
    fleet.configure(toml + '    stop = { timeout = "2s" }\n' + _hooks(before_stop='{ command = ["./hang.sh"], timeout = "10m" }'))
    fleet.up()
    began = time.monotonic()
    assert fleet.call("bot.stop", names=["x"])[0]["state"] == "STOPPED"
    assert 1.5 < time.monotonic() - began < 6.0
    assert fleet.detail("x")["last_exit"]["signal"] == "SIGKILL"
    assert "it hangs here" in (fleet.paths.own_logs / "psvd.log").read_text(), "what it printed is told"
    began = time.monotonic()
    fleet.call("bot.start", names=["x"])
    fleet.down()
    assert time.monotonic() - began < 12.0


def test_before_stop_leaves_a_bot_half_of_what_the_end_of_the_fleet_leaves_it(fleet: LiveFleet) -> None:
    """Half of its own stop.timeout would be all of that: it would be killed without having been asked."""
    _script(fleet, "hang.sh", "#!/bin/sh\nsleep 777\n")
    toml = BOT.replace('["sleep", "1000"]', """["sh", "-c", "trap 'touch asked; exit' TERM; while :; do sleep 0.1; done"]""")
    fleet.configure(toml + '    stop = { timeout = "10m" }\n' + _hooks(before_stop='{ command = ["./hang.sh"], timeout = "10m" }'))
    fleet.up()
    fleet.call("fleet.down", timeout_s=3.0)
    assert (fleet.folder / "asked").exists()


def test_after_hooks_delay_nothing_and_their_flood_is_cut(fleet: LiveFleet) -> None:
    """A hook that prints for ever and one that never ends: the bot restarts as quickly, psvd answers, the log stays small."""
    _script(fleet, "flood.sh", "#!/bin/sh\nwhile :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done\n")
    hook = '{ command = ["./flood.sh"], timeout = "2s" }'
    fleet.configure(BOT + _hooks(after_exit=hook, after_ready=hook))
    fleet.up()
    for generation in (2, 3, 4):
        os.kill(fleet.until("x", state="RUNNING", generation=generation - 1)["pid"], signal.SIGKILL)
    fleet.until("x", state="RUNNING", generation=4)
    log = fleet.paths.own_logs / "psvd.log"
    eventually(lambda: "timed-out" in log.read_text(), "its end is told")
    assert log.stat().st_size < 200_000
    fleet.call("bot.stop", names=["x"])


def test_a_hook_ends_with_its_psvd_and_is_not_run_again(fleet: LiveFleet) -> None:
    """kill -9 of psvd: what the hook had started is gone, and the next psvd does not tell the same exit again."""
    _script(fleet, "slow.sh", "#!/bin/sh\necho run >> runs\nsleep 777 &\nsleep 778\n")
    _script(fleet, "say.sh", SAY)
    fleet.configure(BOT + _hooks(after_exit='{ command = ["./slow.sh"], timeout = "10m" }', after_ready='["./say.sh"]'))
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (fleet.folder / "runs").exists() and len(_marked(fleet)) >= 3, "the hook runs")
    fleet.until("x", state="RUNNING", generation=2)
    eventually(lambda: _names(fleet) == ["after_ready"], "the second waits behind the hook that runs")
    hooks = _marked(fleet)
    _restart_psvd(fleet)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in hooks), "the hook is gone")
    assert fleet.until("x", state="RUNNING")["generation"] == 2
    fleet.call("bot.history", names=["x"])
    assert (fleet.folder / "runs").read_text() == "run\n"
    assert _names(fleet) == ["after_ready"], "a bot that is adopted did not become ready again"


def test_a_start_whose_hook_was_cut_off_by_the_end_of_psvd_begins_anew(fleet: LiveFleet) -> None:
    """It had not happened: the next psvd starts the bot, with a hook of its own, and the first one is gone."""
    _script(fleet, "slow.sh", '#!/bin/sh\necho run >> runs\ntest -e may-start || sleep 777\n')
    fleet.configure(BOT + _hooks(before_start='{ command = ["./slow.sh"], timeout = "10m" }'))
    fleet.up(wait=False)
    eventually((fleet.folder / "runs").exists, "the hook runs")
    hooks = _marked(fleet)
    (fleet.folder / "may-start").touch()
    _restart_psvd(fleet)
    pid = fleet.until("x", state="RUNNING", restarts=0)["pid"]
    eventually(lambda: fleet.copies("x") == [pid], "one copy")
    assert (fleet.folder / "runs").read_text() == "run\nrun\n"
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in hooks), "the first hook is gone")


def test_a_stop_whose_hook_was_cut_off_by_the_end_of_psvd_is_begun_anew(fleet: LiveFleet) -> None:
    """It had not happened: the next psvd goes on with the stop, hook first."""
    _script(fleet, "slow.sh", '#!/bin/sh\necho run >> runs\ntest -e may-stop || sleep 777\n')
    fleet.configure(BOT + '    stop = { timeout = "60s" }\n' + _hooks(before_stop='{ command = ["./slow.sh"], timeout = "10m" }'))
    fleet.up()
    fleet.call("bot.stop", names=["x"], wait=False)
    eventually((fleet.folder / "runs").exists, "the hook runs")
    (fleet.folder / "may-stop").touch()
    _restart_psvd(fleet)
    fleet.until("x", state="STOPPED")
    assert (fleet.folder / "runs").read_text() == "run\nrun\n"
    eventually(lambda: _marked(fleet) == [], "the first hook is gone")


def test_an_exit_that_no_psvd_saw_is_told_once_by_the_next(fleet: LiveFleet) -> None:
    """The bot dies while psvd is stopped and then killed: after_exit runs once, with how the keeper saw it end."""
    _script(fleet, "say.sh", SAY)
    fleet.configure(BOT + _hooks(after_exit='["./say.sh"]'))
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    psvd = fleet.kill_role("psvd", signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the keeper reaped it")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("x", state="RUNNING", generation=2)
    eventually(lambda: _names(fleet) == ["after_exit"], "it is told")
    _restart_psvd(fleet)
    assert [(event["generation"], event["signal"]) for event in _said(fleet)] == [(1, "SIGKILL")]


def test_hooks_are_neither_strays_nor_leftovers(fleet: LiveFleet) -> None:
    """While one runs the bot is stopped, started and killed, and psvd's successor adopts: the hook is not taken for the bot."""
    _script(fleet, "slow.sh", '#!/bin/sh\necho $$ > "$PSV_FLEET/hook"\nexec sleep 777\n')
    fleet.configure(BOT + _hooks(after_ready='{ command = ["./slow.sh"], timeout = "10m" }'))
    fleet.up()
    eventually(lambda: (fleet.folder / "hook").exists() and (fleet.folder / "hook").read_text().strip(), "the hook runs")
    hook = int((fleet.folder / "hook").read_text())
    assert hook not in fleet.copies("x")
    fleet.call("bot.restart", names=["x"])
    assert Path(f"/proc/{hook}").exists(), "the end of the bot is not the end of its hook"
    assert not [note for note in fleet.call("fleet.status")["notes"] if str(hook) in note["subject"]]
    orphan = fleet.role_pid("psvd")
    runner = next(pid for pid in _marked(fleet) if pid != hook)
    os.kill(runner, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{hook}").exists(), "what lost the process above it is ended by psvd", 20)
    assert fleet.role_pid("psvd") == orphan


@pytest.mark.root
def test_a_hook_has_the_user_of_its_bot(fleet: LiveFleet) -> None:
    """Never more rights than the bot."""
    public = Path("/tmp") / f"psv-hook-{os.getpid()}"
    public.mkdir(mode=0o777)
    public.chmod(0o777)
    try:
        hook = f'["sh", "-c", "id -un > {public}/who; id -G > {public}/groups; cat > /dev/null"]'
        fleet.configure(BOT + f'    user = "nobody"\n    cwd = "{public}"\n' + _hooks(after_ready=hook))
        fleet.up()
        eventually(lambda: (public / "groups").exists() and (public / "groups").read_text().strip(), "the hook ran")
        assert (public / "who").read_text().strip() == "nobody"
        assert set((public / "groups").read_text().split()) <= {str(g) for g in os.getgrouplist("nobody", pwd.getpwnam("nobody").pw_gid)}
    finally:
        shutil.rmtree(public)


def test_many_hooks_wait_their_turn(fleet: LiveFleet) -> None:
    """12 bots at once: at most four hooks run at a time, and each is told."""
    _script(fleet, "count.sh", '#!/bin/sh\ncat >> "$PSV_FLEET/said"\ntouch "$PSV_FLEET/now-$$"\nls "$PSV_FLEET" | grep -c now- >> "$PSV_FLEET/most"\nsleep 0.05\nrm "$PSV_FLEET/now-$$"\n')
    bots = "".join(f'    [bots.b{n}]\n    command = ["sleep", "1000"]\n' for n in range(12))
    fleet.configure('    [global]\n    ready = { after = "0s" }\n    hooks = { after_ready = ["./count.sh"] }\n' + bots)
    fleet.up()
    eventually(lambda: len(_said(fleet)) == 12, "each bot has told")
    assert sorted(event["bot"] for event in _said(fleet)) == sorted(f"b{n}" for n in range(12))
    assert max(int(line) for line in (fleet.folder / "most").read_text().split()) <= 4


def test_a_full_line_of_hooks_is_told(tmp_path: Path) -> None:
    """Beyond WAITING_MOST a hook is left out, with an event; the bot's other hooks go on as they were."""
    spec: Any = {"name": "x", "hooks": {"after_exit": {"command": ["true"], "timeout_s": 5.0, "env": []}}}

    async def flood() -> list[Event]:
        events, told = Events(), list[Event]()
        events.listen(told.append)
        runner = HookRunner(FleetPaths(tmp_path), lambda _bot: spec, events)
        for _ in range(WAITING_MOST + 3):
            runner.after("x", "exit", {})
        runner.close()
        return told

    told = asyncio.run(flood())
    assert [event["outcome"] for event in told] == ["left-out"] * 3
    assert f"{WAITING_MOST} hooks wait already" in str(told[0]["message"])


def test_a_start_whose_hook_finds_no_room_on_the_machine_waits(tmp_path: Path) -> None:
    """No descriptor is left: no failure of the hook or the bot, as for the start itself; a stop goes on without its hook."""
    hook = {"command": ["true"], "timeout_s": 5.0, "env": []}
    spec: Any = {"name": "x", "inherit": [], "hooks": {"before_start": hook, "before_stop": hook}}

    async def refused() -> None:
        runner = HookRunner(FleetPaths(tmp_path), lambda _bot: spec, Events())
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(Exhausted, match="Too many open files"):
                await runner.before("x", "start")
            assert "Too many open files" in await runner.before("x", "stop", 5.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    asyncio.run(refused())


def test_other_settings_are_told_once(fleet: LiveFleet) -> None:
    """after_config with the keys that differ, at the first psvd that runs with them; never a value."""
    _script(fleet, "say.sh", SAY)
    hooks = _hooks(after_config='["./say.sh"]')
    fleet.configure(BOT + '    env = { TOKEN = "old" }\n' + hooks)
    fleet.up()
    fleet.down()
    fleet.configure(BOT + '    env = { TOKEN = "n3w-v4lue" }\n    umask = "027"\n' + hooks)
    fleet.up()
    eventually(lambda: _names(fleet) == ["after_config"], "it is told")
    assert _said(fleet)[0]["changed"] == ["env", "umask"]
    _restart_psvd(fleet)
    fleet.down()
    fleet.up()
    assert _names(fleet) == ["after_config"]
    assert b"n3w-v4lue" not in fleet.paths.database.read_bytes()


def test_the_end_of_the_fleet_waits_for_hooks_within_its_time(fleet: LiveFleet) -> None:
    """`psv down` tells after_exit of every bot."""
    _script(fleet, "say.sh", "#!/bin/sh\nsleep 0.3\n" + SAY.partition("\n")[2])
    fleet.configure(BOT + _hooks(after_exit='["./say.sh"]'))
    fleet.up()
    fleet.down()
    assert _names(fleet) == ["after_exit"]


def test_a_hook_that_the_end_of_the_fleet_cuts_off_is_told(fleet: LiveFleet) -> None:
    """Those that run and those that wait: as an event before the last one, and in the log; nothing of them is left."""
    _script(fleet, "hang.sh", "#!/bin/sh\nsleep 777\n")
    fleet.configure(BOT + _hooks(after_stop='["./hang.sh"]', after_exit='["./hang.sh"]'))
    fleet.up()
    fleet.down()
    rows = sqlite3.connect(fleet.paths.database).execute("SELECT event FROM events ORDER BY id").fetchall()
    told = [event for (row,) in rows if (event := json.loads(row))["kind"] in ("hook", "down")]
    assert sorted((e.get("hook"), e.get("outcome")) for e in told[:-1]) == [("after_exit", "let-go"), ("after_stop", "let-go")]
    assert told[-1]["kind"] == "down" and "let-go" in (fleet.paths.own_logs / "psvd.log").read_text()
    eventually(lambda: not _marked(fleet), "nothing of it is left")


def test_pause_and_resume_have_hooks_on_both_sides(fleet: LiveFleet) -> None:
    """psvd's before_ hooks, the bot's own, psvd's after_ hooks, in this order."""
    fleet.write("bots.py", """
        from processsupervisor import Bot
        bot = Bot()

        def say(word):
            with open("said", "a") as file:
                file.write('{"hook": "' + word + '"}\\n')

        @bot.on_pause
        async def pause():
            say("on_pause")

        @bot.on_resume
        async def resume():
            say("on_resume")
    """)
    _script(fleet, "say.sh", SAY)
    order = ("before_pause", "after_pause", "before_resume", "after_resume")
    fleet.configure('    [bots.x]\n    run = "bots:bot"\n' + _hooks(**dict.fromkeys(order, '["./say.sh"]')))
    fleet.up()
    assert fleet.call("bot.pause", names=["x"])[0]["state"] == "PAUSED"
    eventually(lambda: "after_pause" in _names(fleet), "the pause is told")
    assert fleet.call("bot.resume", names=["x"])[0]["state"] == "RUNNING"
    eventually(lambda: "after_resume" in _names(fleet), "the resume is told")
    assert _names(fleet) == ["before_pause", "on_pause", "after_pause", "before_resume", "on_resume", "after_resume"]


def test_who_reads_why_a_before_start_failed_is_sent_to_where_that_is(fleet: LiveFleet) -> None:
    """The log of a bot that was never born is empty; what its hook printed is in psvd's."""
    _script(fleet, "fail.sh", "#!/bin/sh\necho first; echo last; exit 3\n")
    fleet.configure(BOT.replace('"0s" }\n    restart = { initial = "0s" }', '"0s" }\n    restart = { policy = "never" }') + _hooks(before_start='["./fail.sh"]'))
    fleet.up()
    fleet.until("x", state="FAILED", reason="start-failed")
    advice = fleet.detail("x")["what_to_do"]
    assert "psv logs" not in advice and "before_start" in advice and ".psv/logs/psv/psvd.log" in advice
    assert "first\\nlast" in (fleet.folder / ".psv" / "logs" / "psv" / "psvd.log").read_text()
