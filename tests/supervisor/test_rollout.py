"""Bots are rolled through a fresh zygote in batches; what does not become ready comes back on the old one, and nothing else moves."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import Visitor

import processsupervisor
from processsupervisor.cli.rollout import roll_bots
from processsupervisor.cli.session import Session
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import NoSupervisor, PsvError, Refused
from processsupervisor.launch.code import Code

GOOD = "VALUE = 1\n"
BETTER = "VALUE = 2  # a newer release\n"
BROKEN = "VALUE = 3  # a release that breaks one of its users\n"
BOTS = """
    import os, time
    import tinylib
    from processsupervisor import Bot
    print("library", tinylib.VALUE, flush=True)
    if tinylib.VALUE == 3 and os.environ.get("PICKY"):
        raise RuntimeError("tinylib 3 is not for me")
    if tinylib.VALUE == 2:
        time.sleep(float(os.environ.get("SLOW", "0")))
    bot = Bot()

    @bot.on_message
    async def answer(message):
        return f"heard {message.text}"
"""
TYPE = '[types.t]\nrun = "bots:bot"\npreload = ["tinylib"]\nrestart = { policy = "always", initial = "0s", base = "0s" }\n'

Event = dict[str, Any]


@pytest.fixture
def library(fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library folder beside the fleet, on PYTHONPATH, with one module that bots preload."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = folder / "tinylib.py"
    path.write_text(GOOD)
    fleet.write("bots.py", BOTS)
    return path


def _up(fleet: LiveFleet, names: str, code: Code | None = None, **env: str) -> dict[str, Event]:
    """Start bots of one type; `env` gives single bots a variable each: `b="PICKY=1"`."""
    text = TYPE
    for name in names:
        variable, _, value = env.get(name, "").partition("=")
        text += f"[bots.{name}]\ntype = \"t\"\n" + (f'env = {{ {variable} = "{value}" }}\n' if variable else "")
    fleet.configure(text)
    fleet.up(code=code)
    found = _details(fleet)
    states = {name: (row["state"], row["reason"], row["last_exit"]) for name, row in found.items()}
    assert all(row["state"] == "RUNNING" for row in found.values()), states
    return found


def _details(fleet: LiveFleet) -> dict[str, Event]:
    return {str(row["name"]): row for row in fleet.call("bot.status")}


def _roll(fleet: LiveFleet, on_event: Callable[[Event], None] = lambda _: None, **args: Any) -> tuple[list[Event], Event]:
    """Roll and return the events and the result."""
    events: list[Event] = []
    with ControlClient(fleet.paths, timeout_s=60) as client:
        stream = client.stream("fleet.rollout", args)
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                return events, end.value
            events.append(event)
            on_event(event)


def _zygotes(fleet: LiveFleet) -> dict[str, int]:
    return {str(p["role"]): int(p["pid"]) for p in fleet.call("fleet.status")["processes"] if p["role"].startswith("zygote")}


def _note(fleet: LiveFleet) -> str:
    return next((str(n["message"]) for n in fleet.call("fleet.status")["notes"] if n["subject"] == "rollout"), "")


def _lines(fleet: LiveFleet, bot: str) -> list[str]:
    return [line for line in fleet.output(bot).splitlines() if line.startswith("library")]


def test_a_good_rollout_changes_every_process_once_and_retires_the_old_zygote(fleet: LiveFleet, library: Path) -> None:
    """One generation up each, all from the next epoch, canary first, then a tenth at a time; nothing counts as a restart."""
    before = _up(fleet, "abcd")
    library.write_text(BETTER)
    events, result = _roll(fleet)
    after = _details(fleet)
    assert result["ok"], result
    assert [e["bots"] for e in events if e["kind"] == "batch"] == [["a"], ["b"], ["c"], ["d"]]
    assert [e["bot"] for e in events if e["kind"] == "bot"] == ["a", "b", "c", "d"]
    for name, old in before.items():
        assert after[name]["pid"] != old["pid"]
        assert (after[name]["generation"], after[name]["state"], after[name]["restarts"]) == (2, "RUNNING", 0)
        assert after[name]["via"] == old["via"].replace("-0", "-1")
        assert fleet.copies(name) == [after[name]["pid"]]
        eventually(lambda n=name: _lines(fleet, n) == ["library 1", "library 2"], "the new library is in use")
    eventually(lambda: [z[-2:] for z in _zygotes(fleet)] == ["-1"], "the old zygote is gone")
    assert _note(fleet) == ""


def test_the_first_batch_is_one_bot_of_each_type(fleet: LiveFleet, library: Path) -> None:
    """Then the batch size that was asked for; programs are just restarted, and what does not run is left alone."""
    types = TYPE + TYPE.replace("types.t", "types.u")
    bots = "".join(f'[bots.{name}]\ntype = "{name[0]}"\n' for name in ("t1", "t2", "t3", "u1", "u2"))
    command = '[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n'
    fleet.configure(types + bots + command)
    fleet.up()
    fleet.call("bot.stop", names=["u2"])
    pid = fleet.bot("x")["pid"]
    events, result = _roll(fleet, batch=5)
    assert result["ok"]
    assert result["left_alone"] == {"u2": "STOPPED"}
    assert [e["bots"] for e in events if e["kind"] == "batch"] == [["t1", "u1", "x"], ["t2", "t3"]]
    assert fleet.bot("x")["pid"] != pid
    assert fleet.bot("u2")["state"] == "STOPPED"


def test_a_bot_that_is_not_ready_comes_back_on_the_old_library_and_the_rollout_stops(
    fleet: LiveFleet, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I6: the one before it stays on the new, the ones after it are untouched and restart on the old, until a good one comes."""
    before = _up(fleet, "abc", b="PICKY=1")
    library.write_text(BROKEN)
    _, result = _roll(fleet)
    assert not result["ok"]
    assert (result["rolled"], result["not_rolled"]) == (["a"], ["b", "c"])
    for part in ("b did not become ready", "code", "tinylib 3 is not for me", "runs again on the old one"):
        assert part in result["message"], result["message"]
    after = _details(fleet)
    assert after["a"]["via"] != before["a"]["via"]
    assert after["c"]["pid"] == before["c"]["pid"]
    back = after["b"]
    assert (back["state"], back["generation"], back["restarts"], back["via"]) == ("RUNNING", 3, 0, before["b"]["via"])
    assert any("old zygote" in note and "did not become ready" in note for note in back["notes"])
    assert back["last_exit"]["generation"] == 2
    assert "new zygote" in back["last_exit"]["message"]
    assert "1 on the new zygote, 2 on the old one" in _note(fleet)
    eventually(lambda: _lines(fleet, "b") == ["library 1", "library 3", "library 1"], "the old library")
    os.kill(after["c"]["pid"], signal.SIGKILL)
    assert fleet.until("c", state="RUNNING", generation=2)
    assert fleet.detail("c")["via"] == before["c"]["via"]
    library.write_text(BETTER)
    assert roll_bots(Session(str(fleet.folder))) == 0
    assert "c  ready after" in (said := capsys.readouterr().out)
    assert said.endswith("rolled 3 bots\n")
    assert len({row["via"] for row in _details(fleet).values()}) == 1
    eventually(lambda: len(_zygotes(fleet)) == 1, "both older zygotes are gone")
    assert _note(fleet) == ""


@pytest.mark.parametrize("text", ["raise ImportError('not any more')\n", "import os\nos._exit(3)\n"])
def test_without_a_fresh_zygote_nothing_is_touched(fleet: LiveFleet, library: Path, text: str) -> None:
    """A library that cannot be imported, or takes the zygote along, changes nothing."""
    before = _up(fleet, "ab")
    zygotes = _zygotes(fleet)
    library.write_text(text)
    with pytest.raises(PsvError, match="new zygote cannot be made"):
        _roll(fleet)
    assert {n: d["pid"] for n, d in _details(fleet).items()} == {n: d["pid"] for n, d in before.items()}
    eventually(lambda: _zygotes(fleet) == zygotes, "the old zygote is the only one")
    assert _note(fleet) == ""


def test_psvd_killed_in_mid_rollout_leaves_a_state_that_the_next_one_explains(
    fleet: LiveFleet, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All adopted, nothing rolled by itself, the old zygote kept for those that came from it; rolling again finishes."""
    before = _up(fleet, "abc", b="SLOW=2")
    library.write_text(BETTER)
    ended: list[int] = []
    client = threading.Thread(target=lambda: ended.append(roll_bots(Session(str(fleet.folder)))))
    client.start()
    eventually(lambda: fleet.bot("b")["state"] == "STARTING", "b is on its way")
    fleet.kill_role("psvd")
    client.join(30)
    assert ended == [1]
    said = capsys.readouterr()
    assert "a  ready after" in said.out
    assert "interrupted" in said.err
    eventually(fleet.answers, "a new psvd")
    b = fleet.until("b", state="RUNNING")
    after = _details(fleet)
    assert after["c"]["pid"] == before["c"]["pid"]
    assert after["a"]["via"] != before["a"]["via"]
    assert after["a"]["generation"] == 2
    assert fleet.copies("b") == [b["pid"]]
    assert "interrupted; 2 on the new zygote, 1 on the old one" in _note(fleet)
    os.kill(after["c"]["pid"], signal.SIGKILL)
    fleet.until("c", state="RUNNING", generation=2)
    assert fleet.detail("c")["via"] == before["c"]["via"], "its later restarts use the old zygote"
    assert _roll(fleet)[1]["ok"]
    eventually(lambda: len(_zygotes(fleet)) == 1, "one zygote is left")
    assert _note(fleet) == ""


def test_a_command_on_a_bot_being_rolled_wins(fleet: LiveFleet, library: Path) -> None:
    """The bot is stopped for good, the others are rolled, and a second rollout meanwhile is refused."""
    _up(fleet, "abc", b="SLOW=5")
    library.write_text(BETTER)
    refused: list[str] = []

    def meddle(event: Event) -> None:
        if event["kind"] == "batch" and event["bots"] == ["b"]:
            eventually(lambda: fleet.bot("b")["state"] == "STARTING", "b is on its way")
            with pytest.raises(PsvError) as caught:
                fleet.call("fleet.rollout")
            refused.append(caught.value.code)
            assert fleet.call("bot.stop", names=["b"])[0]["ok"]

    _, result = _roll(fleet, meddle)
    assert refused == [Refused.code]
    assert result["ok"]
    assert (result["rolled"], result["let_go"]) == (["a", "c"], ["b"])
    assert (fleet.bot("b")["state"], fleet.bot("b")["wanted"]) == ("STOPPED", "down")
    assert fleet.copies("b") == []


def test_down_in_mid_rollout_ends_everything(fleet: LiveFleet, library: Path) -> None:
    """Nothing is left, both zygotes included."""
    _up(fleet, "ab", a="SLOW=5")
    library.write_text(BETTER)

    def meddle(event: Event) -> None:
        if event["kind"] == "batch":
            eventually(lambda: fleet.bot("a")["state"] == "STARTING", "a is on its way")
            fleet.down()

    with contextlib.suppress(NoSupervisor):  # psvd may be gone before its last line is out
        assert "going down" in _roll(fleet, meddle)[1]["message"]
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_the_fresh_zygote_killed_in_mid_rollout_is_made_again(fleet: LiveFleet, library: Path) -> None:
    """Its bots go on, the next ones come from its successor."""
    before = _up(fleet, "abc")
    library.write_text(BETTER)

    def meddle(event: Event) -> None:
        if event.get("outcome") == "rolled" and event["bot"] == "a":
            os.kill(next(pid for role, pid in _zygotes(fleet).items() if role.endswith("-1")), signal.SIGKILL)

    _, result = _roll(fleet, meddle)
    assert result["ok"], result
    assert {d["generation"] for d in _details(fleet).values()} == {2}
    assert not {d["via"] for d in _details(fleet).values()} & {d["via"] for d in before.values()}


def test_without_the_old_zygote_the_restart_policy_follows(fleet: LiveFleet, library: Path) -> None:
    """There is nothing to go back to, and it is said."""
    _up(fleet, "abc", b="PICKY=1")
    library.write_text(BROKEN)

    def meddle(event: Event) -> None:
        if event["kind"] == "batch" and event["bots"] == ["a"]:
            os.kill(next(pid for role, pid in _zygotes(fleet).items() if role.endswith("-0")), signal.SIGKILL)

    _, result = _roll(fleet, meddle)
    assert not result["ok"]
    assert "the old one is gone" in result["message"]
    eventually(lambda: fleet.bot("b")["restarts"] > 0, "its policy follows")
    assert len(_zygotes(fleet)) == 1


def test_a_bot_killed_while_it_is_rolled_is_neither_lost_nor_doubled(fleet: LiveFleet, library: Path) -> None:
    """SIGKILL before it is ready: it is back on the old zygote, and the rollout says so."""
    _up(fleet, "ab", a="SLOW=5")
    library.write_text(BETTER)

    def meddle(event: Event) -> None:
        if event["kind"] == "batch":
            os.kill(eventually(lambda: fleet.bot("a")["state"] == "STARTING" and fleet.bot("a")["pid"], "a is on its way"), signal.SIGKILL)

    _, result = _roll(fleet, meddle)
    assert not result["ok"]
    assert "SIGKILL" in result["message"]
    found = fleet.until("a", state="RUNNING", generation=3)
    assert fleet.copies("a") == [found["pid"]]
    assert found["restarts"] == 0


def test_a_rollout_stops_after_the_batch_when_its_client_leaves(fleet: LiveFleet, library: Path) -> None:
    """Ctrl-C ends it at a safe place: nothing is half done, and status says how far it came."""
    before = _up(fleet, "abc", a="SLOW=1")
    library.write_text(BETTER)
    with ControlClient(fleet.paths) as client:
        stream = client.stream("fleet.rollout", {})
        while next(stream)["kind"] != "batch":
            pass
    eventually(lambda: "whoever asked for it left" in _note(fleet), "it stops")
    after = _details(fleet)
    assert (after["a"]["state"], after["a"]["generation"]) == ("RUNNING", 2)
    assert (after["b"]["pid"], after["c"]["pid"]) == (before["b"]["pid"], before["c"]["pid"])


def test_rollouts_that_fail_again_and_again_pile_nothing_up(
    fleet: LiveFleet, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between two tries there are the old zygote, which works, and the newest; the old one is the same after all of them."""
    before = _up(fleet, "ab", a="PICKY=1")
    for number in range(2):
        library.write_text(BROKEN + "#" * number)
        assert roll_bots(Session(str(fleet.folder))) == 1
        assert "the rollout stopped: a did not become ready on the new zygote" in capsys.readouterr().err
        eventually(lambda: len(_zygotes(fleet)) == 2, "the zygote of the try before is gone")
    after = _details(fleet)
    assert after["a"]["via"] == before["a"]["via"]
    assert after["b"]["pid"] == before["b"]["pid"]
    assert (after["a"]["generation"], after["a"]["restarts"]) == (5, 0)


def test_a_new_keeper_ends_both_zygotes_of_a_stopped_rollout(fleet: LiveFleet, library: Path) -> None:
    """What the old ones would fork is not its child: bots go on, later starts are from a zygote of its own, none is left behind."""
    _up(fleet, "ab", a="PICKY=1")
    library.write_text(BROKEN)
    assert not _roll(fleet)[1]["ok"]
    older = list(_zygotes(fleet).values())
    pids = {name: row["pid"] for name, row in _details(fleet).items()}
    fleet.kill_role("psvd")  # its successor has no link to the zygotes yet
    eventually(fleet.answers, "a new psvd")
    assert fleet.keeper is not None
    fleet.keeper.kill()
    fleet.keeper.wait(5)
    fleet.up(wait=False)
    eventually(lambda: not any(n["subject"] == "keeper" for n in fleet.call("fleet.status")["notes"]), "psvd meets the new keeper")
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in older), "the zygotes of the old keeper are ended")
    assert {name: row["pid"] for name, row in _details(fleet).items()} == pids
    assert _note(fleet) == ""
    assert fleet.call("bot.restart", names=["b"])[0]["ok"]
    assert fleet.copies("b") == [fleet.bot("b")["pid"]]


def test_an_older_zygote_that_knows_no_way_back_is_not_relied_on(fleet: LiveFleet, library: Path, tmp_path: Path) -> None:
    """It answers `stale` all the same: the bot follows its policy on the new one, and it is started exactly once."""
    package = Path(processsupervisor.__file__).parent
    shutil.copytree(package, tmp_path / "earlier" / "processsupervisor", ignore=shutil.ignore_patterns("__pycache__"))
    main = tmp_path / "earlier/processsupervisor/zygote/main.py"
    text = main.read_text().replace('message.get("stale_ok")', "False").replace("_CHECK_FILES_EVERY_S = 1.0", "_CHECK_FILES_EVERY_S = 0.0")
    main.write_text(text)
    before = _up(fleet, "ab", Code(main.parents[1], sys.executable), a="PICKY=1")
    library.write_text(BROKEN)
    _, result = _roll(fleet)
    assert not result["ok"]
    eventually(lambda: fleet.bot("a")["restarts"] > 0, "its policy follows")
    assert fleet.detail("b")["pid"] == before["b"]["pid"]
    assert len(fleet.copies("a")) <= 1
    library.write_text(BETTER)
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    eventually(lambda: _lines(fleet, "a")[-1] == "library 2", "the corrected library")


@pytest.fixture
def _stop_posting() -> Iterator[threading.Event]:
    done = threading.Event()
    yield done
    done.set()


def test_a_client_loses_no_message_over_a_rollout(fleet: LiveFleet, library: Path, _stop_posting: threading.Event) -> None:
    """What web.sock accepted is answered exactly once, before, during and after."""
    _up(fleet, "ab")
    library.write_text(BETTER)
    visitor, accepted = Visitor(fleet, "b"), []

    def post() -> None:
        number = 0
        while not _stop_posting.is_set():
            try:
                is_taken = visitor.post(f"m{number}", f"hi {number}").get("op") == "accepted"
            except (OSError, ValueError):
                is_taken = False  # the same message again, as every client of ours does
            if is_taken:
                accepted.append(number)
                number += 1
            _stop_posting.wait(0.01)

    client = threading.Thread(target=post)
    client.start()
    eventually(lambda: len(accepted) > 5, "messages before")
    assert _roll(fleet)[1]["ok"]
    during = len(accepted)
    eventually(lambda: len(accepted) > during + 5, "messages after")
    _stop_posting.set()
    client.join(10)
    eventually(lambda: len(visitor.replies()) == len(accepted), "all are answered")
    assert visitor.replies() == {f"m{n}": [f"heard hi {n}"] for n in accepted}
