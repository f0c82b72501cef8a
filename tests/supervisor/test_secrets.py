"""Values from elsewhere in a real fleet: they reach the program and nothing else, and what is wrong with one hits its bot only."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.config.load import load_fleet
from processsupervisor.config.secretstore import SecretStore
from processsupervisor.launch.code import install
from processsupervisor.process.logview import read

TOKEN = "s3cr3t-value-of-anna"
SHOWS = """
    import json, os, sys, time
    names = ("A", "B", "C", "D", "E")
    with open(sys.argv[1], "w") as file:
        json.dump({name: os.environ.get(name) for name in names}, file)
    print("the secret is", os.environ.get("A"), flush=True)
    while True:
        time.sleep(1)
"""


def seen(fleet: LiveFleet, name: str) -> dict[str, str]:
    """Return what the program wrote of its environment."""

    def whole() -> dict[str, str] | None:
        try:
            return dict(json.loads((fleet.folder / name).read_text()))
        except (OSError, ValueError):
            return None

    return dict(eventually(whole, f"{name} is written"))


def on_disk(fleet: LiveFleet, but: tuple[str, ...] = ()) -> list[Path]:
    """Return the files below .psv that hold the secret; logs have what the bot itself printed."""
    found = []
    for folder, _, names in os.walk(fleet.paths.psv):
        for path in (Path(folder, name) for name in names):
            if path.is_file() and TOKEN.encode() in path.read_bytes() and not str(path.relative_to(fleet.paths.psv)).startswith(but):
                found.append(path)
    return found


def test_values_reach_the_program_and_nothing_else(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script, a command and a native bot get the values of all kinds; no file of psv, no title and no answer has them."""
    fleet.paths.ensure()
    SecretStore(fleet.paths).set("anna", TOKEN, "test")
    key = fleet.paths.data / "secret.key"
    monkeypatch.setenv("PSV_SECRET_KEY", key.read_text().strip())
    key.unlink()
    monkeypatch.setenv("OF_PSV", "of psv itself")
    fleet.write("shows.py", SHOWS)
    fleet.write("value.txt", "of a file\n")
    fleet.write(".env", "OF_FILE='of the env file'\n")
    fleet.write("native.py", """
        import json
        from processsupervisor import Bot
        bot = Bot()

        @bot.on_start
        async def begin():
            with open("native.json", "w") as file:
                json.dump(bot.options, file)
    """)
    fleet.configure("""
        [global]
        env_file = ".env"
        env = { A = "secret:anna", B = "file:value.txt", C = "cmd:sh -c 'echo of a $0' command", D = "env:OF_PSV", E = "env:OF_FILE" }

        [bots.script]
        script = "shows.py"
        args = ["script.json"]

        [bots.program]
        command = ["python", "shows.py", "program.json"]

        [bots.native]
        run = "native:bot"
        options = { token = "secret:anna", list = ["env:OF_FILE", "literal:env:x", "file:///etc/x"], plain = "a: b" }
    """)
    fleet.up()
    wanted = {"A": TOKEN, "B": "of a file", "C": "of a command", "D": "of psv itself", "E": "of the env file"}
    assert seen(fleet, "script.json") == wanted
    assert seen(fleet, "program.json") == wanted
    assert seen(fleet, "native.json") == {"token": TOKEN, "list": ["of the env file", "env:x", "file:///etc/x"], "plain": "a: b"}
    eventually(lambda: "the secret" in fleet.output("script"), "it has printed")
    assert on_disk(fleet, but=("logs/bots",)) == []
    assert all("[redacted]" in line.text for line in read(fleet.paths, ["script", "program"]) if "secret is" in line.text)
    asked = json.dumps([fleet.detail(name) for name in ("script", "program", "native")])
    assert TOKEN not in asked
    for pid in fleet.processes():
        assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    with sqlite3.connect(fleet.paths.database) as db:
        notes = [json.loads(row[0]) for row in db.execute("SELECT args FROM audit WHERE op = 'secret.read'")]
        sets = [tuple(row) for row in db.execute("SELECT caller, args FROM audit WHERE op = 'secret.set'")]
    assert {note["bot"] for note in notes} == {"script", "program", "native"} and all(note["names"] == ["anna"] for note in notes)
    assert sets == [("test", '{"names": ["anna"]}')]
    for name in ("OF_PSV", "PSV_SECRET_KEY"):  # whoever changes the fleet later does so in another environment
        monkeypatch.delenv(name)
    assert not load_fleet(fleet.folder).problems


SLEEPS = """
    import os, time
    print("began with", len(os.environ.get("A", "")), flush=True)
    while True:
        time.sleep(1)
"""


def test_what_is_wrong_with_a_value_hits_its_bot_only(fleet: LiveFleet) -> None:
    """A lost key: FAILED with the reason config and the way out, the others run; with the key back a start is enough.

    A command that fails is tried again by the restart policy.
    """
    fleet.paths.ensure()
    store, key = SecretStore(fleet.paths), fleet.paths.data / "secret.key"
    store.set("anna", TOKEN, "test")
    fleet.write("bot.py", SLEEPS)
    fleet.write("vault.sh", "#!/bin/sh\ntest -e there && echo a-value-of-the-vault\n").chmod(0o755)
    fleet.configure("""
        [global]
        script = "bot.py"
        restart = { initial = "0.1s", base = "0.1s", max = "0.2s", window = [] }

        [bots.well]

        [bots.secret]
        env = { A = "secret:anna" }

        [bots.vault]
        env = { A = "cmd:./vault.sh" }
    """)
    secret = key.read_bytes()
    key.unlink()
    fleet.up(wait=False)
    assert fleet.until("well", state="RUNNING")
    assert fleet.until("secret", state="FAILED")["reason"] == "config"
    last = fleet.detail("secret")["last_exit"]
    assert "env.A: secret:anna cannot be read: the key of the secret store is not there" in last["message"]
    eventually(lambda: fleet.bot("vault")["restarts"] >= 2, "the vault is asked again")
    last = fleet.detail("vault")["last_exit"]
    assert (last["reason"], "env.A: cmd:./vault.sh ended with exit code 1" in last["message"]) == ("start-failed", True)
    key.write_bytes(secret)
    key.chmod(0o600)
    fleet.write("there", "")
    fleet.call("bot.start", names=["secret"], wait=True)
    fleet.until("vault", state="RUNNING")
    assert fleet.bot("secret")["state"] == "RUNNING"
    pid = fleet.bot("secret")["pid"]
    store.rotate("test")
    fleet.call("bot.restart", names=["vault"], wait=True)
    assert fleet.bot("secret")["pid"] == pid
    fleet.call("bot.restart", names=["secret"], wait=True)
    eventually(lambda: fleet.output("secret").count(f"began with {len(TOKEN)}") == 2, "with the new key too")
    assert on_disk(fleet) == []


def test_a_stop_does_not_wait_for_a_command_that_hangs(fleet: LiveFleet) -> None:
    """It ends the start at once, with all that the command began."""
    fleet.write("bot.py", SLEEPS)
    fleet.configure("""
        [bots.slow]
        script = "bot.py"
        env = { A = "cmd:sh -c 'setsid sleep 300 & sleep 300'" }

        [bots.program]
        command = ["python", "bot.py"]
        env = { A = "cmd:sh -c 'setsid sleep 300 & sleep 300'" }
    """)
    fleet.up(wait=False)

    def sleeping() -> int:
        return sum(b"sleep\x00300" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in fleet.processes())

    eventually(lambda: sleeping() >= 4, "both commands run")
    began = time.monotonic()
    fleet.call("bot.stop", names=["slow", "program"], wait=True, timeout_s=20.0)
    assert time.monotonic() - began < 8.0
    assert {row["state"] for row in fleet.call("bot.list")} == {"STOPPED"}
    eventually(lambda: sleeping() == 0, "nothing is left of them")


def test_a_value_is_locked_shown_to_hooks_and_hidden(fleet: LiveFleet) -> None:
    """lock takes the value, not the reference; a hook gets it; exit record, closed log and hook output hide it."""
    fleet.paths.ensure()
    store = SecretStore(fleet.paths)
    for name in ("one", "same"):
        store.set(name, TOKEN, "test")
    fleet.write("dies.py", "import os, sys\nprint('first', os.environ['A'])\nprint('x' * 70000)\nprint('with', os.environ['A'])\nsys.exit(os.environ['A'])\n")
    fleet.write("bot.py", SLEEPS)
    fleet.configure("""
        [bots.first]
        script = "bot.py"
        env = { A = "secret:one" }
        lock = [{ env = "A" }]
        hooks = { after_start = { command = ["sh", "-c", 'echo "hook has $A"; test -n "$A"'], env = ["A"] } }

        [bots.second]
        script = "bot.py"
        env = { A = "secret:same" }
        lock = [{ env = "A" }]
        depends_on = [{ bot = "first", until = "ready" }]

        [bots.dies]
        script = "dies.py"
        env = { A = "secret:one" }
        restart = { policy = "never" }
        logs = { max = "64KB" }
    """)
    fleet.up(wait=False)
    fleet.until("second", reason="lock-held")
    eventually(lambda: fleet.detail("dies")["last_exit"], "it has ended")
    told = json.dumps(fleet.detail("dies"))
    assert TOKEN not in told and "with [redacted]" in told

    def hook() -> list[str]:
        with sqlite3.connect(f"file:{fleet.paths.database}?mode=ro", uri=True) as db:
            return [str(row[0]) for row in db.execute("SELECT event FROM events WHERE event LIKE '%after_start%'")]

    (event,) = eventually(hook, "the hook was run")
    assert json.loads(event)["outcome"] == "ok"
    log = fleet.paths.own_logs / "psvd.log"
    eventually(lambda: "hook has [redacted]" in log.read_text(), "its output is kept")
    closed = fleet.paths.bot_logs("dies")
    eventually(lambda: not [path for path in closed.glob("stdout.0*.log") if path.suffix == ".log"] and list(closed.glob("*.gz")), "it is compacted")
    text = b"".join(gzip.decompress(path.read_bytes()) for path in closed.glob("*.gz"))
    assert TOKEN.encode() not in text and b"first [redacted]" in text
    assert TOKEN not in log.read_text()


def test_a_bot_that_waits_for_its_values_is_not_ready(fleet: LiveFleet) -> None:
    """The time after which a program counts as ready begins when it has its values: a rollout is not to be passed by a vault that hangs."""
    fleet.write("vault.sh", "touch asked\nuntil [ -e open ]; do sleep 0.05; done\necho the-value\n")
    fleet.write("bot.py", SLEEPS)
    fleet.configure("""
        [global]
        script = "bot.py"
        ready = { after = "300ms" }

        [bots.waits]
        env = { A = "cmd:sh vault.sh" }

        [bots.plain]
        depends_on = [{ bot = "waits", until = "started" }]
    """)
    fleet.up(wait=False)
    eventually((fleet.folder / "asked").exists, "the vault is asked")
    fleet.call("bot.restart", names=["plain"])
    fleet.until("plain", state="RUNNING")
    assert fleet.bot("waits")["state"] == "STARTING"
    (fleet.folder / "open").touch()
    fleet.until("waits", state="RUNNING")


@pytest.mark.root
def test_a_bot_of_another_user_gets_the_value_and_not_the_key(fleet: LiveFleet, tmp_path: Path) -> None:
    """Everything is read before it takes its user."""
    above = (fleet.folder, tmp_path, *list(tmp_path.parents)[:-2])

    def is_written() -> bool:
        for folder in above:  # again and again: another pytest closes the folder that they share
            folder.chmod(folder.stat().st_mode | 0o055)
        return (fleet.folder / "out" / "other.json").exists()

    is_written()
    fleet.paths.ensure()
    SecretStore(fleet.paths).set("anna", TOKEN, "test")
    fleet.write("private.txt", "of a private file").chmod(0o600)
    (fleet.folder / "out").mkdir()
    (fleet.folder / "out").chmod(0o777)
    fleet.write("shows.py", SHOWS)
    fleet.configure("""
        [bots.other]
        script = "shows.py"
        args = ["out/other.json"]
        user = "nobody"
        env = { A = "secret:anna", B = "file:private.txt", C = "cmd:id -u", D = "cmd:cat private.txt" }
    """)
    fleet.up(code=install(fleet.paths))
    eventually(is_written, "the program has begun")
    assert seen(fleet, "out/other.json") == {"A": TOKEN, "B": "of a private file", "C": "0", "D": "of a private file", "E": None}
    assert Path(f"/proc/{fleet.bot('other')['pid']}").stat().st_uid != 0
