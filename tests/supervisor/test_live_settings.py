"""Other settings in a whole fleet whose bots run: psvd is replaced over them, and no bot is."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import Visitor

from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import load_fleet

SOURCE = """
    import asyncio, logging, os, pathlib
    from processsupervisor import Bot, Refused
    bot = Bot()
    asked = pathlib.Path(f"asked-{os.environ['WHO']}")

    @bot.on_config_change
    async def changed(old, new):
        note(f"{old['n']}-{new['n']}")
        while new["n"] == 15 and not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
        if new["n"] == 13 and os.environ["WHO"] == "shy":
            raise Refused("13 brings bad luck")
        note(f"{new['n']}.")

    def note(words):
        with asked.open("a") as file:
            file.write(words + " ")

    @bot.on_start
    async def begin():
        asyncio.get_running_loop().create_task(talk())

    async def talk():
        while True:
            logging.getLogger("talk").debug("debug of talk at %s", bot.config["n"])
            await asyncio.sleep(0.05)
"""
WITHOUT = SOURCE.replace("    @bot.on_config_change\n", "")
FLEET = """
    [global]
    options = {{ n = {n} }}
    log_level = "{level}"

    [bots]
    bold = {{ run = "bots:bot", env = {{ WHO = "bold" }} }}
    shy = {{ run = "bots:bot", env = {{ WHO = "shy" }} }}
    without = {{ run = "without:bot", env = {{ WHO = "without" }}, options = {{ n = 1 }} }}
    script = {{ script = "idle.py", ready = {{ after = "0s" }} }}
"""
BOTS = ("bold", "shy", "without", "script")


def _apply(fleet: LiveFleet, n: int, level: str = "info", spec: dict[str, Any] | None = None) -> None:
    """Have the next psvd find another configuration; what no key of fleet.toml says yet goes into every spec."""
    head = '[fleet]\nname = "test"\n[web]\nenabled = false\n'
    fleet.write("fleet.toml", head + textwrap.dedent(FLEET.format(n=n, level=level)))
    loaded = load_fleet(fleet.folder)
    assert loaded.applied is not None, loaded.problems
    for bot in loaded.applied["bots"]:
        bot.update(spec or {})  # type: ignore[typeddict-item]
    fleet.paths.ensure()
    write_applied(fleet.paths, loaded.applied)


def _up(fleet: LiveFleet) -> dict[str, int]:
    fleet.write("bots.py", SOURCE)
    fleet.write("without.py", WITHOUT)
    fleet.write("idle.py", "import time\ntime.sleep(1000)\n")
    _apply(fleet, 1)
    fleet.up()
    return _pids(fleet)


def _pids(fleet: LiveFleet) -> dict[str, int]:
    found = {name: fleet.bot(name) for name in BOTS}
    assert all(bot["generation"] == 1 and bot["pid"] for bot in found.values()), {n: (b, fleet.output(n)) for n, b in found.items()}
    return {name: int(bot["pid"]) for name, bot in found.items()}


def _asked(fleet: LiveFleet, who: str) -> list[str]:
    path = fleet.folder / f"asked-{who}"
    return path.read_text().split() if path.exists() else []


def _notes(fleet: LiveFleet) -> list[str]:
    return [f"{note['subject']} {note['message']}" for note in fleet.call("fleet.status")["notes"] if "other settings" in note["message"]]


def test_running_bots_take_other_settings_and_none_is_restarted(fleet: LiveFleet) -> None:
    """A paused one too; a refusal is told until it is over; log levels reach those that take no options, and their output shows it."""
    pids = _up(fleet)
    fleet.call("bot.pause", names=["bold"])
    _apply(fleet, 13)
    fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and _asked(fleet, "bold"), "the paused one is asked")
    expected = "shy runs with other settings than its fleet: refused: 13 brings bad luck"
    eventually(lambda: fleet.answers() and _notes(fleet) == [expected], "the refusal is told")
    assert fleet.until("bold", state="PAUSED")["generation"] == 1
    assert all("debug of talk" not in fleet.output(name) for name in ("bold", "shy", "without"))
    _apply(fleet, 2, "debug")
    fleet.kill_role("psvd")
    for name, lines in {"bold": "at 2", "shy": "at 2", "without": "at 1"}.items():
        eventually(lambda name=name, lines=lines: f"debug of talk {lines}" in fleet.output(name), f"debug lines of {name}")
    eventually(lambda: fleet.answers() and not _notes(fleet), "the refusal is over")
    assert (_asked(fleet, "bold"), _asked(fleet, "shy"), _asked(fleet, "without")) == (["1-13", "13.", "13-2", "2."], ["1-13", "1-2", "2."], [])
    _apply(fleet, 2, "debug", {"log_levels": {"talk": "error"}})
    fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and _is_quiet(fleet, "without"), "the logger that is named says nothing")
    assert _pids(fleet) == pids


def _is_quiet(fleet: LiveFleet, name: str) -> bool:
    """Tell whether nothing is written while a bot handles a message, which takes a part of a second."""
    before = fleet.output(name)
    visitor = Visitor(fleet, name)
    for number in range(20):
        visitor.post(f"quiet-{len(before)}-{number}", "/about")
    return fleet.output(name) == before


def test_psvd_killed_between_push_and_answer_is_made_good_by_the_next(fleet: LiveFleet) -> None:
    """The bot takes the change while no psvd is there, or while the next one wants the old values: it ends with what is wanted."""
    pids = _up(fleet)
    _apply(fleet, 15)
    fleet.kill_role("psvd")
    eventually(lambda: _asked(fleet, "bold") == ["1-15"] == _asked(fleet, "shy"), "the hooks run")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd answers")
    (fleet.folder / "go").touch()
    eventually(lambda: _both(fleet, "1-15 15."), "taken once")
    (fleet.folder / "go").unlink()
    _apply(fleet, 3)
    fleet.kill_role("psvd")
    eventually(lambda: _both(fleet, "1-15 15. 15-3 3."), "brought back to another value")
    _apply(fleet, 15)
    fleet.kill_role("psvd")
    eventually(lambda: _both(fleet, "1-15 15. 15-3 3. 3-15"), "the hooks run again")
    _apply(fleet, 3)  # the next psvd undoes it, and meets bots that have not answered yet
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd answers")
    (fleet.folder / "go").touch()
    eventually(lambda: _both(fleet, "1-15 15. 15-3 3. 3-15 15. 15-3 3."), "taken back")
    assert _pids(fleet) == pids
    assert _events(fleet) == []


def _both(fleet: LiveFleet, noted: str) -> bool:
    """Tell whether both hooks noted exactly this: NEW. says that they let it pass."""
    return all(_asked(fleet, who) == noted.split() for who in ("bold", "shy"))


def _events(fleet: LiveFleet) -> list[str]:
    return [json.dumps(note) for note in fleet.call("fleet.status")["notes"]]


def test_a_bot_starts_with_the_digest_of_its_settings(fleet: LiveFleet) -> None:
    """So that nothing is given to it anew at its first hello, nor to one that crashed over a change."""
    _up(fleet)
    given = json.loads(Path(fleet.paths.bot_run("bold") / "spec.json").read_text())["settings_digest"]
    assert len(given) == 64
    assert _asked(fleet, "bold") == []


def test_references_are_read_by_the_keeper_that_is_there_now(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper that started the bot was killed, and another one came: other options with references reach the bot all the same."""
    monkeypatch.setenv("WORD", "of-the-environment")
    bot = """
        from processsupervisor import Bot, Refused
        bot = Bot()

        @bot.on_config_change
        async def changed(old, new):
            print(new["n"], new["word"], flush=True)
            if new["n"] == 3:
                raise Refused("no login with " + new["word"])
    """
    fleet.write("bots.py", bot)
    one = '[bots.one]\nrun = "bots:bot"\noptions = {{ word = "{}:WORD", n = {} }}\n'
    fleet.configure(one.format("literal", 1))
    fleet.up()
    assert fleet.keeper is not None
    pid = fleet.bot("one")["pid"]
    fleet.keeper.kill()
    fleet.keeper.wait()
    fleet.up()
    eventually(lambda: fleet.role_pid("keeper") == fleet.keeper.pid, "psvd has the new keeper")
    result = fleet.apply(one.format("env", 2))
    assert (result["ok"], fleet.bot("one")["pid"]) == (True, pid), result
    eventually(lambda: "2 of-the-environment" in fleet.output("one"), "the bot has the value")
    refused = fleet.apply(one.format("env", 3))
    assert "no login with [redacted]" in refused["message"]  # whatever an author says of it
