"""The notifier's connection to psvd, against a socket that answers as psvd does."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

from tests.supervisor.live import eventually

from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.notifier import Notifier
from processsupervisor.notify.psvdlink import PsvdLink


def test_events_that_were_dropped_on_the_way_are_read_again(tmp_path: Path) -> None:
    """psvd tells faster than one reads: the notifier begins anew behind what it has; what is gone for good is asked for once."""
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "f"\n[notify.ops]\nto = "command"\ncommand = ["true"]\n[bots.a]\ncommand = ["true"]\n')
    loaded = load_fleet(tmp_path)
    assert loaded.applied is not None
    paths = FleetPaths(tmp_path)
    write_applied(paths, loaded.applied)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.socket("psv")))
        listener.listen()
        notifier = Notifier(paths, loaded.applied, "0")

        def serve(*events: dict[str, object]) -> str:
            """Take the notifier's next connection, tell events, and return what it wants to begin behind."""
            listener.settimeout(0)

            def connected() -> socket.socket | None:
                notifier._turn(0.01)
                with contextlib.suppress(BlockingIOError):
                    return listener.accept()[0]
                return None

            psvd: socket.socket = eventually(connected, "a connection")
            told.append(psvd)
            for event in ({"kind": "begin", "life": "one", "seq": 9}, *events):
                psvd.sendall(json.dumps({"id": 1, "event": event}).encode() + b"\n")
            return str(json.loads(psvd.makefile().readline())["args"]["after"])

        told: list[socket.socket] = []
        lost = {"kind": "lost", "count": 3}
        assert serve({"seq": 5, "kind": "ready", "bot": "a"}, lost, {"seq": 9, "kind": "ready", "bot": "a"}) == "0-"
        assert serve(lost, {"seq": 9, "kind": "ready", "bot": "a"}) == "5-one"
        eventually(lambda: [notifier._turn(0.01), notifier._after == "9-one"][1], "the events behind the gap")
        assert notifier._psvd.fileno() >= 0
        for psvd in told:
            psvd.close()
        notifier._psvd.drop()


def test_a_question_that_is_refused_is_asked_again(tmp_path: Path) -> None:
    """psvd that cannot say now how the fleet does is asked anew: the dead man's switch is not silent for ever."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.socket("psv")))
        listener.listen()
        link = PsvdLink(paths, 60.0)
        assert link.tick("0-")
        psvd, _ = listener.accept()
        with psvd, psvd.makefile("rw") as asked:
            assert json.loads(asked.readline())["op"] == "fleet.events"
            for answer in ({"error": {"code": "system", "message": "not now"}}, {"result": {"bots": {}}}):
                link.ask_status()
                assert json.loads(asked.readline())["op"] == "fleet.status"
                asked.write(json.dumps({"id": 3, **answer}) + "\n")
                asked.flush()
                before = link.heard_mono
                eventually(lambda before=before: link.read() == [] and link.heard_mono > before, "the answer")  # type: ignore[misc]
                assert link.take_status() == answer.get("result")
        link.drop()
