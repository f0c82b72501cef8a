"""Values from elsewhere in a real fleet: they reach the program and nothing else, and what is wrong with one hits its bot only."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.config.secretstore import SecretStore
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
