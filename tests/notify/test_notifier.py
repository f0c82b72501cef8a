"""The notifier in a real fleet: what is told, at least once whatever is killed, who misses psvd, and the dead man's switch."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from typing import Any

import pytest
from tests.notify.conftest import Receiver
from tests.notify.mailserver import MailServer
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.units import parse_duration

pytestmark = pytest.mark.slow

QUICK = """
[bots.{name}]
command = ["sh", "-c", "test -e {name}.good && exec sleep 1000; exit 78"]
ready = {{ after = "0s" }}
restart = {{ stable_after = "0.5s" }}
autostart = false
"""


LOOP = f"""
[bots.loop]
command = ["{sys.executable}", "crash.py"]
ready = {{ after = "0s" }}
restart = {{ base = "0s", window = [{{ count = 1, within = "1m" }}] }}
"""


def begin(fleet: LiveFleet, receiver: Receiver, more: str = "", bots: tuple[str, ...] = ("a",), others: str = "") -> None:
    channel = f'[notify.ops]\nto = "webhook"\nurl = "{receiver.url}/hook"\n{more}\n'
    fleet.configure(channel + others + "".join(QUICK.format(name=name) for name in bots))
    fleet.up()
    notifier(fleet)


def notifier(fleet: LiveFleet) -> int:
    """Return the pid of the notifier, once it holds its lock and has begun its queue."""

    def pid() -> int | None:
        try:
            held = int(json.loads(fleet.paths.role_lock("notify").read_text())["pid"])
            os.kill(held, 0)
        except (OSError, ValueError, KeyError):
            return None
        return held if (fleet.paths.data / "notify.db").exists() else None

    return int(eventually(pid, "a notifier"))


def fail(fleet: LiveFleet, bot: str) -> None:
    fleet.call("bot.start", names=[bot], wait=False, timeout_s=1.0)
    fleet.until(bot, state="FAILED")


class Absence:
    """psvd is killed and cannot come back: its lock is held by somebody else."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._descriptor = os.open(fleet.paths.role_lock("psvd"), os.O_RDWR)
        waiting = threading.Thread(target=fcntl.flock, args=(self._descriptor, fcntl.LOCK_EX))
        waiting.start()
        eventually(lambda: _waits_for_lock(os.getpid()), "the test stands in line for the lock of psvd")
        fleet.kill_role("psvd")
        waiting.join()

    def end(self) -> None:
        os.close(self._descriptor)


def _waits_for_lock(pid: int) -> bool:
    with open("/proc/locks") as file:
        return any("->" in line and f" {pid} " in line for line in file)


def test_a_fleet_without_a_channel_has_no_notifier(fleet: LiveFleet) -> None:
    """It costs only who wants it."""
    fleet.configure('[bots.a]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }')
    fleet.up()
    assert fleet.role_pid("notify") == 0
    assert not (fleet.paths.data / "notify.db").exists()


def test_told_and_over(fleet: LiveFleet, receiver: Receiver) -> None:
    """A bot that fails is told with its reason, one that loops as that, and a recovery when it runs stably; not what was asked for."""
    fleet.write("crash.py", "import os\nos.environ['NOT-TOLD']\n")
    begin(fleet, receiver, others=LOOP)
    fail(fleet, "a")
    (failed,) = receiver.until("failed")
    assert (failed["bot"], failed["fleet"], failed["count"]) == ("a", "test", 1)
    assert "exited with 78" in failed["text"]
    fleet.write("a.good", "")
    fleet.call("bot.start", names=["a"], wait=True, timeout_s=20.0)
    (recovered,) = receiver.until("recovered")
    assert recovered["text"].endswith("a: failed is over after " + recovered["text"].rpartition(" ")[2])
    fleet.call("bot.stop", names=["a"], wait=True, timeout_s=20.0)
    facts: list[dict[str, Any]] = [p for p in fleet.call("fleet.status")["processes"] if p["role"] == "notify"]
    assert facts[0]["memory_bytes"] < 20 << 20  # TLS and mail are loaded by the sending process only
    (loop,) = receiver.until("crash-loop")
    assert "loop: ends again and again (code)" in loop["text"] and "last exit: exited with 1, KeyError at crash.py:2" in loop["text"]
    assert "NOT-TOLD" not in json.dumps(loop) and loop["bots"][0]["exception"] == {"type": "KeyError", "file": "crash.py", "line": 2}
    assert loop["text"].endswith(f"psv -C {fleet.paths.folder} bot status loop") and loop["bots"][0]["exit_code"] == 1
    fleet.down()
    assert sorted(m["cause"] for m in receiver.messages()) == ["crash-loop", "failed", "recovered"]


@pytest.mark.parametrize("victims", [("notify",), ("psvd", "notify")])
def test_kill_9_during_a_notification(fleet: LiveFleet, receiver: Receiver, victims: tuple[str, ...]) -> None:
    """Killed while the server has the message and has not answered: it arrives once or twice, under one id, never not at all."""
    begin(fleet, receiver)
    pids = {"psvd": fleet.role_pid("psvd"), "notify": notifier(fleet)}
    receiver.gate.clear()
    fail(fleet, "a")
    receiver.until("failed")
    for victim in victims:
        os.kill(pids[victim], signal.SIGKILL)
    eventually(lambda: fleet.answers() and fleet.role_pid("notify") not in (0, pids["notify"]), "all are back")
    receiver.gate.set()

    def is_done() -> bool:
        with sqlite3.connect(fleet.paths.data / "notify.db") as db:
            return db.execute("SELECT (SELECT count(*) FROM message) + (SELECT sum(count) FROM gathered)").fetchone() == (0,)

    eventually(is_done, "nothing waits")
    messages = receiver.messages("failed")
    assert 1 <= len(messages) <= 2
    assert len({m["id"] for m in messages}) == 1


def test_kill_9_between_the_event_and_the_queue(fleet: LiveFleet, receiver: Receiver) -> None:
    """The bot fails while the notifier is stopped; then it and psvd are killed. The next ones tell it, round after round."""
    names = ("a", "b", "c")
    begin(fleet, receiver, bots=names)
    for number, name in enumerate(names, 1):
        pid = notifier(fleet)
        os.kill(pid, signal.SIGSTOP)
        fail(fleet, name)
        assert len(_bots_told(receiver)) == number - 1
        for victim in (fleet.role_pid("psvd"), pid):
            os.kill(victim, signal.SIGKILL)
        eventually(lambda number=number: len(_bots_told(receiver)) == number, f"{name} is told")
        eventually(fleet.answers, "psvd is back")


def test_kill_9_before_the_first_note(fleet: LiveFleet, receiver: Receiver) -> None:
    """The very first notifier is killed before it has a file, and psvd with it: the next ones begin where the fleet was started."""
    begin(fleet, receiver)
    pid = notifier(fleet)
    os.kill(pid, signal.SIGSTOP)
    for file in fleet.paths.data.glob("notify.db*"):
        file.unlink()
    fail(fleet, "a")
    psv_db = f"file:{fleet.paths.database}?mode=ro"
    query = "SELECT 1 FROM events WHERE event LIKE '%\"to\": \"FAILED\"%'"
    with contextlib.closing(sqlite3.connect(psv_db, uri=True)) as db:
        eventually(lambda: db.execute(query).fetchone(), "the failure is on disk")
    for victim in (fleet.role_pid("psvd"), pid):
        os.kill(victim, signal.SIGKILL)
    assert receiver.until("failed")[0]["bot"] == "a"


def _bots_told(receiver: Receiver) -> set[str]:
    return {about["bot"] for message in receiver.messages("failed") for about in message["bots"]}


def test_a_server_that_comes_back_gets_it(fleet: LiveFleet, receiver: Receiver) -> None:
    """Refused, said in status, tried again; the fleet goes down and up, and it is delivered under the same id, and status is clean again.

    A mail that was refused for one of two addresses is tried for that one only.
    """
    mails = MailServer()
    mails.refused = {"b@example.org"}
    mail = f'[notify.mail]\nto = "email"\ntls = "none"\nserver = "{mails.address}"\nsender = "psv@example.org"\non = ["failed"]\n'
    begin(fleet, receiver, others=mail + 'address = ["a@example.org", "b@example.org"]\n')
    receiver.status = 503
    fail(fleet, "a")
    first = receiver.until("failed", 2)[0]["id"]
    note = eventually(lambda: [n for n in fleet.call("fleet.status")["notes"] if n["subject"] == "notify"], "a note")
    assert "ops does not get what it is told (1 waiting): HTTP 503" in note[0]["message"]
    eventually(lambda: mails.asked_for.count("b@example.org") >= 2, "another try for b")
    fleet.down()
    receiver.got.clear()
    receiver.status = 200
    mails.refused = set()
    fleet.up()
    assert receiver.until("failed")[0]["id"] == first
    eventually(lambda: not [n for n in fleet.call("fleet.status")["notes"] if n["subject"] == "notify"], "no note")
    assert eventually(lambda: mails.taken_for[1:], "the mail for b") == [["b@example.org"]]
    assert mails.taken_for[0] == ["a@example.org"]
    mails.close()


def test_psvd_that_does_not_come_back_is_told(fleet: LiveFleet, receiver: Receiver) -> None:
    """The keeper lives and cannot bring psvd up: the notifier misses it, says so once, killed itself or not, and says when it is back."""
    begin(fleet, receiver, 'away = "1s"\non = []')
    pid = notifier(fleet)
    absence = Absence(fleet)
    os.kill(pid, signal.SIGKILL)
    (away,) = receiver.until("psvd")
    assert "psvd has given no answer" in away["text"] and "nothing is supervised" in away["text"]
    absence.end()
    (back,) = receiver.until("recovered")
    assert "psvd is back after" in back["title"]
    assert len(receiver.messages("psvd")) == 1
    eventually(lambda: fleet.answers() and fleet.role_pid("notify") == notifier(fleet), "psvd knows the notifier that the keeper has started")


def test_other_settings_reach_the_notifier(fleet: LiveFleet, receiver: Receiver) -> None:
    """A psvd that takes over with another bot, as after psv bot add, has a notifier that knows it: when it counts as recovered, say."""
    begin(fleet, receiver, 'repeat = "1s"')
    pid = notifier(fleet)
    fleet.write("fleet.toml", (fleet.paths.folder / "fleet.toml").read_text() + QUICK.format(name="new").replace("0.5s", "1h"))
    loaded = load_fleet(fleet.paths.folder)
    assert loaded.applied is not None
    write_applied(fleet.paths, loaded.applied)
    fleet.kill_role("psvd")
    eventually(lambda: notifier(fleet) != pid, "another notifier")
    fail(fleet, "new")
    receiver.until("failed")
    fleet.write("new.good", "")
    fail(fleet, "a")
    fleet.call("bot.start", names=["new"], wait=True, timeout_s=20.0)
    fleet.write("a.good", "")
    fleet.call("bot.start", names=["a"], wait=True, timeout_s=20.0)
    assert [message["bot"] for message in receiver.until("recovered")] == ["a"]


def test_settings_that_are_changed_live_reach_the_notifier(fleet: LiveFleet, receiver: Receiver) -> None:
    """psvd lives on, and takes over another `stable_after`: a notifier that knows it takes the place of the one that does not."""
    begin(fleet, receiver)
    pid, psvd = notifier(fleet), fleet.role_pid("psvd")
    _, _, text = (fleet.folder / "fleet.toml").read_text().partition("[notify.ops]")
    result = fleet.apply(f"[notify.ops]{text}".replace("0.5s", "1h"))
    assert (result["ok"], result["touched"], fleet.role_pid("psvd")) == (True, [], psvd)
    eventually(lambda: notifier(fleet) != pid, "another notifier")
    fail(fleet, "a")
    assert receiver.until("failed")


def test_a_keeper_that_is_gone_is_told(fleet: LiveFleet, receiver: Receiver) -> None:
    """Nothing is started meanwhile; the notifier of the next keeper says that it is back."""
    begin(fleet, receiver, 'away = "1s"\non = []')
    assert fleet.keeper is not None
    fleet.keeper.kill()
    fleet.keeper.wait()
    (away,) = receiver.until("keeper")
    assert "psv up brings a new one" in away["text"]
    fleet.up()
    (back,) = receiver.until("recovered")
    assert "the keeper is back after" in back["title"]
    said = re.search(r"no answer for (\d+) s", away["text"])
    assert said is not None and parse_duration(back["title"].rpartition(" ")[2]) >= int(said[1])  # from when it was last heard


def test_the_dead_mans_switch(fleet: LiveFleet, receiver: Receiver) -> None:
    """Called again and again while the fleet is well; not while a bot is FAILED, not without psvd, and then again."""
    begin(fleet, receiver, f'heartbeat = "{receiver.url}/beat"\nheartbeat_every = "1s"\naway = "1s"\non = []')
    _beats(receiver, 2)
    fail(fleet, "a")
    _silence(receiver)
    fleet.write("a.good", "")
    fleet.call("bot.start", names=["a"], wait=True, timeout_s=20.0)
    _beats(receiver, 1)
    absence = Absence(fleet)
    receiver.until("psvd")
    _silence(receiver)
    absence.end()
    _beats(receiver, 1)


def _beats(receiver: Receiver, count: int) -> None:
    known = len(receiver.got)
    eventually(lambda: sum(path == "/beat" for _, path, _ in receiver.got[known:]) >= count, "heartbeats")


def _silence(receiver: Receiver) -> None:
    """Wait until the last beat is three intervals old: a switch that is not held back calls each second."""
    def last() -> tuple[int, float]:
        return len([1 for _, path, _ in receiver.got if path == "/beat"]), time.monotonic()

    count, since = last()

    def is_silent() -> bool:
        nonlocal count, since
        now, at = last()
        if now != count:
            count, since = now, at
        return at - since > 3.0

    eventually(is_silent, "no heartbeat", 12.0)


def test_nothing_of_it_outlives_the_fleet(fleet: LiveFleet, receiver: Receiver) -> None:
    """Down while a message hangs in a server: the notifier and the sending process end with the rest."""
    begin(fleet, receiver)
    receiver.gate.clear()
    fail(fleet, "a")
    receiver.until("failed")
    pid = notifier(fleet)
    began = time.monotonic()
    fleet.down()
    assert time.monotonic() - began < 8
    for entry in [str(pid), *(p for p in os.listdir("/proc") if p.isdigit())]:
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                line = file.read()
            with open(f"/proc/{entry}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        assert not (b"notify." in line and os.fsencode(fleet.folder) in line + environment), line
